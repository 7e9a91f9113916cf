// Package need decides what becomes of a test that lacks something: a program,
// a right or a file.
package need

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Required reports whether this run may not skip a test because a program or a
// right is missing: on CI, and where test/install.sh has been run.
func Required() bool {
	return os.Getenv("CI") == "true" || os.Getenv("AUTHMILTER_TEST_REQUIRE") != ""
}

// Found takes the error of looking for what a test needs. If it was not found,
// the test fails if [Required], and is skipped otherwise.
func Found(t testing.TB, missing error) {
	t.Helper()
	if missing == nil {
		return
	}
	if Required() {
		t.Fatalf("%v, and this run may not skip a test", missing)
	}
	t.Skipf("%v: skipped (make test, as root on Debian, installs what is missing)", missing)
}

// Shared returns the path of a file in the optional folder "shared" beside the
// repository, such as "suites/arc-validation-half.yml". No run requires the
// folder: if the part of it that the file belongs to ("suites") is missing, the
// test is skipped. If that part is there and the file is not, see [Found].
func Shared(t testing.TB, name string) string {
	t.Helper()
	root, err := root()
	if err != nil {
		t.Fatal(err)
	}
	path, absent, missing := locate(filepath.Join(filepath.Dir(root), "shared"), name)
	if absent != nil {
		t.Skipf("skipped: the optional folder beside the repository is missing: %v", absent)
	}
	Found(t, missing)
	return path
}

// locate returns the path of a file below shared. The first error says that its
// part of shared is absent, the second that the file is missing there.
func locate(shared, name string) (path string, absent, missing error) {
	part, _, _ := strings.Cut(name, "/")
	_, err := os.Stat(filepath.Join(shared, part))
	if errors.Is(err, os.ErrNotExist) {
		return "", err, nil
	}
	path = filepath.Join(shared, filepath.FromSlash(name))
	_, err = os.Stat(path)
	return path, nil, err
}

// Module returns the folder of a module of others that a package of ours
// imports, by the import path of a package that is the module's root. The go
// command downloads the module if it has not yet. The test fails if the folder
// cannot be had.
func Module(t testing.TB, path string) string {
	t.Helper()
	out, err := goCommand("list", "-find", "-f", "{{.Dir}}", path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// root returns the folder of the repository, from a test's own folder.
func root() (string, error) {
	out, err := goCommand("env", "GOMOD")
	if err != nil {
		return "", err
	}
	return filepath.Dir(out), nil
}

func goCommand(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
