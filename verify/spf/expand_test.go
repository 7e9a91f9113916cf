package spf

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"authmilter/verify/dns/dnstest"
)

// rfcZone has the PTR record of RFC 7208 section 7.4.
const rfcZone = `
3.2.0.192.in-addr.arpa. PTR mx.example.org.
1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx.example.org.
mx.example.org. A 192.0.2.3
mx.example.org. AAAA 2001:db8::cb01
`

// rfcArgs are the arguments of RFC 7208 section 7.4.
var rfcArgs = Args{
	IP:       netip.MustParseAddr("192.0.2.3"),
	Helo:     "helo.example.net",
	MailFrom: "strong-bad@email.example.com",
	Receiver: "mx.example.net",
	Now:      time.Unix(1400000000, 0),
}

// TestMacroExamples expands the examples of RFC 7208 section 7.4.
func TestMacroExamples(t *testing.T) {
	for _, test := range []struct{ macro, want string }{
		{"%{s}", "strong-bad@email.example.com"},
		{"%{o}", "email.example.com"},
		{"%{d}", "email.example.com"},
		{"%{d4}", "email.example.com"},
		{"%{d3}", "email.example.com"},
		{"%{d2}", "example.com"},
		{"%{d1}", "com"},
		{"%{dr}", "com.example.email"},
		{"%{d2r}", "example.email"},
		{"%{l}", "strong-bad"},
		{"%{l-}", "strong.bad"},
		{"%{lr}", "strong-bad"},
		{"%{lr-}", "bad.strong"},
		{"%{l1r-}", "strong"},
		{"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
		{"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
		{"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
		// Not in the examples:
		{"%{p}", "mx.example.org"},
		{"%{h}", "helo.example.net"},
		{"%{i}", "192.0.2.3"},
		{"%{d127}", "email.example.com"},
		{"%{d99999999999999999999}", "email.example.com"},
		{"%{l1-}", "bad"},
		{"%{sr@}", ""}, // "@" is not a delimiter
		{"%{s+-.}", "strong.bad@email.example.com"},
		{"%{S}", "strong-bad%40email.example.com"},
		{"a%%b%_c%-d.%{v}", "a%b c%20d.in-addr"},
	} {
		checkExpansion(t, rfcArgs, test.macro, test.want)
	}
	six := rfcArgs
	six.IP = netip.MustParseAddr("2001:db8::cb01")
	for _, test := range []struct{ macro, want string }{
		{"%{ir}.%{v}._spf.%{d2}", "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"},
		{"%{i}", "2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.b.0.1"},
		{"%{p}", "mx.example.org"},
		{"%{v}", "ip6"},
	} {
		checkExpansion(t, six, test.macro, test.want)
	}
	mapped := rfcArgs
	mapped.IP = netip.MustParseAddr("::ffff:192.0.2.3")
	checkExpansion(t, mapped, "%{ir}.%{v}", "3.2.0.192.in-addr")
}

// checkExpansion expands macro, a domain-spec in the record of the sender's
// domain. want is "" if it is malformed.
func checkExpansion(t *testing.T, a Args, macro, want string) {
	t.Helper()
	spec, err := parseDomainSpec(macro)
	if err != nil {
		if want != "" {
			t.Errorf("%s: %v", macro, err)
		}
		return
	}
	if got := expand(t, a, spec); got != want {
		t.Errorf("%s: got %q, want %q", macro, got, want)
	}
}

func testEvaluation(t *testing.T, a Args) *evaluation {
	t.Helper()
	local, name := splitSender(a.MailFrom)
	e := newEvaluation(dnstest.MustParse(t, rfcZone), &a, local)
	e.senderDomain = name
	return e
}

func expand(t *testing.T, a Args, spec MacroString) string {
	t.Helper()
	e := testEvaluation(t, a)
	name, _, x := e.target(context.Background(), spec, e.senderDomain)
	if x != nil {
		t.Errorf("%s: %v", spec, x)
	}
	return name
}

// TestMacroParts checks that empty parts of values are kept
// (RFC 7208 section 7.3).
func TestMacroParts(t *testing.T) {
	for _, test := range []struct{ local, macro, want string }{
		{"a-b+c", "%{l+-}", "a.b.c"},
		{"a-b+c", "%{l2+-}", "b.c"},
		{"a-b+c", "%{l2r+-}", "b.a"},
		{"-a--b-", "%{l-}", ".a..b."},
		{"-a--b-", "%{lr-}", ".b..a."},
		{"-a--b-", "%{l2-}", "b."},
		{"a.b-c", "%{lr-}", "c.a.b"},
		{"a.b-c", "%{lr}", "b-c.a"},
		{"", "%{l}", "postmaster"},
		{"~a_b/c=d", "%{L}", "~a_b%2Fc%3Dd"},
		{"~a_b/c=d", "%{L_/=}", "~a.b.c.d"},
		{`"a b"`, "%{l}", `"a b"`},
		{"\"\x01\"", "%{L}", "%22%01%22"},
		{"a,b", "%{l1,}", "b"},
	} {
		a := rfcArgs
		a.MailFrom = test.local + "@example.com"
		spec, err := parseDomainSpec(test.macro + ".%{d}")
		if err != nil {
			t.Errorf("%s: %v", test.macro, err)
			continue
		}
		if got := expand(t, a, spec); got != test.want+".example.com" {
			t.Errorf("%s of %q: got %q, want %q", test.macro, test.local, got, test.want)
		}
	}
}

// TestTruncation checks that names are cut at a dot to 253 octets
// (RFC 7208 section 7.3).
func TestTruncation(t *testing.T) {
	label := strings.Repeat("a", 49) + "." // 50 octets
	end := strings.Repeat(label, 5)[:249]  // five labels
	for _, test := range []struct{ name, want string }{
		{"abc." + end, "abc." + end},
		{"abcd." + end, end},
		{"x.abc." + end, "abc." + end},
		{"x." + strings.Repeat(label, 20) + "abc." + end, "abc." + end},
		{strings.Repeat(label, 20) + "abcd." + end, end},
		{strings.Repeat(label, 20) + "abcde." + end, end},
		{strings.Repeat("a", 300), ""},
		{strings.Repeat("a", 300) + ".com", "com"},
	} {
		if got := truncate(test.name); got != test.want {
			t.Errorf("%d octets: got %q, want %q", len(test.name), got, test.want)
		}
		// The same through macros, in pieces, with a dot at the end.
		want := truncate("in-addr." + test.name)
		for _, size := range []int{7, 2000} {
			spec := MacroString{segments: []segment{{letter: 'v'}, {literal: "."}}}
			for rest := test.name + "."; rest != ""; {
				n := min(len(rest), size)
				spec.segments = append(spec.segments, segment{literal: rest[:n]})
				rest = rest[n:]
			}
			if got := expand(t, rfcArgs, spec); got != want {
				t.Errorf("%d octets in pieces of %d: got %q, want %q", len(test.name), size, got, want)
			}
		}
	}
}

func TestExplanationMacros(t *testing.T) {
	six := rfcArgs
	six.IP = netip.MustParseAddr("2001:db8::cb01")
	for _, test := range []struct {
		args Args
		text string
		want string
	}{
		{rfcArgs, "Mail from example.com should only be sent by its own servers.", "Mail from example.com should only be sent by its own servers."},
		{rfcArgs, "%{i} is not one of %{d}'s designated mail servers.", "192.0.2.3 is not one of email.example.com's designated mail servers."},
		{rfcArgs, "See http://%{d}/why.html?s=%{S}&i=%{I}", "See http://email.example.com/why.html?s=strong-bad%40email.example.com&i=192.0.2.3"},
		{rfcArgs, "%{c} %{r} %{t}", "192.0.2.3 mx.example.net 1400000000"},
		{six, "%{c} %{C}", "2001:db8::cb01 2001%3Adb8%3A%3Acb01"},
		{Args{IP: rfcArgs.IP, MailFrom: "a@example.com"}, "%{r}", "unknown"},
		{rfcArgs, "a dot at the end.", "a dot at the end."},
		{Args{IP: rfcArgs.IP, MailFrom: "a@example.com", Helo: "a\r\nb"}, "%{h}", ""},
		{Args{IP: rfcArgs.IP, MailFrom: "a@example.com", Helo: "a\r\nb"}, "%{H}", "a%0D%0Ab"},
		{Args{IP: rfcArgs.IP, MailFrom: "a@example.com", Helo: "\u00fc b"}, "%{h}", ""},
		{Args{IP: rfcArgs.IP, MailFrom: "a@example.com", Helo: "b\u00fccher.example"}, "%{h}", "xn--bcher-kva.example"},
		{Args{IP: rfcArgs.IP, MailFrom: "\u00fc@example.com"}, "%{d} %{l}", ""},
		{Args{IP: rfcArgs.IP, MailFrom: "\u00fc@example.com"}, "%{d}", "example.com"},
		{Args{IP: rfcArgs.IP, MailFrom: "\u00fc@example.com"}, "%{L}", ""},
		{rfcArgs, strings.Repeat("a", 500), strings.Repeat("a", maxExplanation)},
		{rfcArgs, strings.Repeat("%%", 100) + strings.Repeat("a", 500), strings.Repeat("%", 100) + strings.Repeat("a", 300)},
	} {
		m, err := parseMacroString(test.text, inExplanation)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		e := testEvaluation(t, test.args)
		got, _ := e.explanation(context.Background(), m, e.senderDomain)
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
	for _, text := range []string{"The %{x}-files.", "\u00fc", "a\tb", "100% sure"} {
		if m, err := parseMacroString(text, inExplanation); err == nil {
			t.Errorf("%q: parsed as %s", text, m)
		}
	}
}
