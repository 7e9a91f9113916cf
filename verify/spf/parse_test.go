package spf

import (
	"reflect"
	"strings"
	"testing"
)

// TestParseRecord parses records and prints them. want is "" if the printed text
// equals the original.
func TestParseRecord(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"v=spf1", ""},
		{"v=spf1 ", "v=spf1"},
		{"V=SPF1 -ALL", "v=spf1 -all"},
		{"v=spf1  a   mx  -all  ", "v=spf1 a mx -all"},
		{"v=spf1 +a -a ~a ?a", "v=spf1 a -a ~a ?a"},
		{"v=spf1 a/32//128 mx/32 a//128", "v=spf1 a mx a"},
		{"v=spf1 a/0 mx//0 a/1//2", ""},
		{"v=spf1 a:example.com/24//64 mx:example.com//64", ""},
		{"v=spf1 a:foo:bar/baz.example.com mx:a/b.example.com/8", ""},
		{"v=spf1 a:%{d}/24 mx:%{d}//64 ptr:%{d} ptr ptr:example.com.", ""},
		{"v=spf1 a:example.xn--zckzah a:example.a-b a:example.1a a:example.4-4", ""},
		{"v=spf1 a:%%.example.com a:a%% a:%_ a:x%-", ""},
		{"v=spf1 a:%{D2R.-+,/_=}", "v=spf1 a:%{D2r.-+,/_=}"},
		{"v=spf1 a:%{d0002} a:%{d127}", "v=spf1 a:%{d2} a:%{d127}"},
		{"v=spf1 a:%{s}%{l}%{o}%{d}%{i}%{p}%{v}%{h}", ""},
		{"v=spf1 a:..com a:a..b.example", ""},
		{"v=spf1 include:_spf.example.com exists:%{ir}._spf.example.com", ""},
		{"v=spf1 ip4:192.0.2.1 ip4:192.0.2.1/24 ip4:0.0.0.0/0", ""},
		{"v=spf1 ip4:192.0.2.1/32", "v=spf1 ip4:192.0.2.1"},
		{"v=spf1 ip6:2001:DB8::CD30 ip6:2001:db8:0:0::/32 ip6:::/0", "v=spf1 ip6:2001:db8::cd30 ip6:2001:db8::/32 ip6:::/0"},
		{"v=spf1 ip6:::ffff:192.0.2.1/96", ""},
		{"v=spf1 ip6:::192.0.2.1", "v=spf1 ip6:::c000:201"},
		{"v=spf1 Redirect=_spf.example.com EXP=%{d}", "v=spf1 redirect=_spf.example.com exp=%{d}"},
		{"v=spf1 exp=a.example redirect=b.example -all", "v=spf1 -all redirect=b.example exp=a.example"},
		{"v=spf1 moo= moo.cow-far_out=man:dog/cat moo=%{c}%{r}%{t}", ""},
		// A modifier can have the name of a mechanism.
		{"v=spf1 include=example.com all=1", ""},
	} {
		want := test.want
		if want == "" {
			want = test.text
		}
		r, err := ParseRecord(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if got := r.String(); got != want {
			t.Errorf("%q: got %q, want %q", test.text, got, want)
		}
		again, err := ParseRecord(r.String())
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%q: printed and parsed again: %v, %v", test.text, again, err)
		}
	}
}

func TestParseRecordErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", errVersion.Error()},
		{"v=spf10 -all", errVersion.Error()},
		{"v=spf1\t-all", errVersion.Error()},
		{" v=spf1 -all", errVersion.Error()},
		{"v=spf1 -all moo", "moo: unknown mechanism"},
		{"v=spf1 -all\x00", "-all?: malformed name of a mechanism or modifier"},
		{"v=spf1 a\tmx", "a?mx: malformed name of a mechanism or modifier"},
		{"v=spf1 -", "-: malformed name of a mechanism or modifier"},
		{"v=spf1 --all", "--all: malformed name of a mechanism or modifier"},
		{"v=spf1 1up=foo", "1up=foo: malformed name of a mechanism or modifier"},
		{"v=spf1 =all", "=all: malformed name of a mechanism or modifier"},
		{"v=spf1 -exp=a.example", "-exp=a.example: malformed name of a mechanism or modifier"},
		{"v=spf1 moo/x=y", "moo/x=y: unknown mechanism"},
		{"v=spf1 redirect:a.example", "redirect:a.example: unknown mechanism"},
		{"v=spf1 all.", "all.: unknown mechanism"},
		{"v=spf1 all:x", "all:x: mechanism takes no argument"},
		{"v=spf1 all/8", "all/8: mechanism takes no argument"},
		{"v=spf1 include", "include: domain name missing"},
		{"v=spf1 include:", "include:: domain name missing"},
		{"v=spf1 include/a.example", "include/a.example: domain name missing"},
		{"v=spf1 include:a.example/24", "include:a.example/24: domain name does not end in a valid top-level label"},
		{"v=spf1 exists", "exists: domain name missing"},
		{"v=spf1 exists:a.example//24", "exists:a.example//24: domain name does not end in a valid top-level label"},
		{"v=spf1 a:", "a:: domain name missing"},
		{"v=spf1 a:/24", "a:/24: domain name missing"},
		{"v=spf1 a:museum", "a:museum: domain name does not end in a valid top-level label"},
		{"v=spf1 a:museum.", "a:museum.: domain name does not end in a valid top-level label"},
		{"v=spf1 a:a.example..", "a:a.example..: domain name does not end in a valid top-level label"},
		{"v=spf1 a:%{d}com", "a:%{d}com: domain name does not end in a valid top-level label"},
		{"v=spf1 a:a.-com", "a:a.-com: domain name does not end in a valid top-level label"},
		{"v=spf1 a:a.com-", "a:a.com-: domain name does not end in a valid top-level label"},
		{"v=spf1 a:a.c_m", "a:a.c_m: domain name does not end in a valid top-level label"},
		{"v=spf1 a:abc.123", "a:abc.123: domain name does not end in a valid top-level label"},
		{"v=spf1 a:192.0.2.1", "a:192.0.2.1: IP address where a domain name must be"},
		{"v=spf1 mx:192.0.2.1/24", "mx:192.0.2.1/24: IP address where a domain name must be"},
		{"v=spf1 a/", "a/: malformed prefix length"},
		{"v=spf1 a//", "a//: malformed prefix length"},
		{"v=spf1 a/33", "a/33: prefix length out of range"},
		{"v=spf1 a/024", "a/024: malformed prefix length"},
		{"v=spf1 a/00", "a/00: malformed prefix length"},
		{"v=spf1 a//129", "a//129: prefix length out of range"},
		{"v=spf1 a//064", "a//064: malformed prefix length"},
		{"v=spf1 a/24/64", "a/24/64: prefix length out of range"},
		{"v=spf1 a/24/24", "a/24/24: malformed prefix length"},
		{"v=spf1 a///64", "a///64: malformed prefix length"},
		{"v=spf1 a/99999999999999999999", "a/99999999999999999999: prefix length out of range"},
		{"v=spf1 ptr/24", "ptr/24: malformed prefix length"},
		{"v=spf1 ip4", "ip4: malformed IP network"},
		{"v=spf1 ip4:", "ip4:: malformed IP network"},
		{"v=spf1 ip4/24", "ip4/24: malformed IP network"},
		{"v=spf1 ip4:192.0.2", "ip4:192.0.2: malformed IP network"},
		{"v=spf1 ip4:192.0.02.1", "ip4:192.0.02.1: malformed IP network"},
		{"v=spf1 ip4:192.0.2.256", "ip4:192.0.2.256: malformed IP network"},
		{"v=spf1 ip4:192.0.2.1:25", "ip4:192.0.2.1:25: malformed IP network"},
		{"v=spf1 ip4:192.0.2.1/", "ip4:192.0.2.1/: malformed prefix length"},
		{"v=spf1 ip4:192.0.2.1/+8", "ip4:192.0.2.1/+8: malformed prefix length"},
		{"v=spf1 ip4:192.0.2.1/33", "ip4:192.0.2.1/33: prefix length out of range"},
		{"v=spf1 ip4:192.0.2.1//32", "ip4:192.0.2.1//32: malformed prefix length"},
		{"v=spf1 ip4:2001:db8::1", "ip4:2001:db8::1: malformed IP network"},
		{"v=spf1 ip6:192.0.2.1", "ip6:192.0.2.1: malformed IP network"},
		{"v=spf1 ip6:2001:db8::1%eth0", "ip6:2001:db8::1%eth0: malformed IP network"},
		{"v=spf1 ip6:2001::db8::1", "ip6:2001::db8::1: malformed IP network"},
		{"v=spf1 ip6:::/129", "ip6:::/129: prefix length out of range"},
		{"v=spf1 redirect=", "redirect=: domain name missing"},
		{"v=spf1 exp= -all", "exp=: domain name missing"},
		{"v=spf1 exp=a.example exp=a.example", "exp=a.example: modifier given twice"},
		{"v=spf1 redirect=a.example -all redirect=a.example", "redirect=a.example: modifier given twice"},
		{"v=spf1 exp=%{r}.example", "exp=%{r}.example: macro letter that only explanations may use"},
		{"v=spf1 a:%{c}", "a:%{c}: macro letter that only explanations may use"},
		{"v=spf1 a:%{T}", "a:%{T}: macro letter that only explanations may use"},
		{"v=spf1 a:%{a}.example", "a:%{a}.example: unknown macro letter"},
		{"v=spf1 a:%{}", "a:%{}: unknown macro letter"},
		{"v=spf1 a:%{1}", "a:%{1}: unknown macro letter"},
		{"v=spf1 a:%{d", "a:%{d: macro without \"}\""},
		{"v=spf1 a:%{d0}", "a:%{d0}: macro that keeps zero parts"},
		{"v=spf1 a:%{d000}", "a:%{d000}: macro that keeps zero parts"},
		{"v=spf1 a:%{dr2}", "a:%{dr2}: malformed macro transformer or delimiter"},
		{"v=spf1 a:%{drr}", "a:%{drr}: malformed macro transformer or delimiter"},
		{"v=spf1 a:%{d:}", "a:%{d:}: malformed macro transformer or delimiter"},
		{"v=spf1 a:%", "a:%: \"%\" not followed by \"{\", \"%\", \"_\" or \"-\""},
		{"v=spf1 moo=%abc", "moo=%abc: \"%\" not followed by \"{\", \"%\", \"_\" or \"-\""},
		{"v=spf1 moo=\x80", "moo=?: character that is not allowed"},
		{"v=spf1 a:\u00e4.example", "a:\u00e4.example: character that is not allowed"},
		{"v=spf1 a:\x7f.example", "a:?.example: character that is not allowed"},
		{"v=spf1 a:%{d}\x01.example", "a:%{d}?.example: character that is not allowed"},
		{"v=spf1 a:" + strings.Repeat("%%", maxMacros+1), "a:" + strings.Repeat("%%", 47) + "%...: too many macros"},
		{"v=spf1" + strings.Repeat(" a", maxTerms+1), errTermCount.Error()},
		{"v=spf1 x=" + strings.Repeat("a", maxRecord), errRecordLength.Error()},
	} {
		r, err := ParseRecord(test.text)
		if err == nil {
			t.Errorf("%.100q: parsed as %q", test.text, r)
		} else if err.Error() != test.want {
			t.Errorf("%.100q: error %q, want %q", test.text, err, test.want)
		}
	}
}

// TestBoundsReached parses records that are just within the limits.
func TestBoundsReached(t *testing.T) {
	for _, text := range []string{
		"v=spf1 a:" + strings.Repeat("%%", maxMacros),
		"v=spf1" + strings.Repeat(" a", maxTerms),
		"v=spf1 x=" + strings.Repeat("a", maxRecord-len("v=spf1 x=")),
	} {
		if _, err := ParseRecord(text); err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestIsRecord(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "v=spf": false, "v=spf1": true, "V=sPf1": true, "v=spf1 ": true,
		"v=spf10": false, "v=spf1-all": false, "v=spf1\t": false, " v=spf1": false, "spf1": false,
	} {
		if got := IsRecord(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
