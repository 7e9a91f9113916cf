package message

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// authorCases are contents of a From field, the author domains they have, and
// what is wrong with them.
var authorCases = []struct {
	raw     string
	domains string
	errs    []error
}{
	// The forms of RFC 5322 section 3.4 and appendix A.
	{"a@b.example", "b.example", nil},
	{" a@b.example", "b.example", nil},
	{" a@b.example ", "b.example", nil},
	{"<a@b.example>", "b.example", nil},
	{" John Doe <jdoe@machine.example>", "machine.example", nil},
	{`"Joe Q. Public" <john.q.public@example.com>`, "example.com", nil},
	{`"Giant; \"Big\" Box" <sysservices@example.net>`, "example.net", nil},
	{`Pete(A nice \) chap) <pete(his account)@silly.test(his host)>`, "silly.test", []error{ErrFromAmbiguous}},
	{"a@B.Example", "b.example", nil},
	{"a@host", "", []error{ErrNoDomain, ErrFromAmbiguous}},
	{"a@_x.b.example", "_x.b.example", nil},
	{"a.b+c_d=e@b.example", "b.example", nil},
	{"a@b.example (Display Name)", "b.example", nil},
	{"(comment) a@b.example", "b.example", nil},
	{"a@b.example (admin@c.example)", "b.example", nil},
	{"(admin@c.example) a@b.example", "b.example", nil},
	{"(a (nested (deep) \\) \" ) one) <a@b.example>", "b.example", nil},
	{"John Q. Public <a@b.example>", "b.example", nil},
	{`"" <a@b.example>`, "b.example", nil},
	{`"a"@b.example`, "b.example", nil},
	{`"admin@c.example" <a@b.example>`, "b.example", nil},
	{`"admin@c.example, x" <a@b.example>`, "b.example", nil},
	{`"<admin@c.example>" <a@b.example>`, "b.example", nil},
	{`"\"admin@c.example\"" <a@b.example>`, "b.example", nil},
	{"Doe, Jane <a@b.example>", "b.example", []error{ErrFromSyntax}},
	{`"Doe, Jane" <a@b.example>`, "b.example", nil},

	// Folding, comments and the obsolete forms of section 4.4.
	{" John\r\n Doe\r\n\t<a@b.example>", "b.example", nil},
	{"\r\n a@b.example", "b.example", nil},
	{"\r\n \r\n a@b.example\r\n ", "b.example", nil},
	{"\"John\r\n Doe\" <a@b.example>", "b.example", nil},
	{"< a@b.example >", "b.example", nil},
	{"a @ b.example", "b.example", []error{ErrFromAmbiguous}},
	{"a . b@c.example", "c.example", []error{ErrFromAmbiguous}},
	{`a."b c".d@c.example`, "c.example", nil},
	{"a@b . example", "b.example", []error{ErrFromAmbiguous}},
	{"a@b(comment).example", "b.example", []error{ErrFromAmbiguous}},
	{"a@c.example (x).b.example", "c.example.b.example,c.example", []error{ErrFromAmbiguous}},
	{"a@(c.example) b.example", "b.example,c.example", []error{ErrFromAmbiguous}},
	{"<@c.example:a@b.example>", "b.example,c.example", []error{ErrFromAmbiguous}},
	{"<@c.example,@d.example:a@b.example>", "b.example,c.example,d.example", []error{ErrFromAmbiguous}},
	{"<,@c.example, ,:a@b.example>", "b.example,c.example", []error{ErrFromAmbiguous}},
	{"a@b.example,", "b.example", nil},
	{",,a@b.example, ,", "b.example", nil},

	// Several addresses: CVE-2019-16378; without a domain: CVE-2021-34555.
	{"a@b.example, c@d.example", "b.example,d.example", nil},
	{"c@d.example, a@b.example", "d.example,b.example", nil},
	{"a@b.example, c@B.example", "b.example", nil},
	{"A <a@b.example>, C <c@d.example>, e@f.example", "b.example,d.example,f.example", nil},
	{"a@b.example c@d.example", "b.example,d.example", []error{ErrFromSyntax}},
	{"a@b.example; c@d.example", "b.example,d.example", []error{ErrFromSyntax}},
	{"<a@b.example>, <>, <c@d.example>", "b.example,d.example", []error{ErrFromSyntax}},
	{"<a@b.example><c@d.example>", "b.example,d.example", []error{ErrFromSyntax, ErrNoDomain}},
	{"<a@b.example> c@d.example", "b.example,d.example", []error{ErrFromSyntax, ErrNoDomain}},
	{`<a@b.example>\,<c@d.example>`, "b.example,d.example", []error{ErrFromSyntax}},
	{"a@b.example,c", "b.example", []error{ErrFromSyntax}},
	{"a, c@d.example", "d.example", []error{ErrFromSyntax}},
	{"a@, c@d.example", "d.example", []error{ErrFromSyntax, ErrNoDomain}},

	// Groups (RFC 6854).
	{"Group: a@b.example;", "b.example", nil},
	{"Group: a@b.example, C <c@d.example>;", "b.example,d.example", nil},
	{"Group: a@b.example;, c@d.example", "b.example,d.example", nil},
	{"G: a@b.example; (comment), H:;", "b.example", nil},
	{"undisclosed:;", "", []error{ErrFromGroup}},
	{"Nobody: (comment) ,, ;", "", []error{ErrFromGroup}},
	{"Group: a@b.example", "b.example", []error{ErrFromSyntax}},
	{"Group: Other: a@b.example;;", "b.example", []error{ErrFromSyntax}},
	{"Group: a@b.example; c@d.example", "b.example,d.example", []error{ErrFromSyntax}},
	{"admin@c.example: a@b.example;", "c.example,b.example", []error{ErrFromSyntax}},

	// No domain.
	{"", "", []error{ErrFromSyntax, ErrNoDomain}},
	{" ", "", []error{ErrFromSyntax, ErrNoDomain}},
	{",", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"John Doe", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"<>", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"John <>", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"<john>", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"a@", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"@", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"a@<", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"a@[192.0.2.1]", "", []error{ErrNoDomain}},
	{"a@[IPv6:2001:db8::1]", "", []error{ErrNoDomain}},
	{"a@[192.0.2.1], b@c.example", "c.example", []error{ErrNoDomain}},
	{"a@[192.0.2.1", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"a@[[192.0.2.1]]", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"a@b!c", "", []error{ErrNoDomain, ErrFromAmbiguous}},
	{"a@" + strings.Repeat("x", 64) + ".example", "", []error{ErrNoDomain, ErrFromAmbiguous}},

	// Broken, but some reader shows an address.
	{"@b.example", "b.example", []error{ErrFromSyntax}},
	{"<a@b.example", "b.example", []error{ErrFromSyntax}},
	{"a@b.example>", "b.example", []error{ErrFromSyntax}},
	{"<<a@b.example>>", "b.example", []error{ErrFromSyntax}},
	{"admin@c.example <a@b.example>", "b.example", nil},
	{"<admin@c.example> <a@b.example>", "c.example,b.example", []error{ErrFromSyntax, ErrNoDomain}},
	{"a@b.example@c.example", "b.example,c.example", []error{ErrFromSyntax}},
	{"a@b.example.", "b.example", []error{ErrFromSyntax}},
	{"a@.b.example", "b.example", []error{ErrFromSyntax}},
	{".a@b.example", "b.example", []error{ErrFromSyntax}},
	{"a.@b.example", "b.example", []error{ErrFromSyntax}},
	{"a..b@c.example", "c.example", []error{ErrFromSyntax}},
	{"a b@c.example", "c.example", []error{ErrFromSyntax}},
	{". <a@b.example>", "b.example", []error{ErrFromSyntax}},
	{".: a@b.example;", "b.example", []error{ErrFromSyntax}},
	{`"a@b.example`, "b.example", []error{ErrFromSyntax}},
	{`"a <c@d.example>`, "d.example", []error{ErrFromSyntax}},
	{`"a\`, "", []error{ErrFromSyntax, ErrNoDomain}},
	{"(a@b.example", "b.example", []error{ErrFromSyntax}},
	{`(a@b.example\`, "b.example", []error{ErrFromSyntax, ErrNoDomain}},
	{"a@b.example )", "b.example", []error{ErrFromSyntax}},
	{`a@"b.example"`, "b.example", []error{ErrFromSyntax, ErrNoDomain}},
	{`a\@b.example`, "b.example", []error{ErrFromSyntax}},
	{"<@c.example a@b.example>", "c.examplea,c.example,b.example", []error{ErrFromSyntax}},
	{"mailto:a@b.example", "b.example", []error{ErrFromSyntax}},
	{"<mailto:a@b.example>", "b.example", []error{ErrFromSyntax}},

	// NUL, control characters, lone CR and LF.
	{"<a@b.example>\x00@c.example", "b.example,c.example", []error{ErrFromSyntax, ErrNoDomain, ErrFromNUL}},
	{"a@b.example\x00.c.example", "b.example,b.example.c.example", []error{ErrFromSyntax, ErrFromNUL}},
	{"a@b\x00.example", "b.example", []error{ErrFromSyntax, ErrNoDomain, ErrFromNUL}},
	{"\"\x00 c@d.example\" <a@b.example>", "d.example,b.example", []error{ErrFromSyntax, ErrFromNUL}},
	{"(\x00) <a@b.example>", "b.example", []error{ErrFromSyntax, ErrFromNUL}},
	{"\"x\x01\" <a@b.example>", "b.example", []error{ErrFromAmbiguous}},
	{"a@b.example\r", "b.example", []error{ErrFromSyntax}},
	{"a@b.example\rc@d.example", "b.example,d.example,b.examplec", []error{ErrFromSyntax}},
	{"a@b.exam\rple", "b.exam,b.example", []error{ErrFromSyntax}},
	{"<a@b.exam\rple>", "b.exam,b.example", []error{ErrFromSyntax}},
	{"a@b.example\nc@d.example", "b.example,d.example,b.examplec", []error{ErrFromSyntax}},
	{"a@b.example\r\nc@d.example", "b.example,d.example,b.examplec", []error{ErrFromSyntax}},
	{"\"x\ry\" <a@b.example>", "b.example", []error{ErrFromSyntax}},
	{"\"x\\\ry\" <a@b.example>", "b.example", []error{ErrFromSyntax}},
	{"a@b.example\x7f", "b.example", []error{ErrFromSyntax, ErrNoDomain}},

	// Encoded words: in a display name they yield no address (RFC 2047 section 5).
	// Elsewhere they are not allowed, but some readers decode them.
	{"=?utf-8?q?admin=40c.example?= <a@b.example>", "b.example", nil},
	{"=?utf-8?b?PGFkbWluQGMuZXhhbXBsZT4=?= <a@b.example>", "b.example", nil},
	{"=?utf-8?b?PGFkbWluQGMuZXhhbXBsZT4=?=", "c.example", []error{ErrFromSyntax}},
	{"=?UTF-8?B?PGFkbWluQGMuZXhhbXBsZT4?=", "c.example", []error{ErrFromSyntax}},
	{"=?iso-8859-1?Q?=3Cadmin=40c.example=3E?=", "c.example", []error{ErrFromSyntax}},
	{"=?utf-8?q?admin=40c.?= =?utf-8?q?example?=", "c.example", []error{ErrFromSyntax}},
	{"=?utf-8?b?YWRtaW5AYy5leGFtcGxl?=@b.example", "b.example,c.example", []error{ErrFromAmbiguous}},
	{`"=?utf-8?q?admin=40c.example?="@b.example`, "b.example,c.example", []error{ErrFromAmbiguous}},
	{"admin@=?utf-8?q?c.example?=", "c.example", []error{ErrNoDomain, ErrFromAmbiguous}},
	{"=?utf-8?q?admin@c.example?= <a@b.example>", "b.example", nil},
	{"=?utf-8?q?admin=40c.example=00?= a@b.example", "b.example,c.example,c.examplea", []error{ErrFromSyntax}},
	{"=?utf-8?x?admin=40c.example?=", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"=?utf-8?q?a_=4gb=40c.example=2f=2F=?=", "c.example", []error{ErrFromSyntax, ErrNoDomain}},
	{"=?=?utf-8?q?a=40b.example?=", "b.example", []error{ErrFromSyntax}},

	// Non-ASCII (RFC 6531, RFC 6532).
	{"Jörg <jörg@bücher.example>", "xn--bcher-kva.example", nil},
	{"a@BÜCHER.example", "xn--bcher-kva.example", nil},
	{"a@xn--bcher-kva.example, b@bücher.example", "xn--bcher-kva.example", nil},
	{"用户@例え.テスト", "xn--r8jz45g.xn--zckzah", nil},
	{"a@b。example", "b.example", nil},
	{"J\xf6rg <a@b.example>", "b.example", nil},
	{"a@b\xf6.example", "b.example", []error{ErrNoDomain, ErrFromAmbiguous}},
	{"a@b.example\u3000", "b.example", []error{ErrFromAmbiguous}},
	{"a@b.example\u2003<c@d.example>", "d.example", nil},
	{"a@b.example\r\n <c@d.example>", "d.example", nil},
	{"a@b.example <c@d.example>, e@f.example", "d.example,f.example", nil},
	{"a@b.example (x) <c@d.example>", "b.example,d.example", []error{ErrFromSyntax}},
	{"a@b.example, <c@d.example>", "b.example,d.example", nil},
	{"a@b.example c@d.example", "b.example,d.example", []error{ErrFromSyntax}},
	{"@b.example <c@d.example>", "d.example", nil},
	{"\ufeffa@b.example", "b.example", nil},
}

// judged returns the domains of a From field, and "unjudged" if they may be
// incomplete.
func judged(raw string) string {
	a := Header{NewField("From", " "+raw)}.Author()
	text := strings.Join(a.Domains, ",")
	if a.Unjudged() {
		text += " unjudged"
	}
	return strings.TrimSpace(text)
}

// If only one author is shown, no other is judged.
func TestAuthorHonest(t *testing.T) {
	for _, raw := range []string{
		"joe@example.com", "<joe@example.com>", "Joe <joe@example.com>", `"Doe, Joe" <joe@example.com>`, "Doe, Joe <joe@example.com>",
		"joe@example.com (Joe)", "Joe (home) <joe@example.com>", "Joe <joe@example.com> (home)", "Joe <joe@example.com>,", "Joe <joe@example.com>;",
		"joe@example.net <joe@example.com>", `"joe@example.net" <joe@example.com>`, `"joe@example.net via Docs" <joe@example.com>`,
		"joe@example.net via Docs <joe@example.com>", "'joe@example.net' <joe@example.com>", `"Joe <joe@example.net>" <joe@example.com>`,
		"J\xc3\xb6rg <joe@example.com>", "J\xf6rg <joe@example.com>", "J\xf6rg, Joe <joe@example.com>", "\"J\xf6rg, Joe\" <joe@example.com>",
		"=?utf-8?q?J=C3=B6rg?= <joe@example.com>", "=?utf-8?q?joe=40bank.example?= <joe@example.com>", "=?utf-8?q?J=C3=B6rg=2C?= Joe <joe@example.com>",
		"=?iso-8859-1?q?J=F6rg?=, Joe <joe@example.com>", "Doe, =?windows-1252?q?J=F6?= <joe@example.com>",
		"J. Doe <joe@example.com>", "Joe [x] <joe@example.com>", "Joe: x <joe@example.com>", "Joe; x <joe@example.com>", "Joe \\ x <joe@example.com>",
		"<<joe@example.com>>", "Joe <joe@example.com", "joe@example.com>", "Joe joe@example.com", ".Joe <joe@example.com>", "joe@example.com.",
		`"Joe <joe@example.com>`, "Joe\" <joe@example.com>", "mailto:joe@example.com", "<mailto:joe@example.com>", "Joe\u3000<joe@example.com>",
		"joe@example.com\u3000", "Joe <joe@EXAMPLE.com>", "\ufeffjoe@example.com", "Joe\u200e <joe@example.com>", "\u2068Joe\u2069 <joe@example.com>", "\u2068Joe\u2069, x <joe@example.com>",
		"Joe <joe@exam\u00adple.com>", "Joe <jo\u00ebe@example.com>", "Joe <joe@example.com>\r\n ", "Joe\r\n\t<joe@example.com>",
		"Group: joe@example.com;", "bank.example!joe@example.com", "joe%bank.example@example.com", "joe=bank.example@example.com",

		// Beside an author, a name of one label or none is no domain.
		"Joe @ home, inc. <joe@example.com>", "Joe @ home, inc. <joe@example.com>,", "Doe, Joe@Home <joe@example.com>", "Doe, Joe @home <joe@example.com>",
		"Joe@Home: news <joe@example.com>", "Joe @ Home; x <joe@example.com>", "Joe@Home, x@work <joe@example.com>", "Joe @ Caf\u00e9, inc. <joe@example.com>",
		"Joe @ [Home] <joe@example.com>", "Sale, now @ $9.99 <joe@example.com>", "Sale, now @ 9.99! <joe@example.com>", "Doe, Joe @, x <joe@example.com>",
		`Doe, "Joe @ Home" <joe@example.com>`, `Doe, "joe@example.com" <joe@example.com>`, "Doe, 'joe@example.com' <joe@example.com>", "Doe, joe@example.com! <joe@example.com>",
		"Doe, @joe <joe@example.com>", "Joe (@joe), x <joe@example.com>",
		"Joe @ home., inc. <joe@example.com>", "Doe, Joe @home.; x <joe@example.com>", `Joe @ "home", inc. <joe@example.com>`, `Joe @ "Home, inc." <joe@example.com>`, `Joe @ "Home Office" (x) <joe@example.com>`, `Doe, Joe@"Home" <joe@example.com>`,

		// Nor is text with a percent sign or an exclamation mark.
		"Sale! 50%off, Joe <joe@example.com>", "Yahoo!Inc, News <joe@example.com>", "100%, Joe <joe@example.com>", "Joe <IT Dept> <joe@example.com>",
		`"Sale! 50%off" <joe@example.com>`, "Sale 50%.off, Joe <joe@example.com>", "joe@example.com (100% (really))",
	} {
		if got := judged(raw); got != "example.com" {
			t.Errorf("%q: %s", raw, got)
		}
	}
}

// hiddenCharacters are characters that readers drop or show as nothing, and octets
// that are not valid UTF-8.
var hiddenCharacters = []string{
	"\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e", "\u202a", "\u202e",
	"\u2028", "\u2029", "\u2060", "\u2063", "\u2065", "\u2066", "\u206f", "\u2800", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0", "\ufff0", "\ufff9", "\ufffc",
	"\U0001d159", "\U0001d173", "\U00013441", "\U00016fe4", "\U000e0001", "\U000e0061", "\U000e0100", "\U000e0fff", "\u0080", "\u0085", "\u009f",
	"\xff", "\xfc", "\x80", "\xc3", "\xe2\x80", "\xed\xa0\x80", "\x01", "\x08", "\x1b", "\x7f", "\x0b", "\x00", "\r", "\n",
	"\u200e\u200f", "\u200b\xff\x01",
}

// A domain with invisible characters is judged as people see it.
func TestAuthorHidden(t *testing.T) {
	for _, hidden := range hiddenCharacters {
		for _, c := range []struct{ format, domains string }{
			{"joe@exam%sple.com", "example.com"},
			{"<joe@exam%sple.com>", "example.com"},
			{"Joe <joe@%sexample.com>", "example.com"},
			{"Joe <joe@example%s.com>", "example.com"},
			{"Joe <joe@example.com%s>", "example.com"},
			{"Doe, Joe <joe@exam%sple.com>", "example.com"},
			{"joe@exam%sple.com, x@attacker.example", "example.com,attacker.example"},
			{"<joe@exam%sple.com>, x@attacker.example", "example.com,attacker.example"},
			{"\"joe@exam%sple.com\"@attacker.example", "attacker.example,example.com"},
			{"joe@exam%sple.com; x@attacker.example", "example.com,attacker.example"},
		} {
			raw := fmt.Sprintf(c.format, hidden)
			a := Header{NewField("From", raw)}.Author()
			for _, d := range strings.Split(c.domains, ",") {
				if !slices.Contains(a.Domains, d) {
					t.Errorf("%q: %q, unjudged %v, without %s", raw, a.Domains, a.Unjudged(), d)
				}
			}
			for _, d := range a.Domains {
				if !strings.Contains(d, ".") || d == "m" || d == "exam" {
					t.Errorf("%q: %s", raw, d)
				}
			}
			// Only characters that UTS #46 drops leave a domain name.
			if !a.Unjudged() && !slices.Contains([]string{"\u200b", "\u00ad", "\u034f", "\u180b", "\u2060", "\u2063", "\ufe00", "\ufe0f", "\ufeff", "\U000e0100", "\x0b", "\r", "\n", "\u2065"}, hidden) &&
				strings.Contains(raw, "exam"+hidden) && !strings.Contains(raw, `"`) {
				t.Errorf("%q can pass: %q", raw, a.Domains)
			}
		}
	}
}

// Text that no reader could read as a domain leaves the author unjudged, and its
// fragments do not count as domains.
func TestAuthorUnjudged(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		// Fragments.
		{"<info@%bank.example>", "unjudged"},
		{"<info@4711%bank.example>", "unjudged"},
		{"Bank <info@4711%bank.example>", "unjudged"},
		{"<info@bank,example>", "unjudged"},
		{"<info@bank;example>", "unjudged"},
		{"<info@bank:example>", "unjudged"},
		{"<info@bank/example>", "unjudged"},
		{"<info@bank example>", "unjudged"},
		{"<info@customer bank.example>", "customerbank.example unjudged"},
		{"<info@customer\tbank.example>", "customerbank.example unjudged"},
		{"<info@customer\r\n bank.example>", "customerbank.example unjudged"},
		{"<info@customer(x)bank.example>", "customerbank.example unjudged"},
		{"<info@bank_example>", "unjudged"},
		{"<info@bank>", "unjudged"},
		{"info@bank", "unjudged"},
		{"info@bank, x@attacker.example", "attacker.example unjudged"},
		{"<info@bank>, x@attacker.example", "attacker.example unjudged"},
		{"<info@bank>, <x@attacker.example>", "attacker.example unjudged"},
		{"<info@bank,example>, <x@attacker.example>", "attacker.example unjudged"},
		{"<info@4711%bank.example>, <x@attacker.example>", "attacker.example unjudged"},
		{"info@4711%bank.example, <x@attacker.example>", "attacker.example unjudged"},
		{"info@bank%2eexample, <x@attacker.example>", "attacker.example"},
		{"<info@bank&period;example>", "unjudged"},
		{"<info@bank..example>", "unjudged"},
		{"<info@192.0.2.1>", "unjudged"},
		{"<info@bank.example.1>", "unjudged"},
		{"info@", "unjudged"},
		{"info@, x@attacker.example", "attacker.example unjudged"},
		{"info@bank.example @", "bank.example unjudged"},
		{"info@bank.example@", "bank.example unjudged"},

		// Literals.
		{"<joe@[192.0.2.1]>", "unjudged"},
		{"<joe@[192.0.2.1]>, x@attacker.example", "attacker.example unjudged"},
		{"x@attacker.example, joe@[192.0.2.1]", "attacker.example unjudged"},
		{"joe@[IPv6:2001:db8::1], <x@attacker.example>", "attacker.example unjudged"},
		{"joe@[bank.example], <x@attacker.example>", "attacker.example unjudged"},
		{"Group: joe@[192.0.2.1], x@attacker.example;", "attacker.example unjudged"},

		// Quoted local parts.
		{`<"joe@bank.example>"@attacker.example>`, "attacker.example,bank.example unjudged"},
		{`<"joe@bank.example"@attacker.example>`, "attacker.example,bank.example unjudged"},
		{`"joe@bank.example"@attacker.example`, "attacker.example,bank.example"},
		{`"joe@bank.example \""@attacker.example`, "attacker.example,bank.example unjudged"},
		{`"joe@bank.exa\mple"@attacker.example`, "attacker.example,bank.exa,bank.example unjudged"},
		{`"joe\@bank.example"@attacker.example`, "attacker.example,bank.example"},
		{`"<joe@bank.example>"@attacker.example`, "attacker.example,bank.example unjudged"},
		{`"joe@bank"@attacker.example`, "attacker.example unjudged"},
		{"\"joe\uff20bank.example\"@attacker.example", "attacker.example,bank.example"},
		{"joe\uff20bank.example@attacker.example", "attacker.example,bank.example"},
		{"joe\ufe6bbank.example@attacker.example", "attacker.example,bank.example"},
		{"joe\uff20bank.example", "bank.example"},

		// Dots of other kinds.
		{"joe@bank\u3002example", "bank.example"},
		{"joe@bank\uff0eexample", "bank.example"},
		{"joe@bank\uff61example", "bank.example"},
		{"joe@bank\u2024example", "unjudged"},
		{"joe@bank\ufe52example", "unjudged"},
		{"x@y, joe@bank\u2024example, <x@attacker.example>", "attacker.example unjudged"},

		// A-labels that hide something.
		{"joe@xn--bank-w76a.example", "unjudged"},
		{"joe@XN--BANK-W76A.example", "unjudged"},
		{"joe@mail.xn--bank-w76a.example", "unjudged"},
		{"joe@xn--bank-w76a.example, x@attacker.example", "attacker.example unjudged"},
		{"joe@xn--bank-.example", "unjudged"},
		{"joe@xn--i-7iq.ws", "xn--i-7iq.ws"},
		{"joe@i\u2764.ws", "xn--i-7iq.ws"},

		// Encoded words where none are allowed.
		{"joe@=?utf-8?q?bank.example?=", "bank.example unjudged"},
		{"joe@bank.=?utf-8?q?example?=", "bank.example unjudged"},
		{"joe@=?utf-8?b?YmFuay5leGFtcGxl?=", "bank.example unjudged"},
		{"joe@=?utf-8?b?YmFuay*5leGFtcGxl=?=", "bank.example unjudged"},
		{"=?utf-8?q?joe=40bank.example?=@attacker.example", "attacker.example,bank.example"},
		{"=?utf-8?q?joe?= =?utf-8?q?=40bank.example?=, <x@attacker.example>", "attacker.example,bank.example"},
		{"=?utf-16be?b?AGoAbwBlAEAAYgBhAG4AawAuAGUAeABhAG0AcABsAGU?=@attacker.example", "attacker.example,bank.example unjudged"},
		{"=?utf-7?q?joe+AEA-bank.example?=@attacker.example", "attacker.example unjudged"},
		{"=?UTF7*en?q?joe+AEA-bank.example?=@attacker.example", "attacker.example unjudged"},
		{"=?cp037?b?kZaFfIKBlZJLhaeBlJeThQ?=@attacker.example", "attacker.example unjudged"},
		{"=?iso-8859-1?q?joe=40b=FCcher.example?=@attacker.example", "attacker.example,bcher.example unjudged"},

		// Brackets in brackets, and several brackets.
		{"<joe@bank.exam> <ple@attacker.example>", "bank.exam,attacker.example unjudged"},
		{"<m@bank.co> <m@bank.co>", "bank.co,bank.com"},
		{"Bank <joe@bank.example> <x@attacker.example>", "bank.example,attacker.example unjudged"},
		{"<joe@bank.example@attacker.example>", "bank.example,attacker.example"},
		{"<joe@attacker.exam<ple>>", "attacker.exam unjudged"},
		{"<<joe@bank.exam>ple>", "bank.exam unjudged"},
		{"<@bank.example:x@attacker.example>", "attacker.example,bank.example"},
		{"<x@attacker.example:bank.example>", "attacker.example unjudged"},
		{"<x@attacker.example,bank.example>", "attacker.example unjudged"},
		{"<x@attacker.example/bank.example>", "attacker.example unjudged"},

		// A bracket in quotes in a field that cannot be parsed, and a NUL.
		{`Doe, "J <x>" <x@attacker.example>`, "attacker.example unjudged"},
		{`Doe, "J >" <x@attacker.example>`, "attacker.example unjudged"},
		{"(\x00) <x@attacker.example>", "attacker.example unjudged"},

		// Encoded words that cannot be decoded or use another charset, and a single
		// A-label, can be shown as anything.
		{"Doe, joe@=?x?z?home?= <x@attacker.example>", "attacker.example unjudged"},
		{`joe@"bank .example" <x@attacker.example>`, "attacker.example,bank.example unjudged"},
		{`joe@"Bank Inc. example" <x@attacker.example>`, "attacker.example,bankinc.example unjudged"},
		{`joe@"home [192.0.2.1]" <x@attacker.example>`, "attacker.example unjudged"},
		{`joe@"home @ home" <x@attacker.example>`, "attacker.example unjudged"},
		{`joe@"[192.0.2.1]" <x@attacker.example>`, "attacker.example unjudged"},
		{`joe@"home =?x?z?y?=" <x@attacker.example>`, "attacker.example unjudged"},
		{`joe@"home" .example <x@attacker.example>`, "attacker.example,home.example unjudged"},
		{"Doe, joe@=?utf-8?q?home <x@attacker.example>", "attacker.example unjudged"},
		{"x@attacker.example =?koi8-r?q?=C1?= <", "attacker.example unjudged"},
		{"Doe, joe@xn--bank-w76a <x@attacker.example>", "attacker.example unjudged"},
		{`Doe, joe@"xn--bank-w76a" <x@attacker.example>`, "attacker.example unjudged"},
		{`Doe, joe@"bank".example <x@attacker.example>`, "attacker.example,bank.example unjudged"},
		{`Doe, joe@"bank" .example <x@attacker.example>`, "attacker.example,bank.example unjudged"},
		{"Doe, joe@bank.,.example <x@attacker.example>", "attacker.example unjudged"},

		// Names of groups.
		{`"joe@bank.example": x@attacker.example;`, "attacker.example,bank.example"},
		{"\"joe\uff20bank.example\": x@attacker.example;", "attacker.example,bank.example"},

		// Old forms without "@", which MTAs rewrite with one.
		{"joe%bank.example, x@attacker.example", "attacker.example,bank.example"},
		{"x@attacker.example, joe%bank.example", "attacker.example,bank.example"},
		{"bank.example!joe, x@attacker.example", "attacker.example,bank.example"},
		{"joe%bank.example", "bank.example"},
		{"bank.example!joe", "bank.example"},
		{"<joe%bank.example>", "bank.example unjudged"},
		{"<joe%bank.example>, x@attacker.example", "attacker.example,bank.example unjudged"},
		{"Joe <bank.example!joe>, x@attacker.example", "attacker.example,bank.example unjudged"},
		{"x@attacker.example, <joe%bank.example", "attacker.example,bank.example"},
		{"x@attacker.example, joe%bank.example>", "attacker.example,bank.example"},
		{"Group: joe%bank.example, x@attacker.example;", "attacker.example,bank.example"},
		{`"joe"%bank.example, x@attacker.example`, "attacker.example,bank.example"},
		{"joe % bank.example, x@attacker.example", "attacker.example,bank.example"},
		{"joe%bank . example, x@attacker.example", "attacker.example,bank.example"},
		{"joe%(x)bank(y).example (c), x@attacker.example", "attacker.example,bank.example"},
		{"joe%BANK.example. , x@attacker.example", "attacker.example,bank.example"},
		{"joe%b\u00fccher.example, x@attacker.example", "attacker.example,xn--bcher-kva.example"},
		{"a%attacker.example%bank.example, x@attacker.example", "attacker.example,bank.example"},
		{"Joe joe%bank.example, x@attacker.example", "attacker.example,bank.example"},
		{"Joe bank.example!joe, x@attacker.example", "attacker.example,bank.example"},
		{"bank.example!a!joe, x@attacker.example", "attacker.example,bank.example"},
		{"bank.example!a%attacker.example, x@attacker.example", "attacker.example,bank.example"},
		{"bank . example ! joe, x@attacker.example", "attacker.example,bank.example"},
		{"bank(x).example(y)!joe, x@attacker.example", "attacker.example,bank.example"},
		{"<joe>, x@attacker.example", "attacker.example unjudged"},
		{"Joe <joe> (c), x@attacker.example", "attacker.example unjudged"},
		{"x@attacker.example, <joe>", "attacker.example unjudged"},

		// For people, non-ASCII punctuation marks end a domain.
		{"\u201cjoe@bank.example\u201d, x@attacker.example", "attacker.example,bank.example unjudged"},
		{"joe@bank.example\u2044x.attacker.example", "bank.example unjudged"},
		{"<joe@bank.example\u2215@attacker.example>", "bank.example,attacker.example unjudged"},
		{"joe@bank.xn--examplex-k03d.attacker.example", "unjudged"},
		{"joe@\u2423bank.example", "unjudged"},

		// For some readers, a nested comment ends the outer one.
		{"(a (b) joe@bank.example) x@attacker.example", "attacker.example,bank.example"},
		{"(joe@bank.example (b)) <x@attacker.example>", "attacker.example,bank.example"},
	} {
		if got := judged(c.raw); got != c.want {
			t.Errorf("%q: %s, want %s", c.raw, got, c.want)
		}
	}
}

// A line that MTAs break is judged both as it is and as they break it.
func TestAuthorLongLine(t *testing.T) {
	// pad puts as many octets before text as make a line of n octets with "From:".
	pad := func(n int, text string) string { return strings.Repeat("x", n-len("From:")-len(text)) + text }
	for _, c := range []struct {
		name, raw, domains string
		long               bool
	}{
		{"998 octets", pad(998, " <joe@bank.example>"), "bank.example", false},
		{"999 octets", pad(999, " <joe@bank.example>"), "bank.example", true},
		{"998 octets and a fold", pad(998, "\"") + "\r\n x <joe@bank.example>", "bank.example", false},
		{"a long second line", " x\r\n" + strings.Repeat(" ", 999-len("<joe@bank.example>")) + "<joe@bank.example>", "bank.example", true},
		{"998 octets in the second line", " x\r\n" + strings.Repeat(" ", 998-len("<joe@bank.example>")) + "<joe@bank.example>", "bank.example", false},
		{"cut within the domain", pad(998, " <joe@bank.example") + "-x.attacker.example>", "bank.example-x.attacker.example,bank.example", true},
		{"cut twice", " a@b.example,\r\n" + strings.Repeat("y", 998-len(" <joe@bank.example")) + " <joe@bank.example" + "-x.attacker.example>" +
			strings.Repeat(" ", 998-len("-x.attacker.example> <x@second.example")) + " <x@second.example" + ".x.attacker.example>", "bank.example,second.example", true},
	} {
		a := Header{NewField("From", c.raw)}.Author()
		for _, d := range strings.Split(c.domains, ",") {
			if !slices.Contains(a.Domains, d) {
				t.Errorf("%s: %q, without %s", c.name, a.Domains, d)
			}
		}
		if errors.Is(a.Err, ErrFromLine) != c.long || c.long && !a.Unjudged() {
			t.Errorf("%s: %v", c.name, a.Err)
		}
	}
}

// A word or display name that Sendmail splits is judged as what it becomes
// (docs/mta.md), if it contains something that can be shown as an address.
func TestAuthorLongWord(t *testing.T) {
	long, words := strings.Repeat("c", 300), strings.Repeat("\r\n "+strings.Repeat("c", 60), 30)
	for _, c := range []struct{ raw, want string }{
		{`"joe@bank.example ` + long + `" <x@attacker.example>`, "bank.example,attacker.example unjudged"},
		{`"` + long + ` joe@bank.example" <x@attacker.example>`, "bank.example,attacker.example unjudged"},
		{`"joe@bank.example` + strings.Repeat(" ", 300) + `" <x@attacker.example>`, "bank.example,attacker.example unjudged"},
		{`"joe@bank.example` + strings.Repeat("\r\n c", 100) + `" <x@attacker.example>`, "bank.example,attacker.example unjudged"},
		{`"` + strings.Repeat(`\c`, 130) + ` joe@bank.example" <x@attacker.example>`, "bank.example,attacker.example unjudged"},
		{`"joe@bank.example" ` + long + ` <x@attacker.example>`, "bank.example,attacker.example unjudged"},
		{`joe@bank.example ` + long + ` <x@attacker.example>`, "bank.example,attacker.example unjudged"},
		{`Group: "` + long + ` joe@bank.example" <x@attacker.example>;`, "bank.example,attacker.example unjudged"},
		{`"joe@bank.example ` + long + `" <x@attacker.example>, y@attacker.example`, "bank.example,attacker.example unjudged"},
		{"=?utf-8?q?joe=40bank.example?= " + long + " <x@attacker.example>", "attacker.example,bank.example unjudged"},
		{"joe%bank.example" + words + " <x@attacker.example>", "attacker.example unjudged"},
		{"joe@bank.example" + words + " <x@attacker.example>", "bank.example,attacker.example unjudged"},
		{long + "@attacker.example, x@attacker.example", "attacker.example"},
		{`"` + long + `" <x@example.com>`, "example.com"},
		{long + " <x@example.com>", "example.com"},
		{"x@example.com (" + long + ")", "example.com"},
		{`"joe@bank.example ` + long[:200] + `" <x@example.com>`, "example.com"},
		{"joe@bank.example " + long[:200] + " <x@example.com>", "example.com"},
		{strings.Repeat("=?utf-8?q?J=C3=B6rg_J=C3=B6rg_J=C3=B6rg_J=C3=B6rg?=\r\n ", 10) + "<x@example.com>", "example.com"},
	} {
		got := strings.Fields(judged(c.raw))
		want := strings.Fields(c.want)
		if len(got) != len(want) || !slices.Contains(got, "unjudged") == slices.Contains(want, "unjudged") {
			t.Errorf("%.60q: %s, want %s", c.raw, got, c.want)
			continue
		}
		for _, d := range strings.Split(want[0], ",") {
			if !slices.Contains(strings.Split(got[0], ","), d) {
				t.Errorf("%.60q: %s, want %s", c.raw, got, c.want)
			}
		}
	}
}

func TestAuthor(t *testing.T) {
	for _, c := range authorCases {
		t.Run(fmt.Sprintf("%.40q", c.raw), func(t *testing.T) {
			a := Header{{"To", " x@to.example"}, {"From", c.raw}, {"Sender", " y@sender.example"}}.Author()
			if got := strings.Join(a.Domains, ","); got != c.domains {
				t.Errorf("domains %q, want %q (%v)", got, c.domains, a.Err)
			}
			checkAuthorErr(t, a.Err, c.errs)
			if a.Fields != 1 {
				t.Errorf("%d fields", a.Fields)
			}
		})
	}
}

// checkAuthorErr checks that err wraps exactly the errors in want.
func checkAuthorErr(t *testing.T, err error, want []error) {
	t.Helper()
	for _, e := range []error{ErrNoFrom, ErrSeveralFrom, ErrFromName, ErrFromSyntax, ErrFromAmbiguous, ErrFromGroup, ErrNoDomain, ErrFromLine, ErrFromNUL, ErrAuthorBounds} {
		if errors.Is(err, e) != slices.Contains(want, e) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	if err != nil && strings.ContainsAny(err.Error(), "\r\n;\"\x00") {
		t.Errorf("error text %q", err)
	}
}

// Removing the domains from any test case must be harmless (CVE-2021-34555).
func TestAuthorWithoutDomains(t *testing.T) {
	for _, c := range authorCases {
		for _, d := range strings.Split(c.domains, ",") {
			a := Header{{"From", strings.ReplaceAll(c.raw, d, "")}}.Author()
			if len(a.Domains) == 0 && a.Err == nil {
				t.Errorf("%q without %s: no domain and no error", c.raw, d)
			}
		}
	}
}

func TestAuthorFields(t *testing.T) {
	for _, c := range []struct {
		name    string
		header  Header
		domains string
		fields  int
		errs    []error
	}{
		{"none", Header{{"To", "a@b.example"}}, "", 0, []error{ErrNoFrom}},
		{"no header", nil, "", 0, []error{ErrNoFrom}},
		{"lower case", Header{{"from", "a@b.example"}}, "b.example", 1, nil},
		{"upper case", Header{{"FROM", "a@b.example"}}, "b.example", 1, nil},
		{"space before the colon", Header{{"From ", "a@b.example"}}, "b.example", 1, nil},
		{"HTAB before the colon", Header{{"From\t ", "a@b.example"}}, "b.example", 1, nil},
		{"two", Header{{"From", "a@b.example"}, {"From", "c@d.example"}}, "b.example,d.example", 2, []error{ErrSeveralFrom}},
		{"two, one domain", Header{{"From", "a@b.example"}, {"From", "a@b.example"}}, "b.example", 2, []error{ErrSeveralFrom}},
		{"two, one with a space", Header{{"From ", "a@b.example"}, {"From", "c@d.example"}}, "b.example,d.example", 2, []error{ErrSeveralFrom}},
		{"two, one broken", Header{{"From", "a@b.example"}, {"From", "<c@d.example"}}, "b.example,d.example", 2, []error{ErrSeveralFrom, ErrFromSyntax}},
		{"two, both broken", Header{{"From", "<a@b.example"}, {"From", "c"}}, "b.example", 2, []error{ErrSeveralFrom, ErrFromSyntax, ErrNoDomain}},
		{"two, one empty", Header{{"From", ""}, {"From", "c@d.example"}}, "d.example", 2, []error{ErrSeveralFrom, ErrFromSyntax, ErrNoDomain}},
		{"two, one empty group", Header{{"From", "c@d.example"}, {"From", "x:;"}}, "d.example", 2, []error{ErrSeveralFrom, ErrFromGroup}},
		{"space in front", Header{{" From", "a@b.example"}, {"From", "c@d.example"}}, "b.example,d.example", 2, []error{ErrSeveralFrom, ErrFromName}},
		{"folded name", Header{{"From\r\n ", "a@b.example"}}, "b.example", 1, []error{ErrFromName}},
		{"NUL in the name", Header{{"From\x00", "a@b.example"}, {"From", "c@d.example"}}, "b.example,d.example", 2, []error{ErrSeveralFrom, ErrFromName}},
		{"8-bit in the name", Header{{"From\xff", "a@b.example"}}, "b.example", 1, []error{ErrFromName}},
		{"no-break space in the name", Header{{"\u00a0From", "a@b.example"}}, "b.example", 1, []error{ErrFromName}},
		{"zero-width space in the name", Header{{"Fr\u200bom", "a@b.example"}}, "b.example", 1, []error{ErrFromName}},
		{"other fields", Header{{"Resent-From", "a@b.example"}, {"Sender", "a@b.example"}, {"X-From", "a@b.example"}, {"Fro", "a@b.example"},
			{"Fromm", "a@b.example"}, {"", "a@b.example"}, {"\xff", "a@b.example"}}, "", 0, []error{ErrNoFrom}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := c.header.Author()
			if got := strings.Join(a.Domains, ","); got != c.domains || a.Fields != c.fields {
				t.Errorf("got %q of %d fields, want %q of %d", got, a.Fields, c.domains, c.fields)
			}
			checkAuthorErr(t, a.Err, c.errs)
		})
	}
}

func TestAuthorMailboxes(t *testing.T) {
	a := Header{{"From", `"A, B" <a@b.example>, c@[192.0.2.1]`}, {"From", "<broken"}, {"From", "e@f.example"}}.Author()
	want := []Mailbox{{"A, B", "a", "b.example"}, {"", "c", "[192.0.2.1]"}, {"", "e", "f.example"}}
	if !slices.Equal(a.Mailboxes, want) {
		t.Errorf("got %v, want %v", a.Mailboxes, want)
	}
}

// list returns n addresses with distinct domains.
func list(n int, format string) string {
	addresses := make([]string, n)
	for i := range addresses {
		addresses[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(addresses, ",\r\n ")
}

func TestAuthorBounds(t *testing.T) {
	long := strings.Repeat("\r\n ", MaxAddressList/3)
	for _, c := range []struct {
		name    string
		header  Header
		domains int
		first   string
		errs    []error
	}{
		{"100 addresses", Header{{"From", list(100, "a@d%d.example")}}, 100, "d0.example", nil},
		{"101 addresses", Header{{"From", list(101, "a@d%d.example")}}, 100, "d0.example", []error{ErrFromSyntax, ErrAuthorBounds}},
		{"5000 addresses of one domain", Header{{"From", list(5000, "a%d@d.example")}}, 1, "d.example", []error{ErrFromSyntax}},
		{"20000 addresses of one domain", Header{{"From", list(20000, "a%d@d.example")}}, 1, "d.example", []error{ErrFromSyntax, ErrAuthorBounds}},
		{"101 fields", slices.Repeat(Header{{"From", "a@b.example"}}, 101), 1, "b.example", []error{ErrSeveralFrom}},
		{"2000 fields", slices.Repeat(Header{{"From", "a@b.example,a@c.example"}}, 2000), 2, "b.example", []error{ErrSeveralFrom}},
		{"over 64 KiB", Header{{"From", long + "a@b.example"}}, 1, "b.example", []error{ErrFromSyntax}},
		{"domains that are none", Header{{"From", "<" + list(2000, "a@%d..example")}}, 0, "", []error{ErrFromSyntax, ErrNoDomain, ErrAuthorBounds}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := c.header.Author()
			if len(a.Domains) != c.domains || c.domains > 0 && a.Domains[0] != c.first {
				t.Errorf("%d domains, want %d: %.80q", len(a.Domains), c.domains, a.Domains)
			}
			if len(a.Mailboxes) > MaxMailboxes {
				t.Errorf("%d mailboxes", len(a.Mailboxes))
			}
			if a.Err != nil && len(a.Err.Error()) > 300 {
				t.Errorf("error of %d octets", len(a.Err.Error()))
			}
			checkAuthorErr(t, a.Err, c.errs)
		})
	}
}

// The time is linear in the field. Otherwise these fields of 256 KiB would take
// longer than the time limit for tests.
func TestAuthorLinear(t *testing.T) {
	const size = 1 << 18
	for _, unit := range []string{"(", ")", "(()", `"`, `\`, `"\`, ",", ";", ":", "a:", "a:;", "<", ">", "<>", "@", "a@", "@a,", "@ ", "@(", "[", "@[",
		"=?", "=?a?q?", "=?a?q?b", "=?a?q??=", "=?a?q?=40?= ", "?=", ".", "a.", " ", "\r\n ", "\r", "\x00", "a ", `""`, "\x80", "@\x80", "ü.", "@ü.",
		"@a(", "@(a)", "@a b ", "@a (b) ", "<a@b>", "<a@b.c> ", "@[a", "@\u3000", "@a\u200e", "\uff20a.b ", "\"<\"", "=?a?q?=40a.b?=", "=?", "@xn--a.", "%", "a%", "%a (", "!", "a!", "a%b,", "a!b,", "(a!", "<a>", "<a>(", "<a> ", "a (b)%c,", "\u2044", "@a\u201c", "((@))", "@\"", "@\"a", "@\"a\" "} {
		for _, begin := range []string{"", "<", `"`, "(", "<@"} {
			raw := begin + strings.Repeat(unit, size/len(unit))
			if a := (Header{{"From", raw}}).Author(); a.Err == nil {
				t.Errorf("%q and many %q: no error", begin, unit)
			}
			// The same within the bound for parsing a list.
			ParseAddressList(raw[:MaxAddressList])
		}
	}
}

func BenchmarkAuthor(b *testing.B) {
	for name, raw := range map[string]string{
		"plain":  " John Doe <john.doe@mail.example.com>",
		"quoted": " \"Doe, John\" <john.doe@mail.example.com>",
		"broken": " john@example.org <john.doe@mail.example.com>",
	} {
		header := Header{{"Received", " from a by b"}, {"To", " x@y.example"}, {"From", raw}, {"Subject", " s"}}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				header.Author()
			}
		})
	}
}

func BenchmarkAppendField(b *testing.B) {
	field := Field{"Received", " from mail.example.com (mail.example.com [192.0.2.1])\r\n\tby mx.example.org (Postfix) with ESMTPS id 4XyZ123456\r\n\tfor <user@example.org>; Mon, 1 Jan 2024 00:00:00 +0000 (UTC)"}
	for _, c := range []Canon{Simple, Relaxed} {
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(int64(len(field.Name) + len(field.Raw)))
			var dst []byte
			for b.Loop() {
				dst = c.AppendField(dst[:0], field)
			}
		})
	}
}
