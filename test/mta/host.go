package mta

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// host is what a program takes for a machine of its own: it has a name, a
// network, a table of hosts and a system log that no other program sees. Every
// address belongs to this host, so a client can connect from any address, and
// nothing leaves the host. Names are looked up only in the table.
type host struct {
	dir string
	cmd *exec.Cmd
	log logSocket
}

// newHost returns a host whose files are in dir.
func newHost(t testing.TB, dir string) *host {
	t.Helper()
	h := &host{dir: dir}
	if err := os.Mkdir(filepath.Join(dir, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.log.listen(t, filepath.Join(dir, "log"))
	h.write(t, "nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
	if err := h.know(netip.Addr{}, ""); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// know makes addr the host's only neighbour that has a name.
func (h *host) know(addr netip.Addr, name string) error {
	table := "127.0.0.1 localhost\n::1 localhost\n" + hostAddr + " " + Hostname + "\n"
	if name != "" && !addr.IsLoopback() {
		table += addr.String() + " " + name + "\n"
	}
	return os.WriteFile(filepath.Join(h.dir, "hosts"), []byte(table), 0o644)
}

// hostAddr is the address of [Hostname], which no client in a test has.
const hostAddr = "127.0.1.1"

// command returns a command that runs a program on the host. It is the host's
// only command.
func (h *host) command(program string, args ...string) *exec.Cmd {
	h.cmd = exec.Command("sh", append([]string{"-c", setUp, "sh", Hostname, h.dir, program}, args...)...)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{
		// With these, nobody else sees what the script mounts.
		Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS,
	}
	return h.cmd
}

// setUp takes the host's name, its directory, and the command to run. It needs
// a /dev of its own for the log socket, which must be where syslog(3) looks for
// it.
const setUp = `set -e
hostname "$1"
ip link set lo up
ip route add local default dev lo
ip -6 route add local default dev lo
mount --bind "$2/hosts" /etc/hosts
mount --bind "$2/nsswitch.conf" /etc/nsswitch.conf
mount -t tmpfs -o mode=755 none "$2/dev"
for device in null random urandom; do
	: >"$2/dev/$device"
	mount --bind "/dev/$device" "$2/dev/$device"
done
ln -s "$2/log" "$2/dev/log"
mount --rbind "$2/dev" /dev
shift 2
exec "$@"
`

// findHost returns an error if something that a host needs is missing.
func findHost() error {
	if os.Getuid() != 0 {
		return errNotRoot
	}
	for _, program := range []string{"hostname", "ip", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	probe := exec.Command("true")
	probe.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS}
	if err := probe.Run(); err != nil {
		return fmt.Errorf("namespaces are not permitted: %w", err)
	}
	return nil
}

// within calls f on the host's network, to which sockets made in f belong.
func (h *host) within(f func() error) error {
	// The network is a property of the thread. The thread must not be left on
	// that network, and must not end: the children that it started would end
	// with it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer own.Close()
	network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", h.cmd.Process.Pid))
	if err != nil {
		return err
	}
	defer network.Close()
	if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	defer func() {
		if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(err)
		}
	}()
	return f()
}

// dial connects from an address to a port of the host.
func (h *host) dial(from netip.Addr, port int) (conn net.Conn, err error) {
	d := net.Dialer{
		Timeout:   startTime,
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)),
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			if err := c.Control(func(fd uintptr) {
				// IPv6 must be told that any address will do.
				if from.Is6() {
					err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
				}
			}); err != nil {
				return err
			}
			return err
		},
	}
	to := netip.MustParseAddr("127.0.0.1")
	if from.Is6() {
		to = netip.IPv6Loopback()
	}
	err = h.within(func() (err error) {
		conn, err = d.Dial("tcp", netip.AddrPortFrom(to, uint16(port)).String())
		return err
	})
	return conn, err
}

// listen listens on a port of the host's loopback address.
func (h *host) listen(t testing.TB, port int) (l net.Listener) {
	t.Helper()
	err := h.within(func() (err error) {
		l, err = net.Listen("tcp", Loopback(port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// forward makes a port of the machine's loopback address reachable at the same
// port of the host's.
func (h *host) forward(t testing.TB, port int) {
	t.Helper()
	l := h.listen(t, port)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			inner, err := l.Accept()
			if err != nil {
				return // closed
			}
			conns.Go(func() { join(inner, Loopback(port)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
}

// join passes data between inner and a new connection to addr, until both have
// ended.
func join(inner net.Conn, addr string) {
	defer inner.Close()
	outer, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer outer.Close()
	var back sync.WaitGroup
	back.Go(func() { pass(inner, outer) })
	pass(outer, inner)
	back.Wait()
}

// pass copies from one connection to another until the first one ends, and
// passes the end on.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from) // if it breaks, the other side sees the end
	_ = to.(*net.TCPConn).CloseWrite()
}

// logSocket collects what programs give to syslog(3).
type logSocket struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *logSocket) listen(t testing.TB, path string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		line := make([]byte, 8192)
		for {
			n, err := conn.Read(line)
			if err != nil {
				return // closed
			}
			s.mu.Lock()
			fmt.Fprintf(&s.text, "%s\n", line[:n])
			s.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		conn.Close()
		reader.Wait()
	})
}

func (s *logSocket) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
