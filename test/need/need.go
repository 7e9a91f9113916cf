// Package need skips or fails tests that lack something they need: a program, a
// privilege or a file.
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

// Required reports whether a test must fail, not be skipped, if a program or a
// privilege is missing: on CI, and after test/install.sh has been run.
func Required() bool {
	return os.Getenv("CI") == "true" || os.Getenv("AUTHMILTER_TEST_REQUIRE") != ""
}

// Found skips the test if missing is not nil: the error of looking for something
// that the test needs. If [Required], the test fails instead.
func Found(t testing.TB, missing error) {
	t.Helper()
	if missing == nil {
		return
	}
	if Required() {
		t.Fatalf("%v, and this run must not skip tests", missing)
	}
	t.Skipf("skipped: %v (make test, as root on Debian, installs what is missing)", missing)
}

// Shared returns the path of a file in the optional folder "shared" beside the
// repository, such as "suites/arc-validation-half.yml". If the subfolder
// ("suites") is missing, the test is skipped in every run. If the subfolder exists
// but the file does not, the test is skipped or fails as in [Found].
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

// locate returns the path of a file in the folder shared. The error absent means
// that its subfolder of shared does not exist, missing that the file does not.
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

// Module returns the folder of a third-party module that this module depends on,
// given the import path of the package at the module's root. The go command
// downloads the module if necessary. If that fails, the test fails.
func Module(t testing.TB, path string) string {
	t.Helper()
	out, err := goCommand("list", "-find", "-f", "{{.Dir}}", path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// root returns the root folder of the repository that the test runs in.
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
