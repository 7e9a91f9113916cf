package iprev

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"authmilter/verify/dns/dnstest"
)

const zone = `
1.2.0.192.in-addr.arpa. PTR mx.example.com.
mx.example.com. A 192.0.2.1
2.2.0.192.in-addr.arpa. PTR forged.example.com.
forged.example.com. A 192.0.2.99
3.2.0.192.in-addr.arpa. PTR nowhere.example.com.
4.2.0.192.in-addr.arpa. PTR dead.example.com.
$TIMEOUT dead.example.com
5.2.0.192.in-addr.arpa. PTR dead.example.com.
5.2.0.192.in-addr.arpa. PTR five.example.com.
five.example.com. A 192.0.2.5
$TIMEOUT 6.2.0.192.in-addr.arpa
7.2.0.192.in-addr.arpa. PTR six.example.com.
six.example.com. AAAA 2001:db8::7
8.2.0.192.in-addr.arpa. PTR alias.example.com.
alias.example.com. CNAME eight.example.com.
eight.example.com. A 192.0.2.8
9.2.0.192.in-addr.arpa. PTR MX9.Example.COM.
mx9.example.com. A 192.0.2.9
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR v6.example.com.
v6.example.com. AAAA 2001:db8::1
`

func TestCheck(t *testing.T) {
	z := dnstest.MustParse(t, zone)
	for _, test := range []struct {
		ip     string
		status Status
		name   string
	}{
		{"192.0.2.1", Pass, "mx.example.com"},
		{"::ffff:192.0.2.1", Pass, "mx.example.com"},
		{"2001:db8::1", Pass, "v6.example.com"},
		{"192.0.2.8", Pass, "alias.example.com"},
		{"192.0.2.9", Pass, "mx9.example.com"},
		{"192.0.2.2", Fail, ""},
		{"192.0.2.3", Fail, ""},
		{"192.0.2.7", Fail, ""}, // its name has addresses of the other family only
		{"192.0.2.4", TempError, ""},
		{"192.0.2.5", Pass, "five.example.com"}, // despite the other name
		{"192.0.2.6", TempError, ""},
		{"192.0.2.200", PermError, ""},
		{"", PermError, ""},
	} {
		var ip netip.Addr
		if test.ip != "" {
			ip = netip.MustParseAddr(test.ip)
		}
		r := Check(context.Background(), z, ip)
		if r.Status != test.status || r.Name != test.name || (r.Err == nil) != (r.Status == Pass) {
			t.Errorf("%q: %+v", test.ip, r)
		}
	}
}

// TestBounds checks that at most ten names are looked up.
func TestBounds(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "1.2.0.192.in-addr.arpa. PTR h%d.example.com.\nh%d.example.com. A 192.0.2.99\n", i, i)
	}
	z := dnstest.MustParse(t, text.String())
	if r := Check(context.Background(), z, netip.MustParseAddr("192.0.2.1")); r.Status != Fail {
		t.Errorf("%+v", r)
	}
	if n := len(z.Queries()); n != MaxLookups {
		t.Errorf("%d look-ups", n)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := Check(ctx, dnstest.MustParse(t, zone), netip.MustParseAddr("192.0.2.1")); r.Status != TempError {
		t.Errorf("%+v", r)
	}
}
