package spf

import (
	"context"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
)

// FuzzParseRecord checks that printing and parsing again gives the same record.
func FuzzParseRecord(f *testing.F) {
	for _, text := range []string{
		"v=spf1",
		"v=spf1 include:_spf.example.com ~all",
		"V=sPf1  +A/24//64 -mX:%{D2r.-+,/_=}/8 ?ptr:%{d}. exists:%{ir}.%{l1r-}._spf.%{d2} ",
		"v=spf1 ip4:192.0.2.0/24 ip4:0.0.0.0/0 ip6:2001:DB8::/32 ip6:::ffff:192.0.2.1 -all",
		"v=spf1 redirect=%{d}.example exp=explain._spf.%{d} moo=%{c}%%%_%- x.y-z_1=",
		"v=spf1 a:foo:bar/baz.example.com a:..com mx//0 a/0",
		"v=spf1 a:%{d0} a/33 ip4:1.2.3 all:",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(text)
		if err != nil {
			if r != nil {
				t.Error("got both a record and an error")
			}
			return
		}
		printed := r.String()
		again, err := ParseRecord(printed)
		if err != nil {
			t.Fatalf("%q: %v", printed, err)
		}
		if !reflect.DeepEqual(again, r) {
			t.Errorf("%q parses to a different record than %q", printed, text)
		}
		if got := again.String(); got != printed {
			t.Errorf("printed %q, then, parsed again, %q", printed, got)
		}
	})
}

// FuzzMacro checks that printing and parsing again gives the same macro-string, and
// that expansions stay within their limits.
func FuzzMacro(f *testing.F) {
	f.Add("%{ir}.%{v}._spf.%{d2}", "strong-bad", "helo.example.net", uint8(inDomainSpec))
	f.Add("See http://%{d}/why.html?s=%{S}&i=%{I} %{c} %{r} %{t}", "a b\"\r\n", "[192.0.2.1]", uint8(inExplanation))
	f.Add("%{H}%{p}%{l12R-.}%%%_%-", "\u00fc", "\xff\x00", uint8(inModifier))
	f.Add("%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}.", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", uint8(inDomainSpec))
	f.Fuzz(func(t *testing.T, text, local, helo string, use uint8) {
		parse := func(text string) (MacroString, error) {
			if use := macroUse(use % 3); use != inDomainSpec {
				return parseMacroString(text, use)
			}
			return parseDomainSpec(text)
		}
		m, err := parse(text)
		if err != nil {
			return
		}
		again, err := parse(m.String())
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%q, printed as %q, parses to %q: %v", text, m, again, err)
		}
		a := Args{IP: netip.MustParseAddr("2001:db8::1"), Helo: helo, Now: time.Unix(0, 0)}
		e := newEvaluation(nowhere{}, &a, local)
		e.senderDomain = "example.com"
		if !e.expandable(m) {
			return
		}
		name, ok, _ := e.target(context.Background(), m, "example.com")
		if len(name) > domain.MaxLength || ok != isName(name) {
			t.Errorf("%q: name %q of %d octets, %v", text, name, len(name), ok)
		}
		shown, ok := e.explanation(context.Background(), m, "example.com")
		if len(shown) > maxExplanation || !ok && shown != "" {
			t.Errorf("%q: explanation %q", text, shown)
		}
		for i := range len(shown) {
			if shown[i] < ' ' || shown[i] > '~' {
				t.Errorf("%q: explanation %q", text, shown)
			}
		}
	})
}

// FuzzCheck evaluates any record for any client.
func FuzzCheck(f *testing.F) {
	f.Add("v=spf1 a mx:%{h} ptr exists:%{s}.%{p} include:%{l} -all exp=%{L}", "a@example.com", "helo.example.net")
	f.Add("v=spf1 redirect=%{d}.", "@a,@b:c@example.com", "")
	f.Add("v=spf1 ?include:%{d} ~all", "", "\u00fc.example")
	f.Fuzz(func(t *testing.T, record, from, helo string) {
		r := Check(context.Background(), nowhere{record}, Args{
			IP: netip.MustParseAddr("192.0.2.1"), MailFrom: from, Helo: helo, Explain: true,
			Trace: func(Step) {},
		})
		if r.Status != Pass && r.Text() == "" {
			t.Errorf("no reason: %+v", r)
		}
		if r.Lookups > MaxLookups || r.Void > DefaultMaxVoid {
			t.Errorf("limits exceeded: %+v", r)
		}
		if _, err := domain.ToASCII(r.Domain); r.Domain != "" && err != nil {
			t.Errorf("domain %q", r.Domain)
		}
	})
}

// nowhere is a DNS in which every name has the same record and nothing else.
type nowhere struct{ record string }

func (n nowhere) TXT(context.Context, string) (dns.Answer[string], error) {
	return dns.Answer[string]{Values: []string{n.record}}, nil
}

func (nowhere) MX(context.Context, string) (a dns.Answer[dns.MX], err error) { return a, nil }

func (nowhere) A(context.Context, string) (a dns.Answer[netip.Addr], err error) { return a, nil }

func (nowhere) AAAA(context.Context, string) (a dns.Answer[netip.Addr], err error) { return a, nil }

func (nowhere) PTR(context.Context, netip.Addr) (dns.Answer[string], error) {
	return dns.Answer[string]{Values: []string{"P.Example.com"}}, nil
}
