package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// passing returns what makes a daemon start with passed files and an environment, in
// which PID stands for its process ID.
func passing(environ string, files ...*os.File) func(*exec.Cmd) {
	return func(c *exec.Cmd) {
		c.Path = "/bin/sh"
		script := strings.ReplaceAll(environ, "PID=PID", "PID=$$") + ` exec "$@"`
		c.Args = append([]string{"sh", "-c", script, "sh"}, c.Args...)
		c.ExtraFiles = files
	}
}

// TestServePassed checks which environments and descriptors are taken for socket
// activation. sd_listen_fds(3) describes them.
func TestServePassed(t *testing.T) {
	file := func(conn interface{ File() (*os.File, error) }, err error) *os.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		f, err := conn.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	good := file(l, err)
	udp := file(net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	packets := file(net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: t.TempDir() + "/s"}))
	connected := file(net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr)))
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound := os.NewFile(uintptr(fd), "bound")
	defer bound.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()

	own := fmt.Sprintf("inet:%d@127.0.0.1", l.Addr().(*net.TCPAddr).Port)
	const notListening = "LISTEN_FD_3 is not a listening stream socket"
	for _, test := range []struct {
		name, environ string
		files         []*os.File
		want          string // an error; "passed" and "configured" are the listeners that are served
	}{
		{"passed", "LISTEN_PID=PID LISTEN_FDS=1", []*os.File{good}, "passed"},
		{"named", "LISTEN_PID=PID LISTEN_FDS=1 LISTEN_FDNAMES=milter", []*os.File{good}, "passed"},
		{"for nobody", "LISTEN_FDS=1", []*os.File{good}, "configured"},
		{"for another process", "LISTEN_PID=1 LISTEN_FDS=1", []*os.File{good}, "configured"},
		{"nonsense for another process", "LISTEN_PID=1 LISTEN_FDS=x", nil, "configured"},
		{"no number of descriptors", "LISTEN_PID=PID", nil, "configured"},

		{"empty process", "LISTEN_PID= LISTEN_FDS=1", []*os.File{good}, `LISTEN_PID: "" is not the ID of a process`},
		{"no process", "LISTEN_PID=x LISTEN_FDS=1", []*os.File{good}, `LISTEN_PID: "x" is not the ID of a process`},
		{"process 0", "LISTEN_PID=0 LISTEN_FDS=1", []*os.File{good}, `LISTEN_PID: "0" is not the ID of a process`},
		{"no number", "LISTEN_PID=PID LISTEN_FDS=one", []*os.File{good}, `LISTEN_FDS: "one" is not a number from 1 to 64`},
		{"empty number", "LISTEN_PID=PID LISTEN_FDS=", []*os.File{good}, `LISTEN_FDS: "" is not a number from 1 to 64`},
		{"none", "LISTEN_PID=PID LISTEN_FDS=0", nil, `LISTEN_FDS: "0" is not a number from 1 to 64`},
		{"negative", "LISTEN_PID=PID LISTEN_FDS=-1", nil, `LISTEN_FDS: "-1" is not a number from 1 to 64`},
		{"too many", "LISTEN_PID=PID LISTEN_FDS=65", nil, `LISTEN_FDS: "65" is not a number from 1 to 64`},
		{"far too many", "LISTEN_PID=PID LISTEN_FDS=2000000000", nil, `LISTEN_FDS: "2000000000" is not a number from 1 to 64`},

		{"datagrams", "LISTEN_PID=PID LISTEN_FDS=1", []*os.File{udp}, notListening},
		{"packets", "LISTEN_PID=PID LISTEN_FDS=1", []*os.File{packets}, notListening},
		{"a connection", "LISTEN_PID=PID LISTEN_FDS=1", []*os.File{connected}, notListening},
		{"a socket that does not listen", "LISTEN_PID=PID LISTEN_FDS=1", []*os.File{bound}, notListening},
		{"a file", "LISTEN_PID=PID LISTEN_FDS=1", []*os.File{null}, notListening},
		{"the second is missing", "LISTEN_PID=PID LISTEN_FDS=64", []*os.File{good}, "LISTEN_FD_4 is not a listening stream socket"},
		{"twice", "LISTEN_PID=PID LISTEN_FDS=2", []*os.File{good, good}, "LISTEN_FD_4: " + own + " was passed twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := start(t, common("127.0.0.1:53", ""), passing(test.environ, test.files...))
			switch test.want {
			case "passed", "configured":
				d.waitLog("serving")
				if got := d.address("listen"); (got == own) != (test.want == "passed") {
					t.Errorf("listens on %s; %s was passed", got, own)
				}
				return
			}
			want := "authmilter: socket activation: " + test.want + "\n"
			if code := d.wait(); code != exitFinding || d.log.String() != want {
				t.Errorf("exit status %d, %s", code, d.log.String())
			}
		})
	}
}
