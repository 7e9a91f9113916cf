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

	// Several addresses: CVE-2019-16378, and without a domain CVE-2021-34555.
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

	// Broken, yet shown by some reader.
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

	// Encoded words: in a display name they yield no address (RFC 2047 section 5),
	// anywhere else they are out of place, and some readers decode them.
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
	{"=?utf-8?q?admin=40c.example=00?= a@b.example", "b.example,c.example", []error{ErrFromSyntax}},
	{"=?utf-8?x?admin=40c.example?=", "", []error{ErrFromSyntax, ErrNoDomain}},
	{"=?utf-8?q?a_=4gb=40c.example=2f=2F=?=", "c.example", []error{ErrFromSyntax}},
	{"=?=?utf-8?q?a=40b.example?=", "b.example", []error{ErrFromSyntax}},

	// Beyond ASCII (RFC 6531, RFC 6532).
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

// checkAuthorErr checks that err is exactly all of want.
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

// The domain of every From vector removed must not harm (CVE-2021-34555).
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

// list returns n addresses of distinct domains.
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

// Work is linear in the field: with anything else these, 1 MiB each, would not
// end within the time a test has.
func TestAuthorLinear(t *testing.T) {
	const size = 1 << 20
	for _, unit := range []string{"(", ")", "(()", `"`, `\`, `"\`, ",", ";", ":", "a:", "a:;", "<", ">", "<>", "@", "a@", "@a,", "@ ", "@(", "[", "@[",
		"=?", "=?a?q?", "=?a?q?b", "=?a?q??=", "=?a?q?=40?= ", "?=", ".", "a.", " ", "\r\n ", "\r", "\x00", "a ", `""`, "\x80", "@\x80", "ü.", "@ü."} {
		for _, begin := range []string{"", "<", `"`, "(", "<@"} {
			raw := begin + strings.Repeat(unit, size/len(unit))
			if a := (Header{{"From", raw}}).Author(); a.Err == nil {
				t.Errorf("%q and many %q: no error", begin, unit)
			}
			// The same within the bound of a list that is parsed.
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
