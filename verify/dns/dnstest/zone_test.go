package dnstest_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

const zoneText = `
$TTL 60
example.com.          SOA ns.example.com. admin.example.com. 1 2 3 4 5
example.com.          TXT "one" ; a comment
                      TXT "two"
a.b.example.com.      TXT "deep"
*.wild.example.com.   TXT "any"
x.wild.example.com.   A   192.0.2.1
Mixed.Example.COM.    TXT "mixed"
alias.example.com.    CNAME mixed.example.com.
astray.example.com.   CNAME none.example.com.
loop.example.com.     CNAME pool.example.com.
pool.example.com.     CNAME loop.example.com.
e\115c\.aped.example.com. TXT "escaped"
$RCODE SERVFAIL broken.example.com
$RCODE REFUSED example.com MX
$TIMEOUT silent.example.com A
half.example.com.     CNAME alias.example.com.
$PARTIAL half.example.com
`

func TestZoneAnswersAsAServerWould(t *testing.T) {
	z := dnstest.MustParse(t, zoneText)
	addr := dnstest.Serve(t, z)
	for _, test := range []struct {
		ask    string
		want   string
		rcode  int
		hasSOA bool
	}{
		{ask: "TXT example.com.", want: "one two"},
		{ask: "TXT EXAMPLE.com.", want: "one two"},
		{ask: "AAAA example.com.", hasSOA: true},
		{ask: "TXT b.example.com.", hasSOA: true}, // an empty non-terminal
		{ask: "TXT com."},
		{ask: "TXT none.example.com.", rcode: mdns.RcodeNameError, hasSOA: true},
		{ask: "TXT example.net.", rcode: mdns.RcodeNameError},
		{ask: "TXT y.wild.example.com.", want: "any"},
		{ask: "TXT z.y.wild.example.com.", want: "any"},
		// A wildcard does not cover names that exist, nor names below them
		// (RFC 4592 section 2.2.1).
		{ask: "TXT x.wild.example.com.", hasSOA: true},
		{ask: "TXT y.x.wild.example.com.", rcode: mdns.RcodeNameError, hasSOA: true},
		{ask: "TXT mixed.example.com.", want: "mixed"},
		{ask: "TXT alias.example.com.", want: "alias mixed"},
		{ask: "TXT half.example.com.", want: "alias"},
		{ask: "TXT astray.example.com.", want: "alias", rcode: mdns.RcodeNameError, hasSOA: true},
		{ask: "TXT loop.example.com.", want: strings.TrimSpace(strings.Repeat("alias ", 16)), rcode: mdns.RcodeServerFailure},
		{ask: `TXT esc\.aped.example.com.`, want: "escaped"},
		{ask: "TXT broken.example.com.", rcode: mdns.RcodeServerFailure},
		{ask: "MX example.com.", rcode: mdns.RcodeRefused},
		{ask: "TXT silent.example.com.", rcode: mdns.RcodeNameError, hasSOA: true}, // silent for A only
	} {
		qtype, name, _ := strings.Cut(test.ask, " ")
		m, err := mdns.Exchange(new(mdns.Msg).SetQuestion(name, mdns.StringToType[qtype]), addr)
		if err != nil {
			t.Errorf("%s: %v", test.ask, err)
			continue
		}
		var got []string
		for _, rr := range m.Answer {
			switch rr := rr.(type) {
			case *mdns.TXT:
				got = append(got, rr.Txt...)
			case *mdns.CNAME:
				got = append(got, "alias")
			}
		}
		if strings.Join(got, " ") != test.want || m.Rcode != test.rcode || (len(m.Ns) == 1) != test.hasSOA {
			t.Errorf("%s: got %q, rcode %d, authority %v", test.ask, got, m.Rcode, m.Ns)
		}
	}
}

func TestZoneIsAResolver(t *testing.T) {
	z := dnstest.MustParse(t, zoneText)
	ctx := context.Background()
	if err := z.Add(`added.example.com. MX 10 mx.example.com.`); err != nil {
		t.Fatal(err)
	}
	if a, err := z.MX(ctx, "added.example.com"); err != nil || !slices.Equal(a.Values, []dns.MX{{Preference: 10, Host: "mx.example.com"}}) {
		t.Errorf("added: %v, %v", a.Values, err)
	}
	if a, err := z.TXT(ctx, "alias.example.com"); err != nil || !slices.Equal(a.CNAMEs, []string{"mixed.example.com"}) {
		t.Errorf("alias: %v, %v", a.CNAMEs, err)
	}
	if _, err := z.A(ctx, "silent.example.com"); !dns.IsTemporary(err) {
		t.Errorf("silent: %v", err)
	}
	if _, err := z.TXT(ctx, "none.example.com"); !dns.IsNotFound(err) {
		t.Errorf("none: %v", err)
	}
	z.AddTXT(`odd\032name.example.com`, "odd")
	if a, err := z.TXT(ctx, "odd name.example.com"); err != nil || !slices.Equal(a.Values, []string{"odd"}) {
		t.Errorf("odd name: %v, %v", a.Values, err)
	}
	want := []string{"MX added.example.com", "TXT alias.example.com"}
	if got := z.Queries(); !slices.Equal(got[:2], want) {
		t.Errorf("queries %q", got)
	}
}

func TestZoneAnswersAlike(t *testing.T) {
	z := dnstest.MustParse(t, zoneText+`
1.2.0.192.in-addr.arpa. PTR mixed.example.com.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mixed.example.com.
many.example.com. A 192.0.2.1
many.example.com. A 192.0.2.2
many.example.com. MX 20 b.
many.example.com. MX 10 .
$TRUNCATE many.example.com
$DELAY 10ms late.example.com
late.example.com. 0 TXT "late"
`)
	z.AddTXT("large.example.com", strings.Repeat("large ", 1000))
	if n := dnstest.Alike(t, z); n < 150 {
		t.Errorf("only %d questions", n)
	}
	var reverse []string
	for _, q := range z.Queries() {
		if strings.HasPrefix(q, "PTR") && !slices.Contains(reverse, q) {
			reverse = append(reverse, q)
		}
	}
	if len(reverse) != 2 {
		t.Errorf("reverse look-ups %q", reverse)
	}
}

func TestZoneWithMistakes(t *testing.T) {
	for _, text := range []string{
		"$TIMEOUT",
		"$TIMEOUT a.example TXT too much",
		"$TIMEOUT a.example TEXT",
		"$RCODE SERVFALE a.example",
		"$RCODE SERVFAIL",
		"$RCODE",
		"$DELAY soon a.example",
		"$DELAY 1s",
		"$TRUNCATE",
		"$PARTIAL",
		"$UNKNOWN a.example",
		"a.example. TXTT \"x\"",
		"a.example. A 192.0.2",
	} {
		if _, err := dnstest.Parse(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestServerChangesItsZone(t *testing.T) {
	s, err := dnstest.NewServer(dnstest.MustParse(t, `a.example. 0 TXT "old"`), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := dns.New(dns.Config{Servers: []string{s.Addr()}})
	for _, text := range []string{"old", "new"} {
		s.SetZone(dnstest.MustParse(t, `a.example. 0 TXT "`+text+`"`))
		if a, err := c.TXT(context.Background(), "a.example"); err != nil || !slices.Equal(a.Values, []string{text}) {
			t.Errorf("%s: got %v, %v", text, a.Values, err)
		}
	}
	s.Close()
	s.Close()
}
