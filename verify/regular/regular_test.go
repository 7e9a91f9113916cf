package regular_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"authmilter/verify/regular"
)

// TestReadFile checks what is read and what is refused. A mistake with the FIFO would
// wait forever.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(in("small"), make([]byte, 8<<10), 0o600))
	must(os.WriteFile(in("large"), make([]byte, 8<<10+1), 0o600))
	must(os.WriteFile(in("sparse"), nil, 0o600))
	must(os.Truncate(in("sparse"), 1<<40))
	must(os.Symlink("small", in("link")))
	must(os.Symlink("/dev/zero", in("link to a device")))
	must(os.Symlink("nothing", in("dangling")))
	must(syscall.Mkfifo(in("fifo"), 0o600))
	must(os.Symlink("fifo", in("link to a fifo")))
	l, err := net.Listen("unix", in("socket"))
	must(err)
	defer l.Close()
	for path, want := range map[string]string{
		in("small"):            "",
		in("link"):             "",
		in("large"):            "has more than 8 KiB",
		in("sparse"):           "has more than 8 KiB",
		in("link to a device"): "is a device, not a regular file",
		in("dangling"):         "no such file or directory",
		in("fifo"):             "is a FIFO, not a regular file",
		in("link to a fifo"):   "is a FIFO, not a regular file",
		in("socket"):           "is a socket, not a regular file",
		dir:                    "is a directory, not a regular file",
		"/dev/null":            "is a device, not a regular file",
		in("nothing"):          "no such file or directory",
		in("small/x"):          "not a directory",
		"":                     "no such file or directory",
	} {
		content, info, err := regular.ReadFile(path, 8<<10)
		if want == "" {
			if err != nil || len(content) != 8<<10 || info.Size() != 8<<10 {
				t.Errorf("%s: %d octets, %v", path, len(content), err)
			}
			continue
		}
		var at *fs.PathError
		if !errors.As(err, &at) || at.Path != path || !strings.HasPrefix(at.Err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// TestKind checks the types that a path cannot lead to.
func TestKind(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		0o600:                             "a regular file",
		fs.ModeSymlink:                    "a symbolic link",
		fs.ModeDevice:                     "a device",
		fs.ModeIrregular:                  "of an unknown type",
		fs.ModeCharDevice | fs.ModeDevice: "a device",
	} {
		if got := regular.Kind(mode); got != want {
			t.Errorf("%v: %s", mode, got)
		}
	}
}
