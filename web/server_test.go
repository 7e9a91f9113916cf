package web

import (
	"io"
	"log/slog"
	"net"
	"net/http"
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
