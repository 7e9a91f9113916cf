package authres

import (
	"reflect"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	got := Format("mx.example.org", []Method{
		{Name: "dkim", Result: "pass", Comment: "2048-bit rsa key", Props: []Prop{
			{"header", "d", "example.com"}, {"header", "i", "@example.com"}, {"header", "s", "s1"},
			{"header", "a", "rsa-sha256"}, {"header", "b", "dzd/yO+A"}}},
		{Name: "spf", Result: "fail", Reason: `a "quoted" reason; with (everything) and so long that it must be folded`, Props: []Prop{
			{"smtp", "mailfrom", `odd"local part@example.com`}, {"smtp", "helo", "[192.0.2.1]"}}},
		{Name: "dmarc", Result: "pass", Comment: "p=reject; x)\r\n(y", Props: []Prop{{"header", "from", "example.com"}}},
	})
	want := strings.ReplaceAll(`mx.example.org;
	dkim=pass (2048-bit rsa key) header.d=example.com
	header.i=@example.com header.s=s1 header.a=rsa-sha256
	header.b="dzd/yO+A";
	spf=fail reason="a 'quoted' reason, with (everything) and so long
	that it must be folded" smtp.mailfrom=odd?local?part@example.com
	smtp.helo="[192.0.2.1]";
	dmarc=pass (p=reject, x]??[y) header.from=example.com`, "\n", "\r\n")
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := Format("mx", nil); got != "mx; none" {
		t.Errorf("no methods: %q", got)
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		field string
		want  *Results // nil means an error
	}{
		// RFC 8601 appendix B.
		{"example.org 1; none", &Results{AuthservID: "example.org"}},
		{"example.com;\r\n          spf=pass smtp.mailfrom=example.net",
			&Results{AuthservID: "example.com", Methods: []Method{{Name: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", "example.net"}}}}}},
		{"example.com;\r\n auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=pass smtp.mailfrom=example.net",
			&Results{AuthservID: "example.com", Methods: []Method{
				{Name: "auth", Result: "pass", Comment: "cram-md5", Props: []Prop{{"smtp", "auth", "sender@example.net"}}},
				{Name: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", "example.net"}}}}}},
		{"foo.example.net (foobar) 1 (baz);\r\n    dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n      policy (A dot can go here) . (like that) expired\r\n      (this surprised me) = (as I wasn't expecting it) 1362471462",
			&Results{AuthservID: "foo.example.net", Methods: []Method{{Name: "dkim", Result: "fail", Props: []Prop{{"policy", "expired", "1362471462"}}}}}},
		{`example.com; dkim=pass reason="good signature" header.i=@mail-router.example.net`,
			&Results{AuthservID: "example.com", Methods: []Method{{Name: "dkim", Result: "pass", Reason: "good signature", Props: []Prop{{"header", "i", "@mail-router.example.net"}}}}}},
		// As seen in practice.
		{"example.com;", &Results{AuthservID: "example.com"}},
		{"example.com; spf=pass;", &Results{AuthservID: "example.com", Methods: []Method{{Name: "spf", Result: "pass"}}}},
		{"spf=pass (sender IP is 192.0.2.1)\r\n smtp.mailfrom=example.com; dkim=none (message not signed)\r\n header.d=none;",
			&Results{AuthservID: "", Methods: []Method{
				{Name: "spf", Result: "pass", Comment: "sender IP is 192.0.2.1", Props: []Prop{{"smtp", "mailfrom", "example.com"}}},
				{Name: "dkim", Result: "none", Comment: "message not signed", Props: []Prop{{"header", "d", "none"}}}}}},
		{"x; dkim=pass header.b=Ab/c+d==", &Results{AuthservID: "x", Methods: []Method{{Name: "dkim", Result: "pass", Props: []Prop{{"header", "b", "Ab/c+d=="}}}}}},
		{`x; spf=pass smtp.mailfrom="a b"@example.com`, &Results{AuthservID: "x", Methods: []Method{{Name: "spf", Result: "pass", Props: []Prop{{"smtp", "mailfrom", `"a b"@example.com`}}}}}},
		{"x; dkim=fail (a;b(c)d) header.d=e", &Results{AuthservID: "x", Methods: []Method{{Name: "dkim", Result: "fail", Comment: "a;b(c)d", Props: []Prop{{"header", "d", "e"}}}}}},
		{"", nil},
		{" ; spf", nil},
		{"x; spf=pass (", nil},
		{`x; spf=pass reason="`, nil},
		{"x " + strings.Repeat("(", 100_000), nil},
		{"x" + strings.Repeat("; a=b", 2000), nil},
		{strings.Repeat("x", 70_000), nil},
	} {
		got, err := Parse(test.field)
		if test.want == nil {
			if err == nil {
				t.Errorf("%.60q: got %+v", test.field, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q:\n got %+v, %v\nwant %+v", test.field, got, err, test.want)
		}
	}
}

func TestClaims(t *testing.T) {
	c := NewClaimant("mx.example.org", "bücher.example")
	ours := []string{
		"mx.example.org; none",
		" mx.example.org; dkim=pass header.d=example.com",
		"mx.example.org",
		"mx.example.org;",
		"MX.Example.ORG; none",
		"mx.example.org.; none",
		"mx.example.org 1; none",
		"mx.example.org/1; none",
		"(comment) mx.example.org (another) 1; none",
		"\r\n\tmx.example.org;\r\n\tnone",
		`"mx.example.org"; none`,
		`"mx\.example.org"; none`,
		`"MX.EXAMPLE.ORG" 1; none`,
		"sub.mx.example.org; none",
		"a.b.mx.example.org; none",
		"xn--bcher-kva.example; none",
		"bücher.example; none",
		"BÜCHER.example; none",
		"mail.bücher.example; none",
		"mx．example．org; none",
		// Malformed, but naming us.
		"mx.example.org dkim=pass",
		"mx.example.org, x; dkim=pass",
		"@mx.example.org; none",
		"<mx.example.org>; none",
		`"mx.example.org; none`,
		"(mx.example.org; none",
		"((((((((((((((((((((( mx.example.org; none",
		"; mx.example.org; none",
		"dkim=pass header.d=mx.example.org",
		"x (" + strings.Repeat("a", 70_000) + ") 1 1; mx.example.org",
		"x.example" + strings.Repeat(" ", 600) + "mx.example.org; none",
		"mx.example.org; " + strings.Repeat("x=y;", 300_000),
		"(" + strings.Repeat("a", 1<<20) + ") mx.example.org; none",
		"\x01mx.example.org; none",
		`m"x.example.org; none`,
		// Encoded-words, which some readers decode first: in part, as a whole,
		// several of them, in unusual charsets, and malformed.
		"=?utf-8?b?bXguZXhhbXBsZS5vcmc=?=; dmarc=pass",
		"=?UTF-8?B?bXguZXhhbXBsZS5vcmc?=; dmarc=pass",
		"=?utf-8?q?mx=2Eexample.org?=; dmarc=pass",
		"=?us-ascii?Q?=6dx.example.org?=; dmarc=pass",
		"=?us-ascii*en?q?=6dx.example.org?=; dmarc=pass",
		"=?utf-8?q?=6d?=x.example.org; dmarc=pass",
		"mx.exampl=?utf-8?q?e?=.org; dmarc=pass",
		"=?utf-8?q?mx.exa?= =?utf-8?b?bXBsZS5vcmc=?=; dmarc=pass",
		"=?utf-8?q?mx.exa?=\r\n =?utf-8?b?bXBsZS5vcmc=?=; dmarc=pass",
		"=?utf-8?q?mx.example.org=3B_dmarc=3Dpass_header.from=3Dbank.example?=",
		"=?utf-8?q?mx.example.org;?= dmarc=pass",
		"=?utf-7?q?+AG0-x.example.org?=; dmarc=pass",
		"=?utf-16be?b?AG0AeAAuAGUAeABhAG0AcABsAGUALgBvAHIAZw==?=; dmarc=pass",
		"=?cp037?b?lKdLhaeBlJeThUuWmYc=?=; dmarc=pass",
		"=?x?q?mx.example.org?=; dmarc=pass",
		"=??q?mx.example.org?=; dmarc=pass",
		"(=?utf-8?q?=29_mx.example.org=3B_dmarc=3Dpass_=28?=) other.example; none",
		"\"=?utf-8?q?mx.example.org?=\"; dmarc=pass",
		"=\x01?utf-8?q?=6dx.example.org?=; dmarc=pass",
		// Joined to something by quotes, or within them.
		`"mx.example.org"none; dmarc=pass`,
		`"mx.example.org"1; dmarc=pass`,
		`"mx.example.org"x.example; dmarc=pass`,
		`x"mx.example.org"; dmarc=pass`,
		`"mx".example.org; dmarc=pass`,
		`mx."example".org; dmarc=pass`,
		`""mx.example.org; dmarc=pass`,
		`"mx.example.org""; dmarc=pass`,
		`"mx.example.org;"; dmarc=pass`,
		`"\m\x.example.org"none; dmarc=pass`,
		`mx\.example\.org; dmarc=pass`,
		`" mx.example.org "; dmarc=pass`,
		// Characters that readers drop or end a name at.
		"mx.example.org\x00none; dmarc=pass",
		"mx.exa\x00mple.org; dmarc=pass",
		"mx.example.org\x00.attacker.example; dmarc=pass",
		"mx.example.org\x1f; dmarc=pass",
		"\x0bmx.example.org\x0c; dmarc=pass",
		"mx.exa\x7fmple.org; dmarc=pass",
		"mx.exa\rmple.org; dmarc=pass",
		"mx.exa\n\tmple.org; dmarc=pass",
		"mx . example\r\n . org; dmarc=pass",
		"mx.example.org\rnone; dmarc=pass",
		"other.example; none\rAuthentication-Results: mx.example.org; dmarc=pass",
		"other.example; none\nAuthentication-Results: mx.example.org; dmarc=pass",
		"mx.exa\u200bmple.org; dmarc=pass",
		"mx.exa\u00admple.org; dmarc=pass",
		"mx\u200e.example.org; dmarc=pass",
		"\ufeffmx.example.org; dmarc=pass",
		"mx.example.org\u00a0none; dmarc=pass",
		"mx.example.org\u115f; dmarc=pass",
		"mx.example.org\ufe0f; dmarc=pass",
		"mx.example.org\U000e0041; dmarc=pass",
		"mx.exa\xffmple.org; dmarc=pass",
		"mx.example.org\xa0; dmarc=pass",
		"\xef\xbb\xbfmx.example.org; dmarc=pass",
		"mx.exa\ufffdmple.org; dmarc=pass",
		// Spelled with characters that readers of names treat as the same.
		"ｍｘ.example.org; dmarc=pass",
		"𝐦𝐱.example.org; dmarc=pass",
		"mx.e\u212aample.mx.example.org; dmarc=pass",
		"mx\u2024example.org; dmarc=pass",
		"mx\uff61example\u3002org; dmarc=pass",
		"xn--x-nr0i.example.org; dmarc=pass", // ｍx
		"xn--mx-g1t.example.org; dmarc=pass", // with U+200B
		"XN--BCHER-KVA.example.; dmarc=pass",
		"bu\u0308cher.example; dmarc=pass",
		"b\xc3\x00\xbccher.example; dmarc=pass",
		"mx.exaämple.org; dmarc=pass",
		"mx.example.orgä; dmarc=pass",
		"mx.example.orgä.attacker.example; dmarc=pass",
		"ä.mx.example.org; dmarc=pass",
		"b\u00fc\u200bcher.example; dmarc=pass",
		`"bücher.example"none; dmarc=pass`,
		"b\xfccher.example; dmarc=pass", // in ISO 8859-1
		// Comments, which readers understand less well than the grammar does.
		"mx.(c)example.org; dmarc=pass",
		"mx(c).(d(e))example.org; dmarc=pass",
		"mx.()example.org; dmarc=pass",
		"(\\)mx.example.org; dmarc=pass x) other.example; none",
		"((c) mx.example.org; dmarc=pass) other.example; none",
		"(c\\) mx.example.org; dmarc=pass",
		"(c)) mx.example.org; dmarc=pass",
		") mx.example.org; dmarc=pass",
		"\"(\"mx.example.org; dmarc=pass",
		strings.Repeat("(", 200) + strings.Repeat(")", 200) + "mx.example.org; dmarc=pass",
		"(" + strings.Repeat("a", 600) + ") mx.example.org; dmarc=pass",
		// Not just an id, or not in its place.
		"mx.example.org/x; dmarc=pass",
		"/mx.example.org; dmarc=pass",
		"mx.example.org=x; dmarc=pass",
		"mx.example.org=; dmarc=pass",
		"x=mx.example.org; dmarc=pass",
		"mx.example.org:25; dmarc=pass",
		"smtp:mx.example.org; dmarc=pass",
		"user@mx.example.org; dmarc=pass",
		"[mx.example.org]; dmarc=pass",
		"{mx.example.org}; dmarc=pass",
		"mx.example.org, other.example; dmarc=pass",
		"other.example mx.example.org; dmarc=pass",
		"other.example 1 mx.example.org; dmarc=pass",
		"other.example . mx.example.org; dmarc=pass",
		"mx.example.org version; dmarc=pass",
		"mx.example.org 1 2; dmarc=pass",
		"mx.example.org 1.0; dmarc=pass",
		"Authentication-Results: mx.example.org; dmarc=pass",
		" ; mx.example.org; dmarc=pass",
		"\"\"; mx.example.org; dmarc=pass",
		".mx.example.org; dmarc=pass",
		"mx.example.org...; dmarc=pass",
		"mx.example.org. 1; dmarc=pass",
		// In a line that an MTA further on may break anywhere.
		"(" + strings.Repeat("a", 950) + ")mx.example.org1; dmarc=pass",
		"(" + strings.Repeat("a", 950) + ")mx.example.orgmx.example.com; dmarc=pass",
		"(" + strings.Repeat("a", 950) + ")x.other-mx.example.org; dmarc=pass",
		"(" + strings.Repeat("a", 5000) + ")mx.example.orgx; dmarc=pass",
		strings.Repeat(" ", 950) + "mx.example.org1; dmarc=pass",
		"(a)\r\n\t(" + strings.Repeat("a", 950) + ")mx.example.org1; dmarc=pass",
		"\"" + strings.Repeat("a", 950) + "\"mx.example.org1; dmarc=pass",
		strings.Repeat("a.", 480) + "mx.example.org1; dmarc=pass",
	}
	for _, field := range ours {
		if !c.Claims(field) {
			t.Errorf("not claimed: %.80q", field)
		}
	}
	others := []string{
		"",
		"example.org; none",
		"org; none",
		"notmx.example.org; none",
		"mx.example.org.example.com; none",
		"mx.example.com; none",
		"mx-example.org; none",
		"other.example; dkim=pass header.d=mx.example.org header.i=@mx.example.org",
		"other.example (mx.example.org); dkim=pass",
		"other.example 1; dmarc=pass header.from=mx.example.org",
		`"other.example"; none`,
		"dkim=pass header.d=example.com",
		"other.example garbage",
		"bücher.example.com; none",
		"(" + strings.Repeat("(", 100_000),
		// All readers see whose these are, whatever follows.
		"other.example (mx.example.org) 1; none",
		"(mx.example.org) other.example; none",
		"\r\n\tother.example;\r\n\tspf=pass smtp.mailfrom=\"=?utf-8?q?mx.example.org?=\"",
		"other.example; none (=?utf-8?b?bXguZXhhbXBsZS5vcmc=?=)",
		`other.example; spf=pass reason="mx.example.org; dkim=pass" smtp.helo=mx.example.org`,
		"other.example; spf=pass (" + strings.Repeat("a", 1200) + ") smtp.helo=mx.example.org1",
		"other.example; mx.example.org; dmarc=pass",
		"\"other.example\" (mx.example.org); none",
		"xn--bcher-kva.example.com; none",
		// Malformed, but not naming us.
		"notmx.example.org x; none",
		"other.example 1mx.example.org; none",
		"mx.example.orgx x; none",
		"mx.example.org.example.com x; none",
		"mx-example.org x; none",
		"amx.example.org\\; none",
		"spf=pass (sender IP is 192.0.2.1)\r\n smtp.mailfrom=example.com; dkim=pass header.d=notmx.example.org",
		"(" + strings.Repeat("a", 1200) + ") other.example; dkim=pass header.d=example.com",
		"mx.exämple.org x; none",
		"mx.\u0435xample.org; none", // a Cyrillic letter is a different letter
		"mx.exämple.org 1; dmarc=pass header.from=mx.example.org",
		"bücher.example.com; dmarc=pass header.from=bücher.example",
	}
	for _, field := range others {
		if c.Claims(field) {
			t.Errorf("claimed: %.80q", field)
		}
	}
}

// TestCleaned checks that text which readers trip over is replaced, and nothing
// else.
func TestCleaned(t *testing.T) {
	long := strings.Repeat("x", 400)
	for _, test := range []struct{ in, value, reason, comment string }{
		{"joe@example.com", "joe@example.com", "joe@example.com", "joe@example.com"},
		{"@example.com", "@example.com", "@example.com", "@example.com"},
		{"_x.Example.com", "_x.Example.com", "_x.Example.com", "_x.Example.com"},
		{"prvs=1a2b=joe+tag@example.com", "prvs=1a2b=joe+tag@example.com", "prvs=1a2b=joe+tag@example.com", "prvs=1a2b=joe+tag@example.com"},
		{"!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		{`"joe"@example.com`, "joe@example.com", "'joe'@example.com", "'joe'@example.com"},
		{`"a b"@example.com`, "a?b@example.com", "'a b'@example.com", "'a b'@example.com"},
		{`"a\"b\\c"@example.com`, "a?b?c@example.com", "'a/'b//c'@example.com", "'a/'b//c'@example.com"},
		{`""@example.com`, "?@example.com", "''@example.com", "''@example.com"},
		{`a"b@example.com`, "a?b@example.com", "a'b@example.com", "a'b@example.com"},
		{"a@b@example.com", "a?b@example.com", "a@b@example.com", "a@b@example.com"},
		{"a..b@example.com", "a.?b@example.com", "a..b@example.com", "a..b@example.com"},
		{".a.@example.com", "?a?@example.com", ".a.@example.com", ".a.@example.com"},
		{"/a@example.com", "?a@example.com", "/a@example.com", "/a@example.com"},
		{"=a@example.com", "?a@example.com", "=a@example.com", "=a@example.com"},
		{"a@[192.0.2.1]", "a@[192.0.2.1]", "a@[192.0.2.1]", "a@[192.0.2.1]"},
		{"[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"},
		{"dzd/yO+A=", "dzd/yO+A=", "dzd/yO+A=", "dzd/yO+A="},
		{`"a"`, "?a?", "'a'", "'a'"},
		{"mx; dkim=pass", "mx??dkim=pass", "mx, dkim=pass", "mx, dkim=pass"},
		{`a\(b),<c>`, "a??b??" + "?c?", "a/(b),<c>", "a/[b],<c>"},
		{"a\r\n\tb\x00\x7f", "a???b??", "a???b??", "a???b??"},
		{"jörg@bücher.example", "j?rg@xn--bcher-kva.example", "j?rg@b?cher.example", "j?rg@b?cher.example"},
		{"BÜCHER.example", "xn--bcher-kva.example", "B?CHER.example", "B?CHER.example"},
		{"joe@bü cher.example", "joe@b??cher.example", "joe@b? cher.example", "joe@b? cher.example"},
		{"a\u202e\xff", "a??", "a??", "a??"},
		{long, long[:maxValue-3] + "...", long[:maxComment-3] + "...", long[:maxComment-3] + "..."},
		{"", "", "", ""},
	} {
		m := Method{Name: "x", Result: "y", Comment: test.in, Reason: test.in, Props: []Prop{{"a", "b", test.in}}}
		want := Method{Name: "x", Result: "y", Comment: test.comment, Reason: test.reason, Props: []Prop{{"a", "b", test.value}}}
		if got := m.Cleaned(); !reflect.DeepEqual(got, want) {
			t.Errorf("%.40q:\n got %+v\nwant %+v", test.in, got, want)
		}
	}
}

// FuzzFormat checks that whatever goes into a field comes out of it with the
// same structure: no text from outside adds a result, a property or a line, or
// makes the field unreadable.
func FuzzFormat(f *testing.F) {
	f.Add("mx.example.org", "pass", "2048-bit", "reason", "user@example.com", "[192.0.2.1]")
	f.Add("mx; dkim=pass", "x", ") ; spf=pass (", "\"; a=b", "a\r\nSubject: x", "\" @b")
	f.Add("", "x", "\\", "\\\"", "@", "a@\x00")
	f.Add("id", "x", "a  b", " a ", "ü@bücher.example", strings.Repeat("long ", 500))
	f.Add("id", `"a"`, `"a b"@c`, "..@c", "/@c", "=@c.")
	f.Fuzz(func(t *testing.T, id, comment, reason, a, b, c string) {
		if strings.TrimSpace(id) == "" {
			id = "id"
		}
		in := []Method{
			{Name: "dkim", Result: "pass", Comment: comment, Reason: reason, Props: []Prop{{"header", "d", a}, {"header", "i", b}}},
			{Name: "spf", Result: "fail", Props: []Prop{{"smtp", "mailfrom", c}}},
		}
		var want []Method
		for _, m := range in {
			want = append(want, m.Cleaned())
		}
		text := Format(id, in)
		for line := range strings.SplitSeq(text, "\r\n") {
			line = strings.TrimPrefix(line, "\t")
			if len(line) > 998 || strings.ContainsRune(line, '\\') || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("line %q", line)
			}
		}
		out, err := Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !reflect.DeepEqual(out.Methods, want) {
			t.Fatalf("%q:\n got %+v\nwant %+v", text, out.Methods, want)
		}
		if again := Format(id, out.Methods); again != text {
			t.Fatalf("once  %q\ntwice %q", text, again)
		}
		if _, payload, err := CutInstance(FormatARC(1, id, in)); err != nil || strings.ContainsAny(payload, "()") && !strings.ContainsAny(id, "()") || strings.Count(payload, ";") != 2 {
			t.Fatalf("ARC: %q, %v", payload, err)
		}
	})
}

func TestFormatARC(t *testing.T) {
	got := FormatARC(12, "mx.example.org", []Method{
		{Name: "dkim", Result: "pass", Comment: "2048-bit rsa key; good", Props: []Prop{{"header", "d", "example.com"}, {"header", "i", `"a;b"@example.com`}}},
		{Name: "spf", Result: "fail", Reason: "matched -all", Props: []Prop{{"smtp", "mailfrom", `odd"local part@example.com`}, {"smtp", "helo", "mx; dkim=pass"}}},
		{Name: "arc", Result: "none"},
	})
	want := strings.ReplaceAll(`i=12; mx.example.org;
	dkim=pass header.d=example.com header.i=a?b@example.com;
	spf=fail smtp.mailfrom=odd?local?part@example.com
	smtp.helo="mx??dkim=pass";
	arc=none`, "\n", "\r\n")
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if strings.Count(got, ";") != 4 {
		t.Errorf("semicolons that end nothing: %s", got)
	}
	instance, payload, err := CutInstance(got)
	if err != nil || instance != 12 {
		t.Fatalf("%d, %v", instance, err)
	}
	r, err := Parse(payload)
	if err != nil || r.AuthservID != "mx.example.org" || len(r.Methods) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	// A semicolon after the cut is not in the value.
	got = FormatARC(1, "mx", []Method{{Name: "spf", Result: "pass", Props: []Prop{{Type: "smtp", Name: "helo", Value: strings.Repeat("a", 400) + ";"}}}})
	if !strings.Contains(got, "smtp.helo=aaa") || strings.Count(got, ";") != 2 {
		t.Errorf("cut: %s", got)
	}
	if got := FormatARC(1, "mx", nil); got != "i=1; mx; none" {
		t.Errorf("no methods: %q", got)
	}
}

func TestCutInstance(t *testing.T) {
	for field, want := range map[string]int{
		"i=1; mx; none":  1,
		" i=50;mx; none": 50,
		"\r\n\t(first) i (of) = (all) 07 (sets) ; x": 7,
		"i=00; mx":      0,
		"i=99;":         99,
		"i=100; mx":     -1,
		"I=1; mx":       -1,
		"i=1 mx":        -1,
		"i=; mx":        -1,
		"i=+1; mx":      -1,
		"mx; i=1; none": -1,
		"(i=1; mx":      -1,
		"":              -1,
		"i":             -1,
		"i=1":           -1,
	} {
		got, _, err := CutInstance(field)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, %v", field, got, err)
		}
	}
}
