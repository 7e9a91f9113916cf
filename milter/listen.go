package milter

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// Listen opens the address. A unix socket gets the permissions mode, and replaces
// a stale one left by a dead process; Close removes it if it is still there. The error
// names the address.
func (a Address) Listen(mode fs.FileMode) (net.Listener, error) {
	l, err := a.listen(mode)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = errors.New("address already in use")
		}
		return nil, fmt.Errorf("%v: %w", a, err)
	}
	return l, nil
}

func (a Address) listen(mode fs.FileMode) (net.Listener, error) {
	if a.network != "unix" {
		return net.Listen(a.network, net.JoinHostPort(a.host, strconv.Itoa(int(a.port))))
	}
	if err := removeStale(a.path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: a.path})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	u := &unixListener{UnixListener: l}
	if u.bound, err = os.Lstat(a.path); err == nil {
		err = os.Chmod(a.path, mode)
	}
	if err != nil {
		u.Close()
		return nil, err
	}
	return u, nil
}

// unixListener is a listener with a socket in the file system, which others can
// remove or replace. As long as the listener is open, the kernel keeps the inode of
// the socket, so no other file can be taken for it.
type unixListener struct {
	*net.UnixListener
	bound fs.FileInfo
	once  sync.Once
}

// Close implements [net.Listener]. It removes the socket, but not a file that has
// taken its place.
func (l *unixListener) Close() (err error) {
	l.once.Do(func() {
		if l.isThere() {
			err = os.Remove(l.path())
		}
		err = errors.Join(err, l.UnixListener.Close())
	})
	return err
}

func (l *unixListener) path() string { return l.Addr().(*net.UnixAddr).Name }

// isThere reports whether the path still leads to the socket.
func (l *unixListener) isThere() bool {
	info, err := os.Lstat(l.path())
	return err == nil && os.SameFile(info, l.bound)
}

// Reachable reports whether an MTA can still connect to l. It cannot if [Address.Listen]
// made a unix socket, and somebody has removed or replaced that.
func Reachable(l net.Listener) bool {
	u, ok := l.(*unixListener)
	return !ok || u.isThere()
}

// removeStale removes the socket at path if nobody listens on it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("the file exists and is not a socket")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return syscall.EADDRINUSE
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
