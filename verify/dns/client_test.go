package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

const zoneText = `
example.com.        SOA ns.example.com. admin.example.com. 1 2 3 4 60
example.com.        TXT "v=spf1 " "-all"
example.com.        MX 20 b.example.com.
example.com.        MX 10 a.example.com.
a.example.com.      A 192.0.2.1
a.example.com.      AAAA 2001:db8::1
zero.example.com.   0 TXT "kept for no time"
alias.example.com.  60 CNAME middle.example.net.
middle.example.net. 30 CNAME end.example.org.
end.example.org.    TXT "the end"
lost.example.com.   CNAME nowhere.example.org.
loop.example.com.   CNAME loop.example.com.
into.example.com.   CNAME one.example.org.
one.example.org.    CNAME TWO.example.org.
two.example.org.    CNAME ONE.example.org.
part.example.com.   CNAME part.example.net.
part.example.net.   CNAME part.example.com.
$PARTIAL part.example.com
$PARTIAL part.example.net
long.example.com.   CNAME l1.example.com.
l1.example.com. CNAME l2.example.com.
l2.example.com. CNAME l3.example.com.
l3.example.com. CNAME l4.example.com.
l4.example.com. CNAME l5.example.com.
l5.example.com. CNAME l6.example.com.
l6.example.com. CNAME l7.example.com.
l7.example.com. CNAME l8.example.com.
l8.example.com. CNAME l9.example.com.
l9.example.com. CNAME l10.example.com.
l10.example.com. CNAME l11.example.com.
l11.example.com. CNAME l12.example.com.
l12.example.com. CNAME l13.example.com.
1.2.0.192.in-addr.arpa. PTR a.example.com.
$TIMEOUT silent.example.com
$RCODE SERVFAIL broken.example.com
$TRUNCATE big.example.com
big.example.com.    TXT "over TCP"
`

// patience is how long a test waits for what is about to happen. It leaves room
// for a machine that is busy with something else.
const patience = time.Minute

// client returns a client of a server of its own for zone.
func client(t *testing.T, z *dnstest.Zone, change func(*dns.Config)) *dns.Client {
	t.Helper()
	c := dns.Config{Servers: []string{dnstest.Serve(t, z)}, Timeout: 2 * time.Second}
	if change != nil {
		change(&c)
	}
	return dns.New(c)
}

func TestLookups(t *testing.T) {
	c := client(t, dnstest.MustParse(t, zoneText), nil)
	ctx := context.Background()
	for _, test := range []struct {
		ask    string
		want   string
		cnames string
		err    string // "", "not found" or "temporary"
	}{
		{ask: "TXT example.com", want: "v=spf1 -all"},
		{ask: "TXT EXAMPLE.com.", want: "v=spf1 -all"},
		{ask: "MX example.com", want: "10 a.example.com,20 b.example.com"},
		{ask: "A a.example.com", want: "192.0.2.1"},
		{ask: "AAAA a.example.com", want: "2001:db8::1"},
		{ask: "PTR 192.0.2.1", want: "a.example.com"},
		{ask: "TXT alias.example.com", want: "the end", cnames: "middle.example.net,end.example.org"},
		{ask: "A example.com", want: ""},
		{ask: "TXT org", want: ""}, // an empty non-terminal exists
		{ask: "TXT none.example.com", err: "not found"},
		{ask: "TXT lost.example.com", err: "not found", cnames: "nowhere.example.org"},
		{ask: "TXT loop.example.com", err: "not found"},
		{ask: "A loop.example.com", err: "not found"},
		{ask: "TXT into.example.com", err: "not found", cnames: "one.example.org,TWO.example.org"},
		{ask: "TXT part.example.com", err: "not found", cnames: "part.example.net"},
		{ask: "TXT long.example.com", err: "temporary"},
		{ask: "TXT silent.example.com", err: "temporary"},
		{ask: "TXT broken.example.com", err: "temporary"},
		{ask: "TXT big.example.com", want: "over TCP"},
		{ask: "TXT a..example.com", err: "not found"},
		{ask: "TXT " + strings.Repeat("a", 64) + ".com", err: "not found"},
		{ask: "TXT " + strings.Repeat("a.", 127) + "com", err: "not found"},
		{ask: `TXT \exam\.ple.com`, err: "not found"},
		{ask: "TXT ", err: "not found"},
	} {
		qtype, name, _ := strings.Cut(test.ask, " ")
		values, cnames, err := ask(ctx, c, qtype, name)
		got := ""
		switch {
		case dns.IsNotFound(err):
			got = "not found"
		case dns.IsTemporary(err):
			got = "temporary"
		}
		if values != test.want || cnames != test.cnames && got != "temporary" || got != test.err {
			t.Errorf("%s: got %q via %q, error %v", test.ask, values, cnames, err)
		}
	}
}

// ask asks r, and joins the values of its answer with commas.
func ask(ctx context.Context, r dns.Resolver, qtype, name string) (values, cnames string, err error) {
	switch qtype {
	case "TXT":
		a, err := r.TXT(ctx, name)
		return strings.Join(a.Values, ","), strings.Join(a.CNAMEs, ","), err
	case "MX":
		a, err := r.MX(ctx, name)
		var hosts []string
		for _, mx := range a.Values {
			hosts = append(hosts, fmt.Sprintf("%d %s", mx.Preference, mx.Host))
		}
		return strings.Join(hosts, ","), strings.Join(a.CNAMEs, ","), err
	case "PTR":
		a, err := r.PTR(ctx, netip.MustParseAddr(name))
		return strings.Join(a.Values, ","), strings.Join(a.CNAMEs, ","), err
	}
	look := r.A
	if qtype == "AAAA" {
		look = r.AAAA
	}
	a, err := look(ctx, name)
	var addrs []string
	for _, addr := range a.Values {
		addrs = append(addrs, addr.String())
	}
	return strings.Join(addrs, ","), strings.Join(a.CNAMEs, ","), err
}

func TestCacheHonoursTTL(t *testing.T) {
	z := dnstest.MustParse(t, zoneText)
	now := time.Unix(1_000_000, 0)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	c := client(t, z, func(c *dns.Config) { c.Now = clock })
	for _, test := range []struct {
		name  string
		kept  time.Duration // not asked again before this
		never bool
	}{
		{name: "example.com", kept: 300 * time.Second},
		{name: "alias.example.com", kept: 30 * time.Second}, // the lowest TTL in the chain
		{name: "none.example.com", kept: 60 * time.Second},  // the SOA's minimum
		{name: "zero.example.com", never: true},
		{name: "none.example.net", never: true},             // no SOA
		{name: "broken.example.com", kept: 2 * time.Second}, // RFC 9520
	} {
		asked := func() int {
			n := len(z.Queries())
			_, _ = c.TXT(context.Background(), test.name)
			return len(z.Queries()) - n
		}
		if asked() == 0 {
			t.Fatalf("%s: not asked", test.name)
		}
		if test.never {
			if asked() == 0 {
				t.Errorf("%s: kept", test.name)
			}
			continue
		}
		mu.Lock()
		now = now.Add(test.kept - time.Millisecond)
		mu.Unlock()
		if asked() != 0 {
			t.Errorf("%s: not kept for %v", test.name, test.kept)
		}
		mu.Lock()
		now = now.Add(time.Millisecond)
		mu.Unlock()
		if asked() == 0 {
			t.Errorf("%s: kept for longer than %v", test.name, test.kept)
		}
	}
}

// TestUncached checks that an uncached client sees what has just been
// published, even if the client it was made from has cached that there was
// nothing.
func TestUncached(t *testing.T) {
	z := dnstest.MustParse(t, zoneText)
	cached := client(t, z, nil)
	uncached := cached.Uncached()
	ask := func(c *dns.Client) string {
		a, err := c.TXT(context.Background(), "none.example.com")
		if err != nil {
			return err.Error()
		}
		return strings.Join(a.Values, ",")
	}
	nothing := ask(cached)
	z.AddTXT("none.example.com", "now there is")
	if got := ask(cached); got != nothing {
		t.Errorf("the cache says %q", got)
	}
	for range 2 {
		before := len(z.Queries())
		if got := ask(uncached); got != "now there is" || len(z.Queries()) == before {
			t.Errorf("%q", got)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	z := dnstest.MustParse(t, "")
	for i := range 50 {
		z.AddTXT(fmt.Sprintf("n%d.example.com", i), strings.Repeat("x", 1000))
	}
	for _, bound := range []struct{ entries, bytes, kept int }{
		{entries: 10, bytes: 1 << 20, kept: 10},
		{entries: 1000, bytes: 10_000, kept: 7},
	} {
		c := client(t, z, func(c *dns.Config) { c.CacheEntries, c.CacheBytes = bound.entries, bound.bytes })
		for i := range 50 {
			if _, err := c.TXT(context.Background(), fmt.Sprintf("n%d.example.com", i)); err != nil {
				t.Fatal(err)
			}
		}
		before := len(z.Queries())
		for i := 49; i >= 50-bound.kept; i-- {
			_, _ = c.TXT(context.Background(), fmt.Sprintf("n%d.example.com", i))
		}
		if n := len(z.Queries()) - before; n != 0 {
			t.Errorf("bounds %+v: %d of the last %d were dropped", bound, n, bound.kept)
		}
		_, _ = c.TXT(context.Background(), "n20.example.com")
		if n := len(z.Queries()) - before; n != 1 {
			t.Errorf("bounds %+v: an early entry was kept", bound)
		}
	}
}

func TestNegativeBoundsMeanTheDefault(t *testing.T) {
	c := client(t, dnstest.MustParse(t, zoneText), func(c *dns.Config) {
		c.Timeout, c.CacheBytes, c.MaxExchanges = -1, -1, -1
	})
	for range 2 {
		if a, err := c.TXT(context.Background(), "example.com"); err != nil || len(a.Values) != 1 {
			t.Errorf("got %v, %v", a.Values, err)
		}
	}
	if entries, _, _ := c.Cached(); entries != 1 {
		t.Errorf("%d entries", entries)
	}
}

func TestIdenticalLookupsAreJoined(t *testing.T) {
	z := dnstest.MustParse(t, "$DELAY 50ms slow.example.com\nslow.example.com. 0 TXT \"x\"\n")
	c := client(t, z, nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if a, err := c.TXT(context.Background(), "slow.example.com"); err != nil || !slices.Equal(a.Values, []string{"x"}) {
				t.Errorf("got %v, %v", a.Values, err)
			}
		})
	}
	wg.Wait()
	if n := len(z.Queries()); n != 1 {
		t.Errorf("%d packets for 50 identical look-ups", n)
	}
}

func TestACallerMayLeaveAJoinedLookup(t *testing.T) {
	z := dnstest.MustParse(t, "$DELAY 100ms slow.example.com\nslow.example.com. TXT \"x\"\n")
	c := client(t, z, nil)
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error)
	go func() {
		_, err := c.TXT(ctx, "slow.example.com")
		left <- err
	}()
	stayed := make(chan error)
	go func() {
		_, err := c.TXT(context.Background(), "slow.example.com")
		stayed <- err
	}()
	for len(z.Queries()) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-left; !dns.IsTemporary(err) || !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that left got %v", err)
	}
	if err := <-stayed; err != nil {
		t.Errorf("the caller that stayed got %v", err)
	}
}

func TestServersTakeTurns(t *testing.T) {
	good := dnstest.Serve(t, dnstest.MustParse(t, `example.com. 0 TXT "good"`))
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := closed.LocalAddr().String()
	closed.Close()
	for name, first := range map[string]string{
		"silent":   dnstest.Serve(t, dnstest.MustParse(t, "$TIMEOUT example.com")),
		"SERVFAIL": dnstest.Serve(t, dnstest.MustParse(t, "$RCODE SERVFAIL example.com")),
		"REFUSED":  dnstest.Serve(t, dnstest.MustParse(t, "$RCODE REFUSED example.com")),
		"closed":   refusing,
		"liar":     liar(t),
	} {
		c := dns.New(dns.Config{Servers: []string{first, good}, Timeout: 10 * time.Second})
		a, err := c.TXT(context.Background(), "example.com")
		if err != nil || !slices.Equal(a.Values, []string{"good"}) {
			t.Errorf("first server %s: got %v, %v", name, a.Values, err)
		}
	}
}

// liar serves answers to other questions, answers with other IDs, and broken
// ones.
func liar(t *testing.T) string {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			answer := slices.Clone(buf[:n])
			answer[2] |= 0x80
			answer[0] ^= 0xff // another ID
			_, _ = conn.WriteTo(answer, from)
			answer[0] ^= 0xff
			answer[13] ^= 0x01 // another name
			_, _ = conn.WriteTo(answer, from)
			_, _ = conn.WriteTo(answer[:7], from)
			_, _ = conn.WriteTo(nil, from)
		}
	}()
	return conn.LocalAddr().String()
}

func TestCancelledLookupsLeaveNothingBehind(t *testing.T) {
	z := dnstest.MustParse(t, "$TIMEOUT silent.example.com")
	c := client(t, z, func(c *dns.Config) { c.Timeout = time.Minute })
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			name := "silent.example.com"
			if i%2 == 0 {
				name = fmt.Sprintf("x%d.silent.example.com", i)
				z.Timeout(name, "")
			}
			if _, err := c.TXT(ctx, name); !dns.IsTemporary(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	for len(z.Queries()) < 11 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	wg.Wait()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
		time.Sleep(time.Millisecond)
	}
}

func TestPingWithPackets(t *testing.T) {
	root := dnstest.Serve(t, dnstest.MustParse(t, ". NS ns.example.\n"))
	closed, err := dnstest.NewServer(dnstest.MustParse(t, ""), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, test := range []struct {
		name    string
		servers []string
		timeout time.Duration // of the client
		within  time.Duration // of its caller
		err     string
	}{
		{"answers", []string{root}, patience, patience, ""},
		{"has no such record", []string{dnstest.Serve(t, dnstest.MustParse(t, ""))}, patience, patience, ""},
		{"closed", []string{closed.Addr()}, patience, patience, "connection refused"},
		{"closed, answers", []string{closed.Addr(), root}, patience, patience, ""},
		{"fails", []string{dnstest.Serve(t, dnstest.MustParse(t, "$RCODE SERVFAIL ."))}, patience, patience, "SERVFAIL"},
		{"refuses", []string{dnstest.Serve(t, dnstest.MustParse(t, "$RCODE REFUSED ."))}, patience, patience, "REFUSED"},
		{"silent", []string{dnstest.Serve(t, dnstest.MustParse(t, "$TIMEOUT ."))}, 300 * time.Millisecond, patience, "no answer within 300ms"},
		{"silent, for a caller in a hurry", []string{dnstest.Serve(t, dnstest.MustParse(t, "$TIMEOUT ."))}, patience, 30 * time.Millisecond, "no answer in time"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), test.within)
		c := dns.New(dns.Config{Servers: test.servers, Timeout: test.timeout})
		for range 2 { // the second is not answered from memory
			err := c.Ping(ctx)
			if (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("%s: got %v, want %q", test.name, err, test.err)
			}
		}
		cancel()
	}
}

func TestLargeTXT(t *testing.T) {
	z := dnstest.MustParse(t, "")
	text := strings.Repeat("\x00\xff\\\"; 1234567", 1500)
	z.AddTXT("large.example.com", text)
	a, err := client(t, z, nil).TXT(context.Background(), "large.example.com")
	if err != nil || len(a.Values) != 1 || a.Values[0] != text {
		t.Errorf("%d octets of %d came back, %v", len(strings.Join(a.Values, "")), len(text), err)
	}
}

func TestUnknownErrorsAreTemporary(t *testing.T) {
	for _, err := range []error{errors.New("x"), context.Canceled, context.DeadlineExceeded, fmt.Errorf("w: %w", dns.ErrBudget)} {
		if !dns.IsTemporary(err) || dns.IsNotFound(err) {
			t.Errorf("%v", err)
		}
	}
	if dns.IsTemporary(nil) {
		t.Error("nil")
	}
}
