package dns_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

func TestSystemServers(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"nameserver 192.0.2.1\n# nameserver 192.0.2.2\n; nameserver 192.0.2.3\nnameserver 2001:db8::1\noptions edns0\n", "192.0.2.1:53 [2001:db8::1]:53"},
		{"nameserver fe80::1%eth0", "[fe80::1%eth0]:53"},
		{"nameserver ::ffff:192.0.2.1\n", "[::ffff:192.0.2.1]:53"},
		{"  nameserver\t 192.0.2.1 # the first\r\n", "192.0.2.1:53"},
		{"\ufeffnameserver 192.0.2.1\nnameserver 192.0.2.2\n", "192.0.2.2:53"},
		{"nameserver 192.0.2.1\nnameserver 192.0.2.1\n", "192.0.2.1:53 192.0.2.1:53"},
		{"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n", "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53"},
		{"nameserver\nnameserver dns.example\nnameserver 192.0.2\nnameserver 192.0.2.1:53\nnameserver [::1]\nnameservers 192.0.2.8\nNAMESERVER 192.0.2.9\nnameserver 192.0.2.1\n", "192.0.2.1:53"},
		{"search example.com\n", "error"},
		{"nameserver dns.example\n", "error"},
		{"", "error"},
		{strings.Repeat("x", 100_000) + "\nnameserver 192.0.2.1\n", "error"},
		{strings.Repeat("# a comment\n", 10_000) + "nameserver 192.0.2.1\n", "error"},
		{"\x00\xff nameserver 192.0.2.1", "error"},
	} {
		path := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		servers, err := dns.SystemServers(path)
		got := strings.Join(servers, " ")
		if err != nil {
			got = "error"
			if !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("%.40q: error %v", test.text, err)
			}
		}
		if got != test.want {
			t.Errorf("%.40q: got %s, %v", test.text, got, err)
		}
	}
	if _, err := dns.SystemServers(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// Reading a FIFO would wait for a writer.
	for _, path := range []string{t.TempDir(), fifo, "/dev/zero"} {
		if _, err := dns.SystemServers(path); err == nil || !strings.Contains(err.Error(), path+": is a") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A link-local server is reached through the interface named by its zone.
func TestServerWithAZone(t *testing.T) {
	s, err := dnstest.NewServer(dnstest.MustParse(t, `a.example. TXT "x"`), "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6: %v", err)
	}
	defer s.Close()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	loopback := slices.IndexFunc(interfaces, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 })
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil || loopback < 0 {
		t.Fatalf("%v, loopback %d", err, loopback)
	}
	c := dns.New(dns.Config{Servers: []string{net.JoinHostPort("::1%"+interfaces[loopback].Name, port)}})
	if a, err := c.TXT(context.Background(), "a.example"); err != nil || len(a.Values) != 1 {
		t.Errorf("got %v, %v", a.Values, err)
	}
}
