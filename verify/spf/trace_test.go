package spf_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/spf"
)

const traceZone = `
example.com.      TXT "v=spf1 ip4:192.0.2.0/24 a:%{h} include:_spf.example.net ?exists:%{ir}.list.example redirect=_r.%{d}"
_spf.example.net. TXT "v=spf1 mx:example.net ~all"
example.net.      MX 10 mx.example.net.
mx.example.net.   A 198.51.100.9
_r.example.com.   TXT "v=spf1 a:gone.example.com include:%{d2} -all"
$RCODE SERVFAIL gone.example.com
`

const wantTrace = `
0 example.com: record v=spf1 ip4:192.0.2.0/24 a:%{h} include:_spf.example.net ?exists:%{ir}.list.example redirect=_r.%{d}
0 example.com: ip4:192.0.2.0/24: no match
0 example.com: a:%{h} (helo.example.org): no match
1 _spf.example.net: record v=spf1 mx:example.net ~all
1 _spf.example.net: mx:example.net (example.net): no match
1 _spf.example.net: ~all: match
0 example.com: include:_spf.example.net (_spf.example.net): no match
0 example.com: ?exists:%{ir}.list.example (1.100.51.198.list.example): no match
0 example.com: redirect=_r.%{d} (_r.example.com): redirect
0 _r.example.com: record v=spf1 a:gone.example.com include:%{d2} -all
0 _r.example.com: a:gone.example.com (gone.example.com): temperror, A gone.example.com: SERVFAIL
`

func TestTrace(t *testing.T) {
	var b strings.Builder
	r := spf.Check(context.Background(), dnstest.MustParse(t, traceZone), spf.Args{
		IP: netip.MustParseAddr("198.51.100.1"), MailFrom: "a@example.com", Helo: "helo.example.org",
		Trace: func(s spf.Step) {
			fmt.Fprintf(&b, "%d %s: ", s.Depth, s.Domain)
			if s.Record != "" {
				fmt.Fprintf(&b, "record %s\n", s.Record)
				return
			}
			b.WriteString(s.Term)
			if s.Target != "" {
				fmt.Fprintf(&b, " (%s)", s.Target)
			}
			fmt.Fprintf(&b, ": %s", s.Outcome)
			if s.Reason != "" {
				fmt.Fprintf(&b, ", %s", s.Reason)
			}
			b.WriteByte('\n')
		},
	})
	if got := b.String(); got != wantTrace[1:] {
		t.Errorf("got\n%s\nwant%s", got, wantTrace)
	}
	const reason = "a:gone.example.com: A gone.example.com: SERVFAIL in the record of _r.example.com"
	if r.Status != spf.TempError || r.Text() != reason {
		t.Errorf("%s: %s", r.Status, r.Text())
	}
}

// TestTraceOfRecords traces records that are missing or malformed.
func TestTraceOfRecords(t *testing.T) {
	for from, want := range map[string]string{
		"a@gone.example":     "none: domain does not exist",
		"a@host.example":     "none: no SPF record",
		"a@two.example":      "permerror: more than one SPF record",
		"a@servfail.example": "temperror: TXT servfail.example: SERVFAIL",
		"a@syntax.example":   "permerror: moo: unknown mechanism",
	} {
		var last spf.Step
		spf.Check(context.Background(), dnstest.MustParse(t, checkZone), spf.Args{
			IP: netip.MustParseAddr("192.0.2.1"), MailFrom: from, Trace: func(s spf.Step) { last = s },
		})
		if got := last.Outcome + ": " + last.Reason; got != want || last.Domain != from[2:] {
			t.Errorf("%s: got %s of %s, want %s", from, got, last.Domain, want)
		}
	}
}

// listener is a DNS in which every name has the same TXT record. It notes the names
// of A queries.
type listener struct {
	hostile
	record string
	names  []string
}

func (l *listener) TXT(context.Context, string) (dns.Answer[string], error) {
	return dns.Answer[string]{Values: []string{l.record}}, nil
}

func (l *listener) A(_ context.Context, name string) (a dns.Answer[netip.Addr], err error) {
	l.names = append(l.names, name)
	return a, nil
}

// TestOddNames checks that expanded names are looked up unchanged, octet by octet
// (RFC 7208 section 4.8).
func TestOddNames(t *testing.T) {
	for _, test := range []struct{ from, helo, spec, want string }{
		{"o'brien@example.com", "", "%{l}.x.example", "o'brien.x.example"},
		{"a@example.com", "", "%{s}.x.example", "a@example.com.x.example"},
		{`"a b"@example.com`, "", "%{l}.x.example", `"a b".x.example`},
		{`a\b;(c)@example.com`, "", "%{l}.x.example", `a\b;(c).x.example`},
		{"a@example.com", "\x00\r\n\x7f", "%{h}.x.example", "\x00\r\n\x7f.x.example"},
		{"a@example.com", "h", "a%_b%%c%-d.%{h}", "a b%c%20d.h"},
		{"A@Example.COM", "Helo", "%{l}.%{d}.%{h}", "A.example.com.Helo"},
	} {
		l := &listener{record: "v=spf1 exists:" + test.spec + " -all"}
		r := spf.Check(context.Background(), l, spf.Args{
			IP: netip.MustParseAddr("192.0.2.1"), MailFrom: test.from, Helo: test.helo,
		})
		if !slices.Equal(l.names, []string{test.want}) {
			t.Errorf("%q, %q, %s: looked up %q, want %q (%s)", test.from, test.helo, test.spec, l.names, test.want, r.Text())
		}
	}
}
