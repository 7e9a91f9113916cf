package milter

import (
	"net"
	"os"
	"testing"
)

func TestListen(t *testing.T) {
	path := t.TempDir() + "/s"
	a := MustParseAddress("unix:" + path)
	first, err := a.Listen(0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Listen(0o600); err == nil || err.Error() != "unix:"+path+": address already in use" {
		t.Errorf("second listener: %v", err)
	}
	// A stale socket is replaced.
	first.(*unixListener).UnixListener.Close()
	second, err := a.Listen(0o640)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	second.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

// TestListenReplaced checks that a listener knows whether its socket is still there,
// and that closing it removes nothing else.
func TestListenReplaced(t *testing.T) {
	path := t.TempDir() + "/s"
	listen := func() net.Listener {
		t.Helper()
		l, err := MustParseAddress("unix:" + path).Listen(0o600)
		if err != nil {
			t.Fatal(err)
		}
		if !Reachable(l) {
			t.Error("not reachable at first")
		}
		return l
	}
	remove := func() {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for what, replace := range map[string]func(){
		"nothing": func() {},
		"a file": func() {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a link": func() {
			if err := os.Symlink("elsewhere", path); err != nil {
				t.Fatal(err)
			}
		},
		"a socket": func() {
			l := listen()
			t.Cleanup(func() { l.Close() })
		},
	} {
		l := listen()
		remove()
		replace()
		before, _ := os.Lstat(path)
		if Reachable(l) {
			t.Errorf("%s: reachable", what)
		}
		if err := l.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		after, _ := os.Lstat(path)
		if (before != nil || after != nil) && !os.SameFile(before, after) {
			t.Errorf("%s: removed", what)
		}
		if before != nil {
			remove()
		}
	}
}

// TestListenCloseTwice checks that the second call removes nothing: the socket that is
// there by then can have the same inode.
func TestListenCloseTwice(t *testing.T) {
	a := MustParseAddress("unix:" + t.TempDir() + "/s")
	first, err := a.Listen(0o600)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	second, err := a.Listen(0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	first.Close()
	if !Reachable(second) {
		t.Error("removed")
	}
}
