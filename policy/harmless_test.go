package policy

import (
	"mime"
	"regexp"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// authentic is the result of a message from example.com that passes everything.
func authentic() *verify.Result {
	return &verify.Result{
		Author: message.Author{Domains: []string{"example.com"}},
		DKIM: []dkim.Result{
			{Status: dkim.Fail, Signature: &dkim.Signature{Domain: "bank.example"}},
			{Status: dkim.Pass, Signature: &dkim.Signature{Domain: "Example.com"}},
		},
		SPF:   spf.Result{Status: spf.Pass, Identity: spf.MailFrom, Domain: "out.example.com"},
		DMARC: dmarc.Result{Status: dmarc.Pass, Author: "example.com"},
	}
}

// unauthentic is the result of a message that claims to be from example.com.
func unauthentic() *verify.Result {
	r := authentic()
	r.DKIM, r.SPF.Status, r.DMARC.Status = r.DKIM[:1], spf.Fail, dmarc.Fail
	return r
}

func TestHarmless(t *testing.T) {
	for _, test := range []struct {
		field string
		want  bool
	}{
		// As Microsoft 365 writes them.
		{"mx.example.org; dkim=none (message not signed)\r\n header.d=none;mx.example.org; dmarc=none action=none\r\n header.from=example.com;", true},
		{"dkim=none (message not signed)\r\n header.d=none;dmarc=none action=none\r\n header.from=mx.example.org;", true},
		{"spf=none (sender IP is )\r\n smtp.mailfrom=joe@mx.example.org; ", true},
		{"mx.example.org; none", true},
		{"mx.example.org", true},
		{"mx.example.org; dmarc=fail (p=reject) header.from=example.com; spf=softfail", true},
		{"mx.example.org; spf=none smtp.mailfrom=joe@compass.example smtp.helo=mx.uni-passau.example", true},
		// A pass that we do not find.
		{"mx.example.org; dmarc=pass header.from=example.com", false},
		{"mx.example.org; dkim=none; dmarc=pass action=none header.from=example.com", false},
		{"mx.example.org; DMARC = (x) PASS", false},
		{"mx.example.org; dmarc=passed", false},
		{"mx.example.org; spf=pass", false},
		{"mx.example.org; x-own=pass", false},
		{"pass", false},
		// Readers may find one.
		{"mx.example.org; dmarc=none (dmarc=pass)", false},
		{"mx.example.org; dmarc=\"pass\"", false},
		{"mx.example.org; dmarc=pa\"\"ss", false},
		{"mx.example.org; dmarc=p\\ass", false},
		{"mx.example.org; dmarc=pa\x00ss", false},
		{"mx.example.org; dmarc=pa\u200bss", false},
		{"mx.example.org; dmarc=pa\xffss", false},
		{"mx.example.org; dmarc=pa\u017fs", false},
		{"mx.example.org; dmarc=\uff50ass", false},
		{"mx.example.org; dmarc==?utf-8?q?pa?= =?utf-8?q?ss?=", false},
		{"mx.example.org;\x7f none", false},
	} {
		for name, r := range map[string]*verify.Result{"unauthentic": unauthentic(), "not verified": nil} {
			if got := Harmless(test.field, r); got != test.want {
				t.Errorf("%q, %s: %t", test.field, name, got)
			}
		}
	}
	// What we find as well.
	for _, test := range []struct {
		results string
		want    bool
	}{
		{"dkim=pass header.d=example.com", true},
		{"DKIM=Pass header.d=EXAMPLE.com", true},
		{"dkim=pass (2048-bit key) header.d=example.com; spf=pass smtp.mailfrom=joe@out.example.com; dmarc=pass header.from=example.com", true},
		{"spf=pass smtp.mailfrom=out.example.com", true},
		{"dmarc=pass (p=reject) header.from=example.com policy.dmarc=reject", true},
		{"dkim=fail header.d=bank.example; dkim=pass header.d=example.com", true},
		{"dkim=pass (signature was verified)\r\n header.d=example.com;mx.example.org; dmarc=pass action=none\r\n header.from=example.com;", true},
		{"dmarc=pass header.from=<joe@example.com>", true},
		{"dkim=none; mx.example.org dmarc=pass header.from=example.com", false},
		{"dmarc=none action=pass header.from=example.com", false},
		{"dmarc=pass action=none header.from=bank.example", false},
		{"dkim=pass header.d=bank.example", false},
		{"dkim=pass header.d=sub.example.com", false},
		{"dkim=pass", false},
		{"dkim=pass header.d=example.com header.d=bank.example", false},
		{"spf=pass smtp.mailfrom=example.com", false},
		{"spf=pass smtp.helo=out.example.com", false},
		// Another domain beside the one that passes.
		{"dkim=pass header.d=example.com header.i=joe@news.example.com", true},
		{"dkim=pass header.d=example.com header.i=", true},
		{"dkim=pass header.d=example.com header.i=@bank.example", false},
		{"dkim=pass header.i=joe@bank.example header.d=example.com", false},
		{"dkim=pass header.d=example.com header.from=bank.example", false},
		{"spf=pass smtp.mailfrom=out.example.com header.from=bank.example", false},
		{"spf=pass smtp.mailfrom=out.example.com smtp.mail=joe@bank.example", false},
		{"dmarc=pass header.from=example.com header.d=bank.example", false},
		{"dmarc=pass", false},
		{"dmarc=pass header.from=bank.example", false},
		{"dmarc=pass header.from=example.com; dmarc=pass header.from=bank.example", false},
		{"dmarc=pass header.from=example.com (dmarc=pass)", false},
		{"arc=pass; dmarc=pass header.from=example.com", false},
		{"x-own=pass", false},
		{"dmarc=pass header.from=example.com; dmarc=pass=pass", false},
	} {
		field := "mx.example.org; " + test.results
		if got := Harmless(field, authentic()); got != test.want {
			t.Errorf("%q: %t", field, got)
		}
		if strings.Contains(test.results, "pass") && Harmless(field, unauthentic()) {
			t.Errorf("%q: harmless although nothing passes", field)
		}
	}
	helo := authentic()
	helo.SPF.Identity = spf.Helo
	if Harmless("mx.example.org; spf=pass smtp.mailfrom=out.example.com", helo) {
		t.Error("SPF passed for HELO")
	}
}

// FuzzHarmless checks that no reader finds a pass in a field that is harmless although
// nothing passes: neither one that knows the grammar, nor one that drops quotes and
// the like, decodes first, or searches.
func FuzzHarmless(f *testing.F) {
	for _, s := range []string{
		"mx; dkim=none (message not signed) header.d=none;mx; dmarc=none action=none header.from=example.com;",
		"mx; dmarc=pass header.from=example.com", "mx; dmarc=(pass) fail", "mx; \"dmarc\"=pass", "mx; dmarc=p\\ass",
		"mx; dmarc==?utf-8?q?pass?=", "mx; dmarc=pa\x00ss", "mx; dmarc = (c) pass", "mx; dkim=none; x; dmarc\r\n =\r\n pass",
	} {
		f.Add(s)
	}
	search := regexp.MustCompile(`(?i)=\s*(\([^()]*\))?\s*pass`)
	drop := strings.NewReplacer(`"`, "", `\`, "", "\x00", "")
	f.Fuzz(func(t *testing.T, field string) {
		if !Harmless(field, unauthentic()) {
			return
		}
		decoded, err := new(mime.WordDecoder).DecodeHeader(field)
		if err != nil {
			decoded = field
		}
		for _, text := range []string{field, decoded, drop.Replace(field)} {
			if search.MatchString(text) {
				t.Errorf("%q is found in %q", search.FindString(text), field)
			}
			results, err := authres.Parse(text)
			if err != nil {
				continue
			}
			for _, m := range results.Methods {
				if passed(m) {
					t.Errorf("%s passes in %q", m.Name, field)
				}
			}
		}
	})
}
