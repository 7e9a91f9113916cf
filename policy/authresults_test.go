package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

var (
	envelope = verify.Envelope{
		ClientIP: netip.MustParseAddr("192.0.2.1"),
		Helo:     "out.example.com",
		MailFrom: "bounce@example.com",
	}
	signature = &dkim.Signature{
		Domain: "example.com", Identity: "@example.com", Selector: "s1", Algorithm: "rsa-sha256", Text: "dzdVyOfAKCdL+x/",
	}
	key = &dkim.Key{Type: dkim.RSA, Bits: 2048}
)

// format returns methods as text, without folds.
func format(methods ...authres.Method) string {
	value := authres.Format("mx", methods)
	return strings.Join(strings.Fields(value), " ")
}

func TestDKIM(t *testing.T) {
	const props = " header.d=example.com header.i=@example.com header.s=s1 header.a=rsa-sha256 header.b=dzdVyOfA"
	short := *signature
	short.Text = "abc"
	testing := *key
	testing.Testing = true
	for _, test := range []struct {
		result dkim.Result
		want   string
	}{
		{dkim.Result{Status: dkim.Pass, Signature: signature, Key: key}, "dkim=pass (2048-bit rsa key)" + props},
		{dkim.Result{Status: dkim.Pass, Signature: signature, Key: &testing}, "dkim=pass (2048-bit rsa key, testing)" + props},
		{dkim.Result{Status: dkim.Pass, Signature: &short, Key: &dkim.Key{Type: dkim.Ed25519, Bits: 256}},
			"dkim=pass (256-bit ed25519 key) header.d=example.com header.i=@example.com header.s=s1 header.a=rsa-sha256 header.b=abc"},
		{dkim.Result{Status: dkim.Fail, Signature: signature, Key: key, Err: errors.New("body hash did not verify")},
			`dkim=fail (2048-bit rsa key) reason="body hash did not verify"` + props},
		{dkim.Result{Status: dkim.Policy, Signature: signature, Key: key, Err: errors.New("key too weak: 512 bits")},
			`dkim=policy (2048-bit rsa key) reason="key too weak: 512 bits"` + props},
		{dkim.Result{Status: dkim.Neutral, Signature: &dkim.Signature{}, Err: errors.New("malformed signature field")},
			`dkim=neutral reason="malformed signature field"`},
		{dkim.Result{Status: dkim.TempError, Signature: signature, Err: errors.New("key not available now: timeout")},
			`dkim=temperror reason="key not available now: timeout"` + props},
		{dkim.Result{Status: dkim.PermError, Signature: signature, Err: errors.New("no key for signature")},
			`dkim=permerror reason="no key for signature"` + props},
	} {
		r := &verify.Result{DKIM: []dkim.Result{test.result}, SPF: spf.Result{Status: spf.None}, DMARC: dmarc.Result{Status: dmarc.None}}
		want := "mx; " + test.want + "; spf=none smtp.helo=out.example.com; dmarc=none"
		if got := format(AuthenticationResults(envelope, r, Decision{}, ResultsOptions{})...); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	unsigned := &verify.Result{SPF: spf.Result{Status: spf.None}, DMARC: dmarc.Result{Status: dmarc.None}}
	if got := format(AuthenticationResults(envelope, unsigned, Decision{}, ResultsOptions{})...); !strings.HasPrefix(got, "mx; dkim=none; spf=") {
		t.Errorf("unsigned: %s", got)
	}
}

// TestHeaderI checks that header.i is shown for every signature whose i= or d= could
// be read, whatever is wrong with it, and always by the same rule.
func TestHeaderI(t *testing.T) {
	const rest = "; s=s1; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA"
	const good = "v=1; a=rsa-sha256" + rest
	const own = "; d=example.com"
	for _, test := range []struct{ raw, want string }{
		// As written if it is valid.
		{good + own + "; i=Joe@Sub.Example.COM", "Joe@Sub.Example.COM"},
		{good + own + "; i=@Example.com", "@Example.com"},
		{good + own + "; i=joe@\r\n example.com", "joe@example.com"},
		{good + own + "; i=you=3Dexample.net@example.com", "you=3Dexample.net@example.com"},
		{good + own + "; i=joe=40example.com", `"joe=40example.com"`},
		{good + own + "; i=joe@ex=61mple.com", `"joe@ex=61mple.com"`},
		// In printable ASCII that every reader can parse.
		{good + own + `; i="a=20b"@example.com`, "a=20b@example.com"},
		{good + own + "; i=a(b)<c>@example.com", "a?b??c?@example.com"},
		{good + own + "; i=joe@x@example.com", "joe?x@example.com"},
		{good + "; d=b\u00fccher.example; i=j\u00fcrgen@a.b\u00fccher.example", "j?rgen@a.xn--bcher-kva.example"},
		// "@" and d= if it is absent or invalid.
		{good + "; d=Example.COM", "@example.com"},
		{good + "; d=b\u00fccher.example", "@xn--bcher-kva.example"},
		{good + own + "; i=", "@example.com"},
		{good + own + "; i=joe", "@example.com"},
		{good + own + "; i=joe@", "@example.com"},
		{good + own + "; i=joe@example.net", "@example.com"},
		{good + own + "; i=joe@bad example.net", "@example.com"},
		{good + own + "; i=joe@notexample.com", "@example.com"},
		// Whatever else is wrong.
		{"v=2; a=rsa-sha256" + rest + own + "; i=joe@example.com", "joe@example.com"},
		{"a=rsa-sha256" + rest + own + "; i=joe@example.com", "joe@example.com"},
		{"v=1; a=rsa-md5" + rest + own, "@example.com"},
		{"v=1; d=example.com; i=joe@example.com", "joe@example.com"},
		{"v=1; d=example.com", "@example.com"},
		{"v=1; i=joe@a.example.com; s=s 1" + own, "joe@a.example.com"},
		{good + own + "; i=joe@example.com; c=x", "joe@example.com"},
		{good + own + "; i=joe@example.com; t=x", "joe@example.com"},
		{good + own + "; i=joe@example.com; q=x", "joe@example.com"},
		{strings.Replace(good, "h=from", "h=to", 1) + own + "; i=joe@example.com", "joe@example.com"},
		{strings.Replace(good, "b=AAAA", "b=A", 1) + own + "; i=joe@example.com", "joe@example.com"},
		{strings.Replace(good, "bh=", "bh=A", 1) + own, "@example.com"},
		{strings.Replace(good, "sha256", "sha1", 1) + own, "@example.com"},
		// Without a d= that could be read.
		{good + "; i=Joe@example.com", "Joe@example.com"},
		{good + "; d=com; i=joe@example.com", "joe@example.com"},
		{good + "; d=a b; i=@example.com", "@example.com"},
		{good + "; d=com; i=joe", ""},
		{good + "; d=com", ""},
		{good, ""},
		{good + own + own + "; i=joe@example.com", ""},
	} {
		s, err := dkim.ParseSignature(message.Field{Name: "DKIM-Signature", Raw: test.raw})
		r := dkim.Result{Status: dkim.Neutral, Signature: s, Err: err}
		got := ""
		if _, after, ok := strings.Cut(format(dkimMethod(&r)), " header.i="); ok {
			got, _, _ = strings.Cut(after, " ")
		}
		if got != test.want {
			t.Errorf("%q: header.i=%s, want %s (%v)", test.raw, got, test.want, err)
		}
		all := &verify.Result{DKIM: []dkim.Result{r}, ARC: arc.Result{Status: arc.None}}
		if inARC := authres.FormatARC(1, "mx", ARCResults("mx", envelope, all, Decision{}, ResultsOptions{}, nil)); (test.want != "") != strings.Contains(inARC, "header.i="+test.want) {
			t.Errorf("%q: %s, want %s", test.raw, inARC, test.want)
		}
	}
}

func TestSPF(t *testing.T) {
	const both = " smtp.mailfrom=bounce@example.com smtp.helo=out.example.com"
	for _, test := range []struct {
		result spf.Result
		want   string
	}{
		{spf.Result{Status: spf.Pass, Identity: spf.MailFrom, Mechanism: "mx"}, "spf=pass" + both},
		{spf.Result{Status: spf.Pass, Identity: spf.Helo, Mechanism: "mx"}, "spf=pass smtp.helo=out.example.com"},
		{spf.Result{Status: spf.Fail, Identity: spf.MailFrom, Mechanism: "-all"}, "spf=fail (matched -all)" + both},
		{spf.Result{Status: spf.Fail, Identity: spf.MailFrom, Domain: "a.example", Record: "b.example", Mechanism: "-all"},
			"spf=fail (matched -all in the record of b.example)" + both},
		{spf.Result{Status: spf.SoftFail, Identity: spf.MailFrom, Mechanism: "~all"}, "spf=softfail (matched ~all)" + both},
		{spf.Result{Status: spf.Neutral, Identity: spf.MailFrom, Mechanism: spf.Default}, "spf=neutral (no mechanism matched)" + both},
		{spf.Result{Status: spf.None, Identity: spf.MailFrom, Err: errors.New("no SPF record")}, `spf=none reason="no SPF record"` + both},
		{spf.Result{Status: spf.TempError, Identity: spf.MailFrom, Err: errors.New("timeout")}, "spf=temperror reason=timeout" + both},
		{spf.Result{Status: spf.PermError, Identity: spf.Helo, Err: errors.New("too many look-ups")},
			`spf=permerror reason="too many look-ups" smtp.helo=out.example.com`},
	} {
		got := format(spfMethod(envelope, &test.result))
		if want := "mx; " + strings.Replace(test.want, "reason=timeout", `reason="timeout"`, 1); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	helo := &verify.Result{
		SPF:  spf.Result{Status: spf.Pass, Identity: spf.MailFrom},
		Helo: &spf.Result{Status: spf.Fail, Identity: spf.Helo, Mechanism: "-all"},
	}
	const want = "spf=pass smtp.mailfrom=bounce@example.com smtp.helo=out.example.com; spf=fail (matched -all) smtp.helo=out.example.com;"
	if got := format(AuthenticationResults(envelope, helo, Decision{}, ResultsOptions{})...); !strings.Contains(got, want) {
		t.Errorf("both: %s", got)
	}
}

// TestDMARC evaluates real records and checks what is reported.
func TestDMARC(t *testing.T) {
	const zone = `
_dmarc.reject.example. TXT "v=DMARC1; p=reject; sp=quarantine"
_dmarc.test.example. TXT "v=DMARC1; p=reject; t=y"
_dmarc.none.example. TXT "v=DMARC1; p=none"
_dmarc.two.example. TXT "v=DMARC1; p=none"
_dmarc.two.example. TXT "v=DMARC1; p=reject"
sub.reject.example. A 192.0.2.1
$TIMEOUT _dmarc.dead.example
`
	for _, test := range []struct{ from, sender, want string }{
		{"a@reject.example", "x@reject.example", "dmarc=pass (p=reject) header.from=reject.example policy.dmarc=reject"},
		{"a@reject.example", "x@x.example", `dmarc=fail (p=reject) reason="no authenticated identifier aligns with the author domain" header.from=reject.example policy.dmarc=reject`},
		{"a@sub.reject.example", "", `dmarc=fail (sp=quarantine) reason="no authenticated identifier" header.from=sub.reject.example policy.dmarc=quarantine`},
		{"a@test.example", "", `dmarc=fail (p=reject t=y) reason="no authenticated identifier" header.from=test.example policy.dmarc=quarantine`},
		{"a@none.example", "", `dmarc=fail (p=none) reason="no authenticated identifier" header.from=none.example policy.dmarc=none`},
		{"a@two.example", "", `dmarc=none reason="more than one DMARC policy record" header.from=two.example`},
		{"a@nowhere.example", "", `dmarc=none reason="no DMARC policy record" header.from=nowhere.example`},
		{"a@dead.example", "", `dmarc=temperror reason="TXT _dmarc.dead.example: no answer, as the zone asks" header.from=dead.example`},
		{"a@none.example, b@reject.example", "", `dmarc=fail (p=reject) reason="no authenticated identifier" header.from=reject.example policy.dmarc=reject`},
		{"", "", `dmarc=permerror reason="no author domain, `},
	} {
		z := dnstest.MustParse(t, zone)
		author := message.Header{message.NewField("From", " "+test.from)}.Author()
		var ids []dmarc.Identifier
		if _, name, ok := strings.Cut(test.sender, "@"); ok {
			ids = append(ids, dmarc.Identifier{Method: dmarc.MethodSPF, Domain: name, Pass: true})
		}
		e := dmarc.Lookup(context.Background(), z, dmarc.Query{Authors: author.Domains, Candidates: ids})
		got := format(dmarcMethod(&verify.Result{Author: author, DMARC: e.Evaluate(ids)}, Decision{}))
		if got = strings.TrimPrefix(got, "mx; "); got != test.want && !(strings.HasSuffix(test.want, ", ") && strings.HasPrefix(got, test.want)) {
			t.Errorf("%s:\n%s\nwant\n%s", test.from, got, test.want)
		}
	}
}

// hostile are texts that would change the structure of a field or hide in it.
var hostile = []string{
	"x\r\nX-Injected: yes", "x\r\n\tspf=pass", "x\nx", "x\rx", "x\x00x", "; dkim=pass header.d=bank.example", "(", ")", "(;)", `"`, `\`, `\"`,
	`"; dkim=pass`, `x" ; dkim=pass header.d="bank.example`, "a b", "=", "a=b", "@", "a@b@c", `"a b"@c`, `"a`, `a"@b`, "<a@b>", "a@[192.0.2.1]",
	"a\u202eb", "\u00e9@\u00e9.example", "\xff\xfe", strings.Repeat("x", 5000), strings.Repeat(`"`, 5000), strings.Repeat("\u00e9", 400), "\t", " ", "",
	"a@b;c", "a@b (c)", "mx.example.org; none",
}

// TestHostileText puts hostile texts wherever a sender or a domain owner can, and
// checks that the field parses to the same results.
func TestHostileText(t *testing.T) {
	for _, text := range hostile {
		for _, status := range dkim.Statuses() {
			r := &verify.Result{
				Author: message.Author{Domains: []string{text}, Err: errors.New(text)},
				DKIM: []dkim.Result{
					{Status: status, Err: errors.New(text), Key: key, Signature: &dkim.Signature{
						Domain: text, Identity: text, Selector: text, Algorithm: text, Text: text,
					}},
					{Status: status, Signature: signature},
				},
				SPF:   spf.Result{Status: spf.Fail, Identity: spf.MailFrom, Domain: "d", Record: text, Mechanism: text},
				Helo:  &spf.Result{Status: spf.TempError, Identity: spf.Helo, Err: fmt.Errorf("%s: %w", text, errors.New(text))},
				DMARC: dmarc.Result{Status: dmarc.Fail, Author: text, Err: errors.Join(errors.New(text), errors.New("b"))},
			}
			methods := AuthenticationResults(verify.Envelope{Helo: text, MailFrom: text}, r, Decision{}, ResultsOptions{})
			value := authres.Format("mx.example.org", methods)
			for line := range strings.SplitSeq(strings.ReplaceAll(value, "\r\n\t", "\n"), "\n") {
				if len(line) > 998 || strings.ContainsAny(line, "\r\x00\t") {
					t.Errorf("%.40q: line %.80q", text, line)
				}
			}
			got, err := authres.Parse(value)
			if err != nil {
				t.Errorf("%.40q: %v in %s", text, err, value)
				continue
			}
			want := &authres.Results{AuthservID: "mx.example.org"}
			for _, m := range methods {
				want.Methods = append(want.Methods, normal(m.Cleaned()))
			}
			for i, m := range got.Methods {
				got.Methods[i] = normal(m)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%.40q:\n%+v, want\n%+v\n%s", text, got, want, value)
			}
		}
	}
}

// normal returns m without what parsing can change: empty lists, and quotes of a
// local part.
func normal(m authres.Method) authres.Method {
	var list []authres.Prop
	for _, p := range m.Props {
		p.Value = strings.ReplaceAll(strings.ReplaceAll(p.Value, `"`, ""), `\`, "")
		list = append(list, p)
	}
	m.Props = list
	m.Comment = strings.TrimSpace(m.Comment)
	return m
}

func TestFormatResultsDropsFailedSignaturesFirst(t *testing.T) {
	long := strings.Repeat("x", 300)
	method := func(i int, name, result string) authres.Method {
		return authres.Method{Name: name, Result: result, Props: []authres.Prop{{Type: "header", Name: "s", Value: fmt.Sprint(i, long)}}}
	}
	var methods []authres.Method
	for i := range 200 {
		result := "pass"
		if i%2 == 0 {
			result = "fail"
		}
		methods = append(methods, method(i, "dkim", result))
	}
	methods = append(methods, method(0, "spf", "pass"), method(0, "dmarc", "pass"))
	value, _ := fit("mx.example.org", methods)
	if len(value) > maxResults || len(value) < maxResults-1000 {
		t.Errorf("%d octets", len(value))
	}
	if strings.Contains(value, "dkim=fail") || strings.Count(value, "dkim=pass") < 90 ||
		!strings.Contains(value, "spf=pass") || !strings.Contains(value, "dmarc=pass") {
		t.Errorf("kept the wrong ones: %s", value)
	}
}
