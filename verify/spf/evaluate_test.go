package spf_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/spf"
)

const checkZone = `
pass.example.       TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"
link.example.       TXT "v=spf1 ip6:fe80::/10 -all"
two.example.        TXT "v=spf1 -all"
two.example.        TXT "V=SPF1 +all"
others.example.     TXT "google-site-verification=abc"
others.example.     TXT "v=spf10 +all"
soft.example.       TXT "v=spf1 ~all"
neutral.example.    TXT "v=spf1 ?all"
default.example.    TXT "v=spf1 ip4:198.51.100.1"
syntax.example.     TXT "v=spf1 +all moo"
$RCODE SERVFAIL servfail.example TXT
$RCODE REFUSED refused.example TXT
$TIMEOUT timeout.example TXT

inc-pass.example.   TXT "v=spf1 ?include:pass.example -all"
inc-fail.example.   TXT "v=spf1 include:two-ips.example ~all"
two-ips.example.    TXT "v=spf1 ip4:198.51.100.1 ip4:198.51.100.2 -all exp=why.example"
inc-none.example.   TXT "v=spf1 include:others.example -all"
inc-gone.example.   TXT "v=spf1 include:gone.example -all"
inc-temp.example.   TXT "v=spf1 include:servfail.example -all"
inc-perm.example.   TXT "v=spf1 include:syntax.example -all"
inc-deep.example.   TXT "v=spf1 include:inc-perm.example -all"
inc-label.example.  TXT "v=spf1 include:%{h} -all"

red.example.        TXT "v=spf1 redirect=two-ips.example exp=other.example"
red-all.example.    TXT "v=spf1 redirect=gone.example ~all"
red-gone.example.   TXT "v=spf1 redirect=gone.example"
red-none.example.   TXT "v=spf1 redirect=others.example"
red-temp.example.   TXT "v=spf1 redirect=servfail.example"
red-perm.example.   TXT "v=spf1 redirect=syntax.example"
red-label.example.  TXT "v=spf1 redirect=%{h}"
red-pass.example.   TXT "v=spf1 redirect=pass.example"
red-default.example. TXT "v=spf1 redirect=default.example"
red-loop.example.   TXT "v=spf1 redirect=red-loop.example"
inc-loop.example.   TXT "v=spf1 include:inc-loop.example"

why.example.        TXT "%{i} may not send as %{d} for %{o}"
other.example.      TXT "never shown"
inc-exp.example.    TXT "v=spf1 include:two-ips.example -all exp=own.example"
own.example.        TXT "own: %{p} %{d}"
exp-p.example.      TXT "v=spf1 -all exp=%{p}.why.example"
unknown.why.example. TXT "unknown client"
exp-temp.example.   TXT "v=spf1 -all exp=servfail.example"

a-temp.example.     TXT "v=spf1 a:a-servfail.example -all"
$RCODE SERVFAIL a-servfail.example
mx-temp.example.    TXT "v=spf1 mx -all"
mx-temp.example.    MX 10 a-servfail.example.
mx-order.example.   TXT "v=spf1 mx -all"
mx-order.example.   MX 20 a-servfail.example.
mx-order.example.   MX 10 host.example.
ptr-temp.example.   TXT "v=spf1 ptr -all"
host.example.       A 192.0.2.1
host.example.       AAAA 2001:db8::1
mx-null.example.    TXT "v=spf1 mx -all"
mx-null.example.    MX 0 .
mx-more.example.    TXT "v=spf1 mx -all"
mx-more.example.    MX 0 .
mx-more.example.    MX 10 host.example.

local.example.      TXT "v=spf1 -exists:%{l}.bad.example -include:%{s} -a:%{L}.bad.example +all"
local-red.example.  TXT "v=spf1 redirect=%{l}.bad.example"
*.bad.example.      A 127.0.0.2
helo.example.       TXT "v=spf1 exists:%{h}.ok.example -all"
*.ok.example.       A 127.0.0.2
odd.example.        TXT "v=spf1 exists:%{l}.odd.example -all"
a+b.odd.example.    A 127.0.0.2
plus.example.       TXT "v=spf1 include:%{l}.plus.example -all"
a+b.plus.example.   TXT "v=spf1 +all"

xn--bcher-kva.example. TXT "v=spf1 a:%{o}.idn.example -all"
xn--bcher-kva.example.idn.example. A 192.0.2.1
under_score.example. TXT "v=spf1 +all"
cname.example.      CNAME pass.example.
numeric.example.1.  TXT "v=spf1 +all"
localhost.          TXT "v=spf1 +all"
`

func TestCheck(t *testing.T) {
	const (
		four = "192.0.2.1"
		six  = "2001:db8::1"
	)
	for _, test := range []struct {
		from, helo, ip string
		want           string // status, and the mechanism
		reason         string
	}{
		// Identities, RFC 7208 sections 2.3, 2.4 and 4.3.
		{from: "a@pass.example", want: "pass ip4:192.0.2.0/24", reason: "matched ip4:192.0.2.0/24"},
		{from: "a@PASS.Example.", want: "pass ip4:192.0.2.0/24", reason: "matched ip4:192.0.2.0/24"},
		{from: "a@pass.example", ip: six, want: "pass ip6:2001:db8::/32", reason: "matched ip6:2001:db8::/32"},
		{from: "a@link.example", ip: "fe80::1%eth0", want: "pass ip6:fe80::/10", reason: "matched ip6:fe80::/10"},
		{from: "a@pass.example", ip: "::ffff:192.0.2.1", want: "pass ip4:192.0.2.0/24", reason: "matched ip4:192.0.2.0/24"},
		{from: "a@pass.example", ip: "198.51.100.1", want: "fail -all", reason: "matched -all"},
		{from: "a@pass.example", ip: "none", want: "none", reason: "client address unknown"},
		{helo: "pass.example", want: "pass ip4:192.0.2.0/24", reason: "matched ip4:192.0.2.0/24"},
		{helo: "[192.0.2.1]", want: "none", reason: "HELO is not a domain name"},
		{helo: "192.0.2.1", want: "none", reason: "HELO is not a domain name"},
		{helo: "localhost", want: "none", reason: "domain name of a single label"},
		{helo: "", want: "none", reason: "HELO is not a domain name"},
		{from: "root", helo: "pass.example", want: "none", reason: "sender has no valid domain name"},
		{from: "a@[192.0.2.1]", want: "none", reason: "sender has no valid domain name"},
		{from: "a@[IPv6:2001:db8::1]", want: "none", reason: "sender has no valid domain name"},
		{from: "a@numeric.example.1", want: "none", reason: "sender has no valid domain name"},
		{from: "a@localhost", want: "none", reason: "domain name of a single label"},
		{from: "a@pass.example\x00.net", want: "none", reason: "sender has no valid domain name"},
		{from: "a@pass.example(x)", want: "none", reason: "sender has no valid domain name"},
		{from: "a@b@pass.example", want: "pass ip4:192.0.2.0/24", reason: "matched ip4:192.0.2.0/24"},
		{from: "@relay.example:a+b@odd.example", want: "pass exists:%{l}.odd.example", reason: "matched exists:%{l}.odd.example"},
		{from: "a@under_score.example", want: "pass all", reason: "matched all"},
		{from: "a@cname.example", want: "pass ip4:192.0.2.0/24", reason: "matched ip4:192.0.2.0/24"},
		{from: "a@b\u00fccher.example", want: "pass a:%{o}.idn.example", reason: "matched a:%{o}.idn.example"},
		// Records, sections 4.4 to 4.7.
		{from: "a@gone.example", want: "none", reason: "domain does not exist"},
		{from: "a@host.example", want: "none", reason: "no SPF record"},
		{from: "a@others.example", want: "none", reason: "no SPF record"},
		{from: "a@two.example", want: "permerror", reason: "more than one SPF record"},
		{from: "a@servfail.example", want: "temperror", reason: "TXT servfail.example: SERVFAIL"},
		{from: "a@refused.example", want: "temperror", reason: "TXT refused.example: REFUSED"},
		{from: "a@timeout.example", want: "temperror", reason: "TXT timeout.example: no answer, as the zone asks"},
		{from: "a@syntax.example", want: "permerror", reason: "moo: unknown mechanism"},
		{from: "a@soft.example", want: "softfail ~all", reason: "matched ~all"},
		{from: "a@neutral.example", want: "neutral ?all", reason: "matched ?all"},
		{from: "a@default.example", want: "neutral default", reason: "no mechanism matched"},
		// include, section 5.2.
		{from: "a@inc-pass.example", want: "neutral ?include:pass.example", reason: "matched ?include:pass.example"},
		{from: "a@inc-fail.example", want: "softfail ~all", reason: "matched ~all"},
		{from: "a@inc-none.example", want: "permerror include:others.example", reason: "include:others.example: no SPF record"},
		{from: "a@inc-gone.example", want: "permerror include:gone.example", reason: "include:gone.example: domain does not exist"},
		{from: "a@inc-temp.example", want: "temperror include:servfail.example", reason: "include:servfail.example: TXT servfail.example: SERVFAIL"},
		{from: "a@inc-perm.example", want: "permerror include:syntax.example", reason: "include:syntax.example: moo: unknown mechanism"},
		{from: "a@inc-deep.example", want: "permerror include:inc-perm.example", reason: "include:inc-perm.example: include:syntax.example: moo: unknown mechanism"},
		{from: "a@inc-label.example", helo: "localhost", want: "permerror include:%{h}", reason: "include:%{h}: domain name of a single label"},
		{from: "a@inc-label.example", helo: "a..b", want: "permerror include:%{h}", reason: "include:%{h}: not a possible domain name"},
		// redirect, section 6.1.
		{from: "a@red.example", want: "fail -all", reason: "matched -all in the record of two-ips.example"},
		{from: "a@red-pass.example", want: "pass ip4:192.0.2.0/24", reason: "matched ip4:192.0.2.0/24 in the record of pass.example"},
		{from: "a@red-all.example", want: "softfail ~all", reason: "matched ~all"},
		{from: "a@red-gone.example", want: "permerror redirect=gone.example", reason: "redirect=gone.example: domain does not exist"},
		{from: "a@red-none.example", want: "permerror redirect=others.example", reason: "redirect=others.example: no SPF record"},
		{from: "a@red-temp.example", want: "temperror redirect=servfail.example", reason: "redirect=servfail.example: TXT servfail.example: SERVFAIL"},
		{from: "a@red-perm.example", want: "permerror", reason: "moo: unknown mechanism in the record of syntax.example"},
		{from: "a@red-label.example", helo: "localhost", want: "permerror redirect=%{h}", reason: "redirect=%{h}: domain name of a single label"},
		{from: "a@red-label.example", helo: "a..b", want: "permerror redirect=%{h}", reason: "redirect=%{h}: not a possible domain name"},
		{from: "a@red-default.example", want: "neutral default", reason: "no mechanism matched in the record of default.example"},
		{from: "a@red-loop.example", want: "permerror redirect=red-loop.example", reason: "redirect=red-loop.example: more than 10 terms with DNS look-ups"},
		{from: "a@inc-loop.example", want: "permerror include:inc-loop.example", reason: strings.Repeat("include:inc-loop.example: ", 11) + "more than 10 terms with DNS look-ups"},
		// Look-ups that fail, section 5.
		{from: "a@a-temp.example", want: "temperror a:a-servfail.example", reason: "a:a-servfail.example: A a-servfail.example: SERVFAIL"},
		{from: "a@a-temp.example", ip: six, want: "temperror a:a-servfail.example", reason: "a:a-servfail.example: AAAA a-servfail.example: SERVFAIL"},
		{from: "a@mx-temp.example", want: "temperror mx", reason: "mx: A a-servfail.example: SERVFAIL"},
		{from: "a@mx-order.example", want: "pass mx", reason: "matched mx"},
		{from: "a@mx-null.example", want: "fail -all", reason: "matched -all"},
		{from: "a@mx-more.example", want: "pass mx", reason: "matched mx"},
		{from: "a@ptr-temp.example", ip: "203.0.113.1", want: "fail -all", reason: "matched -all"},
		// Macros, section 7, and RFC 8616 section 4.
		{from: "a@local.example", want: "fail -exists:%{l}.bad.example", reason: "matched -exists:%{l}.bad.example"},
		{from: "\u00fc@local.example", want: "pass all", reason: "matched all"},
		{from: strings.Repeat("a", 600) + "@local.example", want: "pass all", reason: "matched all"},
		{from: "\u00fc@local-red.example", want: "neutral default", reason: "no mechanism matched"},
		{from: "a@helo.example", helo: "b\u00fccher.example", want: "pass exists:%{h}.ok.example", reason: "matched exists:%{h}.ok.example"},
		{from: "a@helo.example", helo: strings.Repeat("a.", 300), want: "fail -all", reason: "matched -all"},
		{from: "a+b@odd.example", want: "pass exists:%{l}.odd.example", reason: "matched exists:%{l}.odd.example"},
		{from: "a+b@plus.example", want: "pass include:%{l}.plus.example", reason: "matched include:%{l}.plus.example"},
	} {
		a := spf.Args{MailFrom: test.from, Helo: test.helo, IP: netip.MustParseAddr(four)}
		switch test.ip {
		case "":
		case "none":
			a.IP = netip.Addr{}
		default:
			a.IP = netip.MustParseAddr(test.ip)
		}
		z := dnstest.MustParse(t, checkZone)
		r := spf.Check(context.Background(), z, a)
		got := strings.TrimSpace(string(r.Status) + " " + r.Mechanism)
		if got != test.want || r.Text() != test.reason {
			t.Errorf("from %.40q helo %.40q ip %s: got %q, %q; want %q, %q",
				test.from, test.helo, test.ip, got, r.Text(), test.want, test.reason)
		}
		switch r.Status {
		case spf.None, spf.TempError, spf.PermError:
			if r.Err == nil {
				t.Errorf("from %q: %s without an error", test.from, r.Status)
			}
		default:
			if r.Err != nil {
				t.Errorf("from %q: %s with error %v", test.from, r.Status, r.Err)
			}
		}
	}
}

func TestIdentity(t *testing.T) {
	z := dnstest.MustParse(t, checkZone)
	ctx, ip := context.Background(), netip.MustParseAddr("192.0.2.1")
	for _, test := range []struct {
		got    spf.Result
		id     spf.Identity
		domain string
		record string
	}{
		{spf.Check(ctx, z, spf.Args{IP: ip, MailFrom: "a@Soft.example", Helo: "pass.example"}), spf.MailFrom, "soft.example", "soft.example"},
		{spf.Check(ctx, z, spf.Args{IP: ip, MailFrom: "", Helo: "Pass.example"}), spf.Helo, "pass.example", "pass.example"},
		{spf.CheckHelo(ctx, z, spf.Args{IP: ip, MailFrom: "a@soft.example", Helo: "pass.example"}), spf.Helo, "pass.example", "pass.example"},
		{spf.Check(ctx, z, spf.Args{IP: ip, MailFrom: "a@b\u00fccher.example"}), spf.MailFrom, "xn--bcher-kva.example", "xn--bcher-kva.example"},
		{spf.Check(ctx, z, spf.Args{IP: ip, MailFrom: "a@red.example"}), spf.MailFrom, "red.example", "two-ips.example"},
		{spf.Check(ctx, z, spf.Args{IP: ip, MailFrom: "a@gone.example"}), spf.MailFrom, "gone.example", ""},
		{spf.Check(ctx, z, spf.Args{IP: ip, MailFrom: "a@"}), spf.MailFrom, "", ""},
	} {
		if test.got.Identity != test.id || test.got.Domain != test.domain || test.got.Record != test.record {
			t.Errorf("got %+v, want %+v", test.got, test)
		}
	}
}

func TestExplanation(t *testing.T) {
	for _, test := range []struct {
		from, want string
	}{
		{"a@two-ips.example", "192.0.2.1 may not send as two-ips.example for two-ips.example"},
		// The explanation comes from the record that decided, not from an included
		// one (RFC 7208 section 6.2).
		{"a@red.example", "192.0.2.1 may not send as two-ips.example for red.example"},
		{"a@inc-exp.example", "own: unknown inc-exp.example"},
		{"a@exp-p.example", "unknown client"},
		{"a@exp-temp.example", ""},
		{"a@pass.example", ""},
		{"a@soft.example", ""},
	} {
		a := spf.Args{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: test.from, Explain: true}
		z := dnstest.MustParse(t, checkZone)
		if got := spf.Check(context.Background(), z, a); got.Explanation != test.want {
			t.Errorf("%s: %q, want %q (%s)", test.from, got.Explanation, test.want, got.Text())
		}
		a.Explain = false
		z = dnstest.MustParse(t, checkZone)
		got := spf.Check(context.Background(), z, a)
		if got.Explanation != "" || slices.ContainsFunc(z.Queries(), func(q string) bool {
			return strings.Contains(q, "why.example") || strings.Contains(q, "own.example") || strings.HasPrefix(q, "PTR")
		}) {
			t.Errorf("%s: explanation %q though Explain is not set, queries %q", test.from, got.Explanation, z.Queries())
		}
	}
}

// TestLimits checks the limits of RFC 7208 section 4.6.4.
func TestLimits(t *testing.T) {
	mxs := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "x.example. MX %d m%d.example.\n", i, i)
		}
		return b.String()
	}
	ptrs := func(names ...string) string {
		var b strings.Builder
		for _, n := range names {
			fmt.Fprintf(&b, "1.2.0.192.in-addr.arpa. PTR %s.\n", n)
		}
		return b.String()
	}
	many := make([]string, 11)
	for i := range many {
		many[i] = fmt.Sprintf("p%d.x.example", i)
	}
	for _, test := range []struct {
		name, record, zone string
		maxVoid            int
		want               string
		lookups, void      int
		queries            int
	}{
		{name: "ten terms", record: strings.Repeat("a:h.example ", 10) + "-all", zone: "h.example. A 192.0.2.9", want: "fail -all", lookups: 10, queries: 11},
		{name: "eleven terms", record: strings.Repeat("a:h.example ", 11) + "-all", zone: "h.example. A 192.0.2.9", want: "permerror a:h.example", lookups: 10, queries: 11},
		{name: "a match before the eleventh", record: strings.Repeat("a:h.example ", 10) + "ip4:192.0.2.1 a:h.example", zone: "h.example. A 192.0.2.9", want: "pass ip4:192.0.2.1", lookups: 10, queries: 11},
		{name: "redirect counts", record: strings.Repeat("a:h.example ", 10) + "redirect=h.example", zone: "h.example. A 192.0.2.9", want: "permerror redirect=h.example", lookups: 10, queries: 11},
		{name: "ip4 and ip6 do not count", record: strings.Repeat("ip4:192.0.2.2 ip6:2001:db8::1 ", 20) + "-all", want: "fail -all", queries: 1},
		{name: "two void", record: "a:v.example a:w.example ?all", want: "neutral ?all", lookups: 2, void: 2, queries: 3},
		{name: "three void", record: "a:v.example a:w.example a:x.example. ?all", want: "permerror a:x.example.", lookups: 3, void: 2, queries: 4},
		{name: "no void allowed", record: "a:v.example ?all", maxVoid: -1, want: "permerror a:v.example", lookups: 1, queries: 2},
		{name: "three void allowed", record: "a:v.example a:w.example a:y.example ?all", maxVoid: 3, want: "neutral ?all", lookups: 3, void: 3, queries: 4},
		{name: "no data is void", record: "mx exists:y.example ptr ?all", want: "permerror ptr", lookups: 3, void: 2, queries: 4},
		{name: "void inside include", record: "a:v.example include:i.example a:w.example ?all", zone: `i.example. TXT "v=spf1 a:z.example"`, want: "permerror a:w.example", lookups: 4, void: 2, queries: 5},
		{name: "an mx is void once", record: "mx a:v.example ?all", zone: mxs(10), want: "neutral ?all", lookups: 2, void: 2, queries: 13},
		{name: "ten exchangers", record: "mx -all", zone: mxs(10) + "m9.example. A 192.0.2.1", want: "pass mx", lookups: 1, void: 1, queries: 12},
		{name: "eleven exchangers", record: "mx -all", zone: mxs(11) + "m0.example. A 192.0.2.1", want: "permerror mx", lookups: 1, queries: 2},
		{name: "names that cannot be are not asked for", record: "a:a..example mx:" + strings.Repeat("a", 64) + ".example exists:a..example ptr:a..example -all", want: "fail -all", lookups: 4, queries: 1},
		{name: "only names below the target are asked for", record: "ptr -all", zone: ptrs("h.example", "p.x.example") + "p.x.example. A 192.0.2.1", want: "pass ptr", lookups: 1, queries: 3},
		{name: "ten names of the client", record: "ptr:gone.example ptr -all", zone: ptrs(many...), want: "fail -all", lookups: 2, queries: 12},
		{name: "macro p counts and asks once", record: "exists:%{p}.h.example exists:%{p}.h.example ?all", zone: ptrs("p.x.example") + "p.x.example. A 192.0.2.1\np.x.example.h.example. TXT x", want: "neutral ?all", lookups: 3, void: 2, queries: 5},
		{name: "macro p over the limit", record: strings.Repeat("a:h.example ", 9) + "a:%{p}.h.example -all", zone: "h.example. A 192.0.2.9", want: "permerror a:%{p}.h.example", lookups: 10, queries: 10},
		{name: "macro p and its term are void once", record: "exists:%{p}.h.example a:v.example ?all", want: "neutral ?all", lookups: 3, void: 2, queries: 4},
		{name: "exp is not limited", record: strings.Repeat("a:h.example ", 10) + "-all exp=%{p}.gone.example", zone: "h.example. A 192.0.2.9", want: "fail -all", lookups: 10, queries: 13},
	} {
		t.Run(test.name, func(t *testing.T) {
			z := dnstest.MustParse(t, test.zone)
			z.AddTXT("x.example", "v=spf1 "+test.record)
			r := spf.Check(context.Background(), z, spf.Args{
				IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a@x.example",
				MaxVoid: test.maxVoid, Explain: true,
			})
			got := string(r.Status) + " " + r.Mechanism
			if got != test.want || r.Lookups != test.lookups || r.Void != test.void || len(z.Queries()) != test.queries {
				t.Errorf("%s (%s), %d look-ups, %d void, %d queries; want %s, %d, %d, %d\n%q", got, r.Text(),
					r.Lookups, r.Void, len(z.Queries()), test.want, test.lookups, test.void, test.queries, z.Queries())
			}
		})
	}
}

// TestVoidDomain checks that the look-up of the first record does not count, since
// it belongs to no term.
func TestVoidDomain(t *testing.T) {
	r := spf.Check(context.Background(), dnstest.MustParse(t, checkZone), spf.Args{
		IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a@gone.example", MaxVoid: -1,
	})
	if r.Status != spf.None || r.Void != 0 || r.Lookups != 0 {
		t.Errorf("%+v", r)
	}
}

// TestValidatedName checks which name %{p} prefers (RFC 7208 section 7.3).
func TestValidatedName(t *testing.T) {
	for _, test := range []struct {
		ptr  string // names of the client; capitals mark names without its address
		want string
	}{
		{"other.example a.x.example x.example", "x.example"},
		{"other.example a.x.example", "a.x.example"},
		{"other.example bad-x.example", "other.example"},
		{"X.example A.x.example other.example", "other.example"},
		{"X.example", "unknown"},
		{"", "unknown"},
	} {
		z := dnstest.MustParse(t, "x.example. TXT \"v=spf1 -all exp=exp.example\"\nexp.example. TXT \"%{p}\"\n")
		for _, name := range strings.Fields(test.ptr) {
			records := []string{"1.2.0.192.in-addr.arpa. PTR " + name + "."}
			if name == strings.ToLower(name) {
				records = append(records, name+". A 192.0.2.1")
			}
			for _, record := range records {
				if err := z.Add(record); err != nil {
					t.Fatal(err)
				}
			}
		}
		r := spf.Check(context.Background(), z, spf.Args{
			IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "a@x.example", Explain: true,
		})
		if r.Explanation != test.want {
			t.Errorf("%q: got %q, want %q", test.ptr, r.Explanation, test.want)
		}
	}
}

// TestUnfinished ends evaluations by a budget or a context. The result must be
// temperror: failed look-ups of client names otherwise count as "no match".
func TestUnfinished(t *testing.T) {
	zone := "\nx.example. TXT \"v=spf1 ptr -all\"\ny.example. TXT \"v=spf1 exists:%{p}.example -all\"\n" +
		"1.2.0.192.in-addr.arpa. PTR p.x.example.\n$DELAY 10s p.x.example A\n"
	ip := netip.MustParseAddr("192.0.2.1")
	for _, from := range []string{"a@x.example", "a@y.example"} {
		for budget := range 3 {
			z := dnstest.MustParse(t, zone)
			r := spf.Check(context.Background(), dns.NewMeter(z, budget), spf.Args{IP: ip, MailFrom: from})
			if r.Status != spf.TempError || !dns.IsBudget(r.Err) {
				t.Errorf("%s with %d queries: %s (%s)", from, budget, r.Status, r.Text())
			}
		}
		c := dns.New(dns.Config{Servers: []string{dnstest.Serve(t, dnstest.MustParse(t, zone))}})
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		begun := time.Now()
		r := spf.Check(ctx, c, spf.Args{IP: ip, MailFrom: from})
		if r.Status != spf.TempError || time.Since(begun) > time.Minute {
			t.Errorf("%s: %s (%s) after %v", from, r.Status, r.Text(), time.Since(begun))
		}
		cancel()
		if r := spf.Check(ctx, c, spf.Args{IP: ip, MailFrom: from}); r.Status != spf.TempError {
			t.Errorf("%s, context already canceled: %s (%s)", from, r.Status, r.Text())
		}
	}
}

func TestStatuses(t *testing.T) {
	seen := map[spf.Status]bool{}
	for _, s := range spf.Statuses() {
		seen[s] = true
	}
	if len(seen) != 7 {
		t.Errorf("%v", spf.Statuses())
	}
}
