package main

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestWriteKey checks that only a regular file is replaced, only with force, and that
// nothing else changes.
func TestWriteKey(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(in("target"), []byte("target"), 0o644))
	must(os.Symlink("target", in("link")))
	must(os.Symlink("absent", in("dangling")))
	must(os.Symlink("/dev/null", in("link to a device")))
	must(os.Mkdir(in("directory"), 0o700))
	must(syscall.Mkfifo(in("fifo"), 0o600))
	l, err := net.Listen("unix", in("socket"))
	must(err)
	defer l.Close()
	kinds := map[string]string{
		"link": "a symbolic link", "dangling": "a symbolic link", "link to a device": "a symbolic link",
		"directory": "a directory", "fifo": "a FIFO", "socket": "a socket",
	}
	// The numbers of /dev/null. Only root can make a device.
	if err := syscall.Mknod(in("device"), syscall.S_IFCHR|0o600, 1<<8|3); err == nil {
		kinds["device"] = "a device"
	} else if os.Getuid() == 0 {
		t.Logf("without a device: %v", err)
	}
	before, err := os.ReadDir(dir)
	must(err)
	for name, kind := range kinds {
		for _, force := range []bool{false, true} {
			was, err := os.Lstat(in(name))
			must(err)
			err = writeKey(in(name), []byte("key"), force)
			if want := in(name) + ": is " + kind + ", not a regular file"; err == nil || err.Error() != want {
				t.Errorf("%s, force %v: %v", name, force, err)
			}
			if is, err := os.Lstat(in(name)); err != nil || !os.SameFile(was, is) {
				t.Errorf("%s, force %v: replaced (%v)", name, force, err)
			}
		}
	}
	if err := writeKey(in("target"), []byte("key"), false); err == nil || err.Error() != in("target")+" exists; --force overwrites it" {
		t.Errorf("an existing file: %v", err)
	}
	after, err := os.ReadDir(dir)
	must(err)
	if text, err := os.ReadFile(in("target")); string(text) != "target" || len(after) != len(before) {
		t.Errorf("target %q, %v; %d files, not %d", text, err, len(after), len(before))
	}

	// What may be written.
	must(os.Link(in("target"), in("other name")))
	for _, name := range []string{"target", "new"} {
		must(writeKey(in(name), []byte("key"), true))
		text, err := os.ReadFile(in(name))
		must(err)
		info, err := os.Lstat(in(name))
		must(err)
		if string(text) != "key" || info.Mode() != 0o600 {
			t.Errorf("%s: %q, mode %v", name, text, info.Mode())
		}
	}
	if text, err := os.ReadFile(in("other name")); string(text) != "target" {
		t.Errorf("written through another name of the file: %q, %v", text, err)
	}
}
