package test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// flags matches the parts of the build command that Makefile and Dockerfile
// share.
var flags = regexp.MustCompile(`go build (.*) -o \S+ (\./cmd/authmilter)`)

// TestImage runs the Dockerfile's command that builds the binary, and
// checks that the binary works in an empty image: that it needs no other file.
func TestImage(t *testing.T) {
	command := buildCommand(t, "../Dockerfile", regexp.MustCompile(`(?m)^RUN (.* go build .*)$`))
	binary := filepath.Join(t.TempDir(), "authmilter")
	command = strings.Replace(command, "-o /authmilter", "-o "+binary, 1)
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "VERSION=v0-image")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}

	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary needs a dynamic linker")
		}
	}
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the binary needs libraries: %v, %v", libraries, err)
	}

	// As in the image, without an environment.
	out, err := exec.Command("env", "-i", binary, "version").Output()
	if err != nil || !strings.Contains(string(out), "v0-image") {
		t.Errorf("version: %q, %v", out, err)
	}
}

// TestBuildAlike checks that make and the image build the same binary.
func TestBuildAlike(t *testing.T) {
	image := flags.FindStringSubmatch(buildCommand(t, "../Dockerfile", regexp.MustCompile(`(?m)^RUN (.* go build .*)$`)))
	made := flags.FindStringSubmatch(strings.NewReplacer("$(GO)", "go", "$(VERSION)", "${VERSION}").
		Replace(buildCommand(t, "../Makefile", regexp.MustCompile(`(?m)^\t(\$\(GO\) build .*)$`))))
	if image == nil || made == nil || image[1] != made[1] || image[2] != made[2] {
		t.Errorf("the image is built with %q, make builds with %q", image, made)
	}
}

// buildCommand returns the only command in a file that matches.
func buildCommand(t *testing.T, path string, match *regexp.Regexp) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := match.FindAllStringSubmatch(string(text), -1)
	if len(all) != 1 {
		t.Fatalf("%s has %d build commands, want 1", path, len(all))
	}
	return all[0][1]
}
