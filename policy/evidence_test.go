package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"authmilter/verify/authres"
	"authmilter/verify/dmarc"
)

// TestEvidence reads sets as sealers in use write them, and as senders may try to
// change them.
func TestEvidence(t *testing.T) {
	const (
		dmarcPass = "dmarc=pass"
		dkimD     = "dkim=pass header.d=example.com"
		dkimI     = "dkim=pass header.i=@example.com"
		spfPass   = "spf=pass smtp.mailfrom=example.com"
	)
	for _, test := range []struct{ name, field, want string }{
		{"Microsoft 365", " mx.microsoft.com 1; spf=pass smtp.mailfrom=example.com; dmarc=pass action=none header.from=example.com; dkim=pass header.d=example.com; arc=none", dmarcPass},
		{"Microsoft 365, failure", " mx.microsoft.com 1; spf=pass smtp.mailfrom=example.com; dmarc=fail action=oreject header.from=example.com; dkim=pass header.d=example.com; arc=none", ""},
		{"no authserv-id", " spf=fail smtp.mailfrom=x.example; dmarc=pass action=none header.from=example.com;compauth=pass reason=100", dmarcPass},
		{"Fastmail", " mx; dkim=pass header.d=x.example x-bits=2048; dmarc=pass policy.published-domain-policy=none (p=none,d.eval=none) policy.policy-from=p header.from=example.com; x-ptr=fail smtp.helo= policy.ptr=", dmarcPass},
		{"Zoho", " mx; dkim=pass  header.i=example.com; dmarc=pass header.from=<joe@example.com>", dmarcPass},
		{"mail.ru", " mx; dkim=pass header.d=example.com; dmarc=pass header.from=joe@example.com", dmarcPass},
		{"an address with a quoted local part", ` mx; dmarc=pass header.from="a b"@example.com`, dmarcPass},
		{"a quoted address", ` mx; dmarc=pass header.from="<joe@example.com>"`, dmarcPass},
		{"entries that are no results", " mx; (null)=pass; client-ip=192.0.2.1; envelope-from=joe@example.com; dmarc=pass header.from=example.com", dmarcPass},
		{"an empty header.from", " mx; dmarc=pass header.from=; dkim=pass header.d=example.com", dkimD},
		{"Cisco", " esa; spf=Pass smtp.mailfrom=joe@example.com; spf=None smtp.helo=postmaster@out.example.com; dkim=pass (signature verified) header.i=@example.com; dmarc=pass (p=none dis=none) d=example.com", dkimI},
		{"a pass of nobody, and the wrong signer", " mx; dmarc=pass d=example.com; dkim=pass header.d=evil.example", ""},
		{"a pass of nobody, and a failure", " mx; dmarc=pass d=example.com; dkim=pass header.d=example.com; dmarc=fail header.from=example.com", ""},
		{"a failure of nobody", " mx; dmarc=fail d=example.com; dkim=pass header.d=example.com", ""},
		{"a pass of two, and a signer", " mx; dmarc=pass header.from=example.com header.from=evil.example; dkim=pass header.d=example.com", ""},
		{"an empty header.from and a domain elsewhere", " mx; dmarc=pass header.from= d=example.com", ""},

		// header.from names another domain, or it is unclear which.
		{"another domain as an address", " mx; dmarc=pass header.from=<example.com@evil.example>", ""},
		{"two at signs", " mx; dmarc=pass header.from=x@evil.example@example.com", ""},
		{"two addresses", " mx; dmarc=pass header.from=x@evil.example,joe@example.com", ""},
		{"two addresses in brackets", " mx; dmarc=pass header.from=<x@evil.example><joe@example.com>", ""},
		{"half a bracket", " mx; dmarc=pass header.from=<joe@example.com", ""},
		{"a name before the address", " mx; dmarc=pass header.from=example.com <x@evil.example>", ""},
		{"a quoted name before the address", ` mx; dmarc=pass header.from="example.com" <x@evil.example>`, ""},
		{"a domain below", " mx; dmarc=pass header.from=joe@news.example.com", ""},

		// Contradictions.
		{"header.from twice", " mx; dmarc=pass header.from=example.com action=none header.from=evil.example", ""},
		{"header.from twice, once empty", " mx; dmarc=pass header.from= header.from=example.com", ""},
		{"pass and fail", " mx; dmarc=pass header.from=example.com; dmarc=fail action=none header.from=<joe@example.com>", ""},
		{"pass and a failure of nobody", " mx; dmarc=pass header.from=example.com; dmarc=fail action=none", ""},
		{"pass and a failure of two", " mx; dmarc=pass header.from=example.com; dmarc=fail header.from=a header.from=b", ""},
		{"pass, and another domain fails", " mx; dmarc=pass header.from=example.com; dmarc=fail header.from=evil.example", dmarcPass},
		{"pass, and a failure that is not well formed", " mx; dmarc=pass header.from=example.com; dmarc=fail x header.from=example.com", ""},
		{"pass, and a failure in a comment", " mx; spf=pass smtp.mailfrom=x; dmarc=pass header.from=example.com; a=b (@evil.example; dmarc=fail header.from=example.com) smtp.helo=y", ""},
		{"pass, and a failure in quotes", ` mx; spf=pass smtp.mailfrom=x; dmarc=pass header.from=example.com; a=b c="@evil.example; dmarc=fail header.from=example.com; x" smtp.helo=y`, ""},
		{"a failure in a comment, and nothing else of DMARC", " mx; spf=pass (x; dmarc=fail header.from=example.com) smtp.mailfrom=example.com; dkim=pass header.d=example.com", ""},
		{"a pass in another result", " mx; spf=pass smtp.helo=a dmarc=pass header.from=example.com", ""},
		{"a pass in quotes", ` mx; spf=pass smtp.helo="a; dmarc=pass header.from=example.com"`, ""},
		{"a comment that is closed early, and the rest of a failure", " mx; dmarc=fail ()header.from=other.example; dmarc=pass header.from=example.com;) header.from=<joe@example.com>", ""},
		{"a pass in a comment", " mx; spf=pass (a; dmarc=pass header.from=example.com) smtp.helo=x", ""},
		{"a pass after an open comment", " mx; spf=pass (a; dmarc=pass header.from=example.com", ""},
		{"a pass before an open comment", " mx; dmarc=pass header.from=example.com; spf=pass (a", ""},
		{"a pass before an open quote", ` mx; dmarc=pass header.from=example.com; spf=pass smtp.helo=a"`, ""},
		{"a word that is no property", " mx; dmarc=pass of example.net header.from=example.com", ""},
		{"no separation", ` mx; dmarc=pass x="y"header.from=example.com`, ""},
		{"a longer result", " mx; dmarc=pass-not header.from=example.com", ""},
		{"a result that goes on", " mx; dmarc=pass.x header.from=example.com", ""},

		// DKIM.
		{"d=", " mx; dkim=pass x-bits=2048 header.d=Example.COM", dkimD},
		{"d= below", " mx; dkim=pass header.d=news.example.com", "dkim=pass header.d=news.example.com"},
		{"d= and i=", " mx; dkim=pass header.d=example.com header.i=joe@news.example.com", dkimD},
		{"an empty i=", " mx; dkim=pass header.d=example.com header.i= header.s=s", dkimD},
		{"d= and i= that do not agree", " mx; dkim=pass header.d=example.com header.i=@evil.example", ""},
		{"d= below i=", " mx; dkim=pass header.d=news.example.com header.i=@example.com", ""},
		{"d= and i= that cannot be read", " mx; dkim=pass header.d=example.com header.i=x@evil.example@example.com", ""},
		{"d= and i= with more in them", " mx; dkim=pass header.i=@example.com header.d=example.com x@evil.example", ""},
		{"d= twice", " mx; dkim=pass header.d=example.com header.d=example.com", ""},
		{"i= twice", " mx; dkim=pass header.i=@example.com header.i=@evil.example", ""},
		{"d= once and i= twice", " mx; dkim=pass header.d=example.com header.i=@example.com header.i=@evil.example", ""},
		{"i=", " mx; dkim=pass header.i=@example.com header.s=s header.b=Ab/c", dkimI},
		{"i= and an empty d=", " mx; dkim=pass header.d= header.i=@example.com", dkimI},
		{"i= without an at sign", " mx; dkim=pass header.i=example.com", dkimI},
		{"i= with a local part", " mx; dkim=pass header.i=joe@example.com", dkimI},
		{"i= below", " mx; dkim=pass header.i=@news.example.com", "dkim=pass header.i=@news.example.com"},
		{"i= of another", " mx; dkim=pass header.i=@evil.example", ""},
		{"i= with the domain as its local part", " mx; dkim=pass header.i=example.com@evil.example", ""},
		{"i= that failed", " mx; dkim=fail header.i=@example.com", ""},
		{"two signatures, one failed", " mx; dkim=fail header.i=@example.com; dkim=pass header.i=@example.com", dkimI},
		{"the second signature", " mx; dkim=pass header.i=@evil.example; dkim=pass header.d=example.com", dkimD},

		// SPF.
		{"SPF with words of its own", " mx; spf=pass (x) identity=mailfrom smtp.mailfrom=<joe@example.com>; spf=none smtp.helo=out.example.com", spfPass},
		{"SPF, empty MAIL FROM", " mx; spf=pass smtp.mailfrom= smtp.helo=example.com", ""},
		{"SPF twice", " mx; spf=pass smtp.mailfrom=example.com; spf=fail smtp.mailfrom=evil.example", ""},
		{"SPF twice, in another order", " mx; spf=pass smtp.mailfrom=evil.example; spf=pass smtp.mailfrom=example.com", ""},
		{"SPF, and another in a comment", " mx; spf=pass smtp.mailfrom=example.com; a=b (; spf=fail smtp.mailfrom=evil.example)", ""},
		{"SPF of two addresses", " mx; spf=pass smtp.mailfrom=x@evil.example@example.com", ""},
	} {
		p := failed("example.com", dmarc.Relaxed, dmarc.Relaxed).DMARC.Policy
		if got := evidence(test.field, p); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		// It may be unknown, because nothing depended on it.
		if p.OrgDomain = ""; evidence(test.field, p) != test.want {
			t.Errorf("%s: without an organizational domain: %q, want %q", test.name, evidence(test.field, p), test.want)
		}
	}
}

// TestEvidenceOfIdentity checks when a signature that is only known by its i= is
// evidence: d= may be any domain from that one upwards.
func TestEvidenceOfIdentity(t *testing.T) {
	for _, test := range []struct {
		author, org, identity string
		relaxed, strict       bool
	}{
		{"example.com", "example.com", "@example.com", true, true},
		{"example.com", "", "@example.com", true, true},
		{"example.com", "example.com", "@news.example.com", true, false},
		{"example.com", "", "@news.example.com", true, false},
		{"news.example.com", "example.com", "@example.com", true, false},
		{"news.example.com", "example.com", "@news.example.com", true, false}, // d= may be example.com
		{"news.example.com", "", "@news.example.com", true, false},
		{"news.example.com", "", "@example.com", false, false},
		{"news.example.com", "example.com", "@blog.example.com", true, false},
		{"example.co.uk", "example.co.uk", "@example.co.uk", true, true},
		{"example.co.uk", "", "@example.co.uk", true, false},
		{"example.com", "example.com", "@com", false, false},
		{"example.com", "example.com", "@notexample.com", false, false},
		{"example.com", "example.com", "@", false, false},
	} {
		for _, mode := range []dmarc.Alignment{dmarc.Relaxed, dmarc.Strict} {
			p := failed(test.author, mode, dmarc.Relaxed).DMARC.Policy
			p.OrgDomain = test.org
			want := test.relaxed
			if mode == dmarc.Strict {
				want = test.strict
			}
			if got := evidence("mx; dkim=pass header.i="+test.identity, p); (got != "") != want {
				t.Errorf("author %s, organizational domain %q, i=%s, mode %s: %q", test.author, test.org, test.identity, mode, got)
			}
		}
	}
}

// TestNothingWrittenIsEvidence checks that nothing that a sender puts into the
// values and comments of other results hides or outweighs a failure of DMARC, even if
// the sealer neither quotes nor escapes any of them.
func TestNothingWrittenIsEvidence(t *testing.T) {
	rnd := rand.New(rand.NewPCG(12, 1))
	parts := []string{"; dmarc=pass header.from=bank.example", "dmarc=pass header.from=bank.example", "; dkim=pass header.d=bank.example", "; spf=pass smtp.mailfrom=bank.example",
		" header.from=bank.example", " dmarc=pass", ";", " ", "\r\n\t", "(", ")", `"`, `\`, "=", "a", "a=", "a=b", ".", "@", "<", ">", "/", "1", "none", "dmarc", "\x00", "é", "; x=", `; x="`, "; x=y (", "@bank.example"}
	value := func() string {
		var b strings.Builder
		for range rnd.IntN(8) {
			b.WriteString(parts[rnd.IntN(len(parts))])
		}
		return b.String()
	}
	p := failed("bank.example", dmarc.Relaxed, dmarc.Relaxed).DMARC.Policy
	p.OrgDomain = "bank.example"
	read := 0
	for range 40_000 {
		entries := []string{
			fmt.Sprintf("spf=pass (domain of %s designates 192.0.2.1) smtp.mailfrom=%s smtp.helo=%s", value(), value(), value()),
			fmt.Sprintf("dkim=pass (%s) header.d=evil.example header.i=%s header.s=%s", value(), value(), value()),
			fmt.Sprintf("iprev=pass (%s) smtp.remote-ip=192.0.2.1", value()),
		}
		result := pick(rnd, "dmarc=fail (p=reject) header.from=bank.example", "dmarc=fail action=oreject header.from=bank.example",
			"dmarc=none header.from=<joe@bank.example>", `dmarc=fail header.from="a b"@bank.example`, "dmarc=fail (p=reject) d=bank.example")
		at := rnd.IntN(len(entries) + 1)
		entries = append(entries[:at], append([]string{result}, entries[at:]...)...)
		field := " mx.one.example; " + strings.Join(entries, pick(rnd, "; ", ";", ";\r\n\t"))
		if got := evidence(field, p); got != "" {
			t.Fatalf("%s: %q", got, field)
		}
		if _, err := authres.Parse(field); err == nil {
			read++
		}
	}
	if read < 4_000 {
		t.Errorf("only %d could be read: too few", read)
	}
}
