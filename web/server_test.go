package web

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// fetch returns what GET / at addr answers.
func fetch(t *testing.T, addr string) string {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestServer holds that the server moves to another address, stays where it is if
// it cannot, and stops.
func TestServer(t *testing.T) {
	s := NewServer(text("hello\n"), slog.New(slog.DiscardHandler))
	defer s.Close()
	if got := s.Addr(); got != "" {
		t.Errorf("before Listen the address is %q", got)
	}
	listen := func() string {
		t.Helper()
		if err := s.Listen("127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if got := fetch(t, s.Addr()); got != "hello\n" {
			t.Errorf("%s answers %q", s.Addr(), got)
		}
		return s.Addr()
	}
	gone := func(addr string) {
		t.Helper()
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			t.Errorf("%s is still served", addr)
		}
	}
	first := listen()
	second := listen()
	gone(first)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = s.Listen(taken.Addr().String())
	if want := taken.Addr().String() + ": address already in use"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if err := s.Listen("127.0.0.1:nonsense"); err == nil || strings.Count(err.Error(), "127.0.0.1") != 1 {
		t.Errorf("error %v", err)
	}
	if s.Addr() != second || fetch(t, second) != "hello\n" {
		t.Errorf("after an error the address is %q", s.Addr())
	}

	if err := s.Listen(""); err != nil {
		t.Fatal(err)
	}
	gone(second)
	if got := s.Addr(); got != "" {
		t.Errorf("without an address it is %q", got)
	}
}

// TestServerConnections checks that many connections, each kept alive, do not use up
// file descriptors, and that the server answers again when they end.
func TestServerConnections(t *testing.T) {
	s := NewServer(text("hello\n"), slog.New(slog.DiscardHandler))
	defer s.Close()
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	const many = 100
	var conns []net.Conn
	for range many {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	buf := make([]byte, 1)
	for _, c := range conns[:maxConnections] {
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	if n := openFiles(t) - before - many; n > maxConnections {
		t.Errorf("%d descriptors for %d connections", n, many)
	}
	for _, c := range conns {
		c.Close()
	}
	if got := fetch(t, s.Addr()); got != "hello\n" {
		t.Errorf("got %q", got)
	}
}

// openFiles returns the number of file descriptors of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("cannot count open files: %v", err)
	}
	return len(list)
}

// TestServerFamily checks that an IPv4 address is served for IPv4 only.
func TestServerFamily(t *testing.T) {
	s := NewServer(text("hello\n"), slog.New(slog.DiscardHandler))
	defer s.Close()
	if err := s.Listen("0.0.0.0:0"); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if got := fetch(t, net.JoinHostPort("127.0.0.1", port)); got != "hello\n" {
		t.Errorf("got %q", got)
	}
	if conn, err := net.Dial("tcp", net.JoinHostPort("::1", port)); err == nil {
		conn.Close()
		t.Error("served for IPv6 too")
	}
}
