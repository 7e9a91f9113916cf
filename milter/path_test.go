package milter

import (
	"strings"
	"testing"
	"time"
)

// pathTest is the path of MAIL, what Postfix 3.7 and Sendmail 8.17 make of it in
// {mail_addr}, and what it means.
type pathTest struct {
	path string
	want string // without macros
	// postfix and sendmail are the macro's values, refused if the MTA does not
	// take the path.
	postfix, sendmail string
	// meant is what the path means with each macro, if not want: Postfix, then
	// Sendmail.
	meant [2]string
}

const refused = "\x00"

func pathTests() []pathTest {
	const joe = "joe@example.com"
	return []pathTest{
		// What RFC 5321 section 4.1.2 allows.
		{path: "<joe@example.com>", want: joe, postfix: joe, sendmail: joe},
		{path: "<>", want: "", postfix: "", sendmail: ""},
		{path: "", want: "", postfix: "", sendmail: ""},
		{path: "<JOE@Example.COM>", want: "JOE@Example.COM", postfix: joe, sendmail: "JOE@Example.COM"},
		{path: "<joe+ext@example.com>", want: "joe+ext@example.com", postfix: "joe+ext@example.com", sendmail: "joe+ext@example.com"},
		{path: "<@a.example,@b.example:joe@example.com>", want: joe, postfix: joe, sendmail: joe},
		{path: "<@[192.0.2.1]:joe@example.com>", want: joe, postfix: joe, sendmail: joe},
		{path: `<"joe"@example.com>`, want: joe, postfix: joe, sendmail: `"joe"@example.com`},
		{path: `<"joe x"@example.com>`, want: `"joe x"@example.com`, postfix: `"joe x"@example.com`, sendmail: `"joe x"@example.com`},
		{path: `<"joe@other"@example.com>`, want: `"joe@other"@example.com`, postfix: `"joe@other"@example.com`, sendmail: `"joe@other"@example.com`},
		{path: `<"jo\"e"@example.com>`, want: `"jo\"e"@example.com`, postfix: `"jo\"e"@example.com`, sendmail: `"jo\"e"@example.com`},
		{path: `<"jo\e"@example.com>`, want: joe, postfix: joe, sendmail: `"jo\e"@example.com`},
		{path: `<"joe>"@example.com>`, want: `"joe>"@example.com`, postfix: `"joe>"@example.com`, sendmail: `"joe>"@example.com`},
		{path: `<"joe(c)"@example.com>`, want: `"joe(c)"@example.com`, postfix: `"joe(c)"@example.com`, sendmail: `"joe(c)"@example.com`},
		{path: "<joe@[192.0.2.1]>", want: "joe@[192.0.2.1]", postfix: "joe@[192.0.2.1]", sendmail: "joe@[192.0.2.1]"},
		{path: "<joe@[IPv6:2001:db8::1]>", want: "joe@[IPv6:2001:db8::1]", postfix: "joe@[ipv6:2001:db8::1]", sendmail: "joe@[IPv6:2001:db8::1]"},
		{path: "<\u00fc@b\u00fccher.example>", want: "\u00fc@b\u00fccher.example", postfix: "\u00fc@b\u00fccher.example", sendmail: refused},
		// Local parts that are no dot-string, of providers that give them out.
		{path: "<joe.@example.com>", want: "joe.@example.com", postfix: `"joe."@example.com`, sendmail: "joe.@example.com"},
		{path: "<jo..e@example.com>", want: "jo..e@example.com", postfix: `"jo..e"@example.com`, sendmail: "jo..e@example.com"},

		// White space, comments and brackets.
		{path: "< joe@example.com >", want: joe, postfix: joe, sendmail: joe},
		{path: "<joe@example.com\r>", want: joe, postfix: joe, sendmail: joe},
		{path: "<joe @ example . com>", want: joe, postfix: joe, sendmail: joe},
		{path: "(c)<joe@example.com>", want: joe, postfix: joe, sendmail: joe},
		{path: "<joe@(c)example.com>", want: joe, postfix: joe, sendmail: joe},
		{path: "<(c)joe@example.com>", want: joe, postfix: joe, sendmail: joe},
		{path: "<joe(c)@example.com>", want: joe, postfix: joe, sendmail: joe},
		{path: "<joe@example.com(c)>", want: joe, postfix: joe, sendmail: joe},
		{path: `<joe@(\))example.com>`, want: joe, postfix: joe, sendmail: joe},
		{path: "<joe@((a)b)example.com>", want: joe, postfix: joe, sendmail: joe},
		{path: "<joe@example.com>(", want: joe, postfix: joe, sendmail: refused},
		{path: "<<joe@example.com>>", want: joe, postfix: joe, sendmail: joe},
		{path: "<<<joe@example.com>>>", want: joe, postfix: refused, sendmail: joe},
		{path: "joe@example.com", want: joe, postfix: joe, sendmail: joe},
		{path: "joe@example.com>", want: joe, postfix: joe, sendmail: refused},
		{path: "<joe@example.com", want: joe, postfix: refused, sendmail: refused},
		{path: "<joe@example.com>>", want: joe, postfix: joe, sendmail: refused},
		{path: "><joe@example.com>", want: joe, postfix: joe, sendmail: refused},
		{path: "<Joe <joe@example.com>>", want: joe, postfix: joe, sendmail: joe},
		{path: "<joe@example.com>SIZE=100", want: joe, postfix: refused, sendmail: joe},
		{path: "<joe@example.com>,", want: joe, postfix: joe, sendmail: joe},
		{path: "<joe@example.com,>", want: joe, postfix: joe, sendmail: refused},
		{path: "<,joe@example.com>", want: joe, postfix: joe, sendmail: refused},
		{path: "<joe@example.com;>", want: joe, postfix: joe, sendmail: joe},
		{path: "<joe@example.com>@other.example", want: joe, postfix: refused, sendmail: joe},
		{path: "<joe@example.com>,<bob@other.example>", want: "bob@other.example", postfix: refused, sendmail: "bob@other.example"},
		{path: "<bob@other.example>joe@example.com", want: "bob@other.example", postfix: refused, sendmail: "bob@other.example"},
		{path: "<@a.example: joe@example.com>", want: joe, postfix: joe, sendmail: joe},
		{path: "<@a:@b:joe@example.com>", want: joe, postfix: joe, sendmail: joe},
		{path: "<@a,joe@example.com>", want: joe, postfix: refused, sendmail: joe},

		// Dots, escapes and quotes at odd places.
		{path: "<joe@example.com.>", want: joe, postfix: joe, sendmail: joe},
		{path: "<joe@example.com..>", want: joe, postfix: refused, sendmail: joe},
		{path: `<jo\e@example.com>`, want: joe, postfix: joe, sendmail: `jo\e@example.com`},
		{path: `<joe@exa\mple.com>`, want: joe, postfix: joe, sendmail: `joe@exa\mple.com`},
		{path: `<joe\@example.com>`, want: joe, postfix: joe, sendmail: `joe\@example.com`},
		{path: `<joe@other.example\@example.com>`, want: `"joe@other.example"@example.com`, postfix: `"joe@other.example"@example.com`, sendmail: `joe@other.example\@example.com`},
		{path: `<joe\>@example.com>`, want: `"joe>"@example.com`, postfix: `"joe>"@example.com`, sendmail: `joe\>@example.com`},
		{path: `<joe@"example.com">`, want: joe, postfix: joe, sendmail: `joe@"example.com"`},
		{path: `<"joe@example.com">`, want: joe, postfix: joe, sendmail: joe},
		{path: `"joe@example.com"`, want: joe, postfix: joe, sendmail: joe},
		{path: `<"joe".x@example.com>`, want: "joe.x@example.com", postfix: "joe.x@example.com", sendmail: `"joe".x@example.com`},

		// More than one address.
		{path: "<joe@other.example@example.com>", want: `"joe@other.example"@example.com`, postfix: `"joe@other.example"@example.com`, sendmail: refused},
		{path: "<joe@@example.com>", want: `"joe@"@example.com`, postfix: `"joe@"@example.com`, sendmail: refused},
		{path: "<joe:bob@example.com>", want: `"joe:bob"@example.com`, postfix: `"joe:bob"@example.com`, sendmail: "joe:bob@example.com"},
		{path: "<grp:joe@example.com;>", want: `"grp:joe"@example.com`, postfix: joe, sendmail: "grp:joe@example.com"},
		{path: "mailto:joe@example.com", want: `"mailto:joe"@example.com`, postfix: `"mailto:joe"@example.com`, sendmail: joe},
		{path: "<joe@example.com:bob@other.example>", want: `"joe@example.com:bob"@other.example`, postfix: `"joe@example.com:bob"@other.example`, sendmail: refused},
		// Words, which Sendmail joins.
		{path: "<jo e@example.com>", want: "jo.e@example.com", postfix: refused, sendmail: "jo.e@example.com"},
		{path: "<joe@example.com x>", want: "joe@example.com.x", postfix: refused, sendmail: "joe@example.com.x"},
		{path: "<joe@exa(mple.com>)mple.com>", want: "joe@exa.mple.com", postfix: refused, sendmail: "joe@exa.mple.com"},

		// Other ways to write a domain. What Sendmail takes apart once the domain
		// is its own it still queues as it was written.
		{path: "<joe%other.example>", want: "joe@other.example", postfix: "joe@other.example", sendmail: "joe@other.example"},
		{path: "<joe%a%other.example>", want: "joe%a@other.example", postfix: "joe%a@other.example", sendmail: "joe%a@other.example"},
		{path: "<other.example!joe>", want: "joe@other.example", postfix: "joe@other.example", sendmail: "joe@other.example"},
		{path: "<joe%other.example@example.com>", want: "joe%other.example@example.com", postfix: "joe%other.example@example.com", sendmail: "joe%other.example@example.com"},
		{path: "<joe%other.example@mx.example.org>", want: "joe%other.example@mx.example.org", postfix: "joe%other.example@mx.example.org", sendmail: "joe@other.example"},
		{path: "<other.example!joe@mx.example.org>", want: "other.example!joe@mx.example.org", postfix: "other.example!joe@mx.example.org", sendmail: "joe@other.example"},
		{path: `<"joe%other.example"@mx.example.org>`, want: "joe%other.example@mx.example.org", postfix: "joe%other.example@mx.example.org", sendmail: "joe@other.example"},
		{path: "<joe%other.example@ mx.example.org>", want: "joe%other.example@mx.example.org", postfix: "joe%other.example@mx.example.org", sendmail: "joe@other.example"},

		// No domain: one that the MTA puts there is not the client's.
		{path: "<joe>", want: "joe", postfix: "joe@mx.example.org", sendmail: "joe"},
		{path: "< joe >", want: "joe", postfix: "joe@mx.example.org", sendmail: "joe"},
		{path: "<postmaster>", want: "postmaster", postfix: "postmaster@mx.example.org", sendmail: "postmaster"},
		{path: "<joe@mx.example.org>", want: "joe@mx.example.org", postfix: "joe@mx.example.org", sendmail: "joe"},
		{path: "< joe@mx.example.org >", want: "joe@mx.example.org", postfix: "joe@mx.example.org", sendmail: "joe"},
		{path: "<@example.com>", want: "@example.com", postfix: `""@example.com`, sendmail: refused},
		{path: "<:>", want: `":"`, postfix: `":"@mx.example.org`, sendmail: ":"},

		// The null sender is what the MTA takes for it, and nothing else.
		{path: "< >", want: "", postfix: "", sendmail: ""},
		{path: "<<>>", want: "", postfix: "", sendmail: ""},
		{path: "<()>", want: "", postfix: "", sendmail: ""},
		{path: "<(joe@example.com)>", want: "", postfix: "", sendmail: ""},
		{path: "((joe@example.com", want: "", postfix: "", sendmail: refused},
		{path: "joe@example.com<>", want: "", postfix: "", sendmail: ""},
		{path: "<joe@example.com><>", want: "", postfix: refused, sendmail: ""},
		{path: `<"">`, want: "", postfix: "", sendmail: refused},
		{path: "<;>", want: "", postfix: "", sendmail: ""},
		{path: "(joe@example.com)", want: "", postfix: "", sendmail: "mailer-daemon", meant: [2]string{1: "mailer-daemon"}},
		{path: "<,>", want: "", postfix: "", sendmail: ",", meant: [2]string{1: ","}},
		{path: "<>joe@example.com", want: joe, postfix: joe, sendmail: "", meant: [2]string{0: joe}},
		{path: "< >joe@example.com", want: joe, postfix: joe, sendmail: "", meant: [2]string{0: joe}},
		{path: "<>SIZE=100", want: "", postfix: "size=100@mx.example.org", sendmail: "", meant: [2]string{0: "size=100@mx.example.org"}},
		{path: "<(>joe@example.com", want: "", postfix: `"<"@mx.example.org`, sendmail: refused, meant: [2]string{0: `"<"@mx.example.org`}},
	}
}

func TestParsePath(t *testing.T) {
	for _, test := range pathTests() {
		if got := ParsePath(test.path); got != test.want {
			t.Errorf("%q: %q, want %q", test.path, got, test.want)
		}
		// go-milter takes one pair of brackets off.
		if inner, ok := strings.CutPrefix(test.path, "<"); ok && strings.HasSuffix(inner, ">") {
			inner = strings.TrimSuffix(inner, ">")
			if got := ParsePath(inner); got != test.want {
				t.Errorf("%q: %q, want %q", inner, got, test.want)
			}
		}
	}
}

func TestMeantPath(t *testing.T) {
	for _, test := range pathTests() {
		for i, macro := range []string{test.postfix, test.sendmail} {
			if macro == refused {
				continue
			}
			want := test.want
			if test.meant != [2]string{} {
				want = test.meant[i]
			}
			for _, path := range []string{test.path, gomilterPath(test.path)} {
				if got := meantPath(path, macro, true); got != want {
					t.Errorf("%q with %q: %q, want %q", path, macro, got, want)
				}
			}
			if got := meantPath(test.path, "", false); got != test.want {
				t.Errorf("%q without a macro: %q, want %q", test.path, got, test.want)
			}
		}
	}
}

// gomilterPath returns a path as go-milter passes it on.
func gomilterPath(path string) string {
	if len(path) > 1 && path[0] == '<' && path[len(path)-1] == '>' {
		return path[1 : len(path)-1]
	}
	return path
}

// TestMeantPathDoubts holds what the macro's word is worth where no MTA was seen to
// say that.
func TestMeantPathDoubts(t *testing.T) {
	for _, test := range []struct{ path, macro, want string }{
		// Virtual addresses and host aliases: the target is not the client's word.
		{"<ann@virtual.example>", "ann2", "ann@virtual.example"},
		{"<ann@virtual.example>", "ann@inside.example", "ann@virtual.example"},
		{"< ann@virtual.example >", "ann@inside.example", "ann@virtual.example"},
		// Neither does a macro turn a sender into the null sender.
		{"< joe@example.com >", "", "joe@example.com"},
		{"< joe@example.com >", "<>", "joe@example.com"},
		{"joe", "", "joe"},
		// Nor, in brackets, the null sender into somebody.
		{"<>", "joe@example.com", ""},
		{"< >", "<>", ""},
		{"< joe@example.com >", "<joe@example.com>", "joe@example.com"},
		{"< joe@example.com >", "example.com", "joe@example.com"},
		{strings.Repeat("<", 5000) + "joe@example.com", "", strings.Repeat("<", 5000) + "joe@example.com"},
	} {
		if got := meantPath(test.path, test.macro, true); got != test.want {
			t.Errorf("%q with %q: %q, want %q", test.path, test.macro, got, test.want)
		}
	}
}

func TestParsePathIsLinear(t *testing.T) {
	for _, unit := range []string{"<", ">", "(", ")", "@", `"`, `\`, "[", "@a,", "a.", " a", `"a" `, "(a)", "@a:"} {
		begun := time.Now()
		for range 20 {
			ParsePath(strings.Repeat(unit, maxPath/len(unit)))
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%q: %v", unit, took)
		}
	}
}

// FuzzParsePath holds that an address that can be read in one way only is read in
// that way however it is dressed up, and that a macro makes no sender of none.
func FuzzParsePath(f *testing.F) {
	for _, test := range pathTests() {
		f.Add(test.path, test.postfix)
		f.Add(test.path, test.sendmail)
	}
	f.Fuzz(func(t *testing.T, path, macro string) {
		if p := parsePath(gomilterPath(path)); p.proper && meantPath(gomilterPath(path), macro, true) != p.String() {
			t.Errorf("%q with %q: %q", path, macro, meantPath(path, macro, true))
		}
		if got := meantPath(path, macro, true); got == "" && !parsePath(path).emptyBrackets && ParsePath(path) != "" {
			t.Errorf("%q with %q became the null sender", path, macro)
		}
		address := ParsePath(path)
		p := parsePath(address)
		if !p.proper || address == "" {
			return
		}
		if p.String() != address {
			t.Errorf("%q: %q is read as %q", path, address, p)
		}
		for _, form := range []string{"<*>", "< * >", "(c)<*>", "<(c(d))*>", "<<*>>", "*>", "<*", "<*>SIZE=100", "<@a.example,@b:*>", "<*(c)>", "<*>,", "x <*>", "<*.>"} {
			if strings.HasSuffix(address, "]") && form == "<*.>" {
				continue
			}
			dressed := strings.Replace(form, "*", address, 1)
			if len(dressed) > maxPath {
				continue
			}
			for _, dressed := range []string{dressed, gomilterPath(dressed)} {
				if got := ParsePath(dressed); got != address {
					t.Errorf("%q: %q, want %q", dressed, got, address)
				}
			}
		}
	})
}
