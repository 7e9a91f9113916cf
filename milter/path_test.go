package milter

import (
	"strings"
	"testing"
	"time"

	"authmilter/test/paths"
)

func TestParsePath(t *testing.T) {
	for _, test := range paths.Load(t) {
		// go-milter removes one pair of brackets.
		for _, path := range []string{test.Text, gomilterPath(test.Text)} {
			if got := ParsePath(path); got != test.Want {
				t.Errorf("%q: %q, want %q", path, got, test.Want)
			}
		}
	}
}

func TestMeantPath(t *testing.T) {
	for _, test := range paths.Load(t) {
		for _, path := range []string{test.Text, gomilterPath(test.Text)} {
			for _, mta := range []paths.Word{test.Postfix, test.Sendmail} {
				if mta.Refused {
					continue
				}
				if got := meantPath(path, mta.Macro, true); got != mta.Want {
					t.Errorf("%q with %q: %q, want %q", path, mta.Macro, got, mta.Want)
				}
			}
			if got := meantPath(path, "", false); got != test.Want {
				t.Errorf("%q without a macro: %q, want %q", path, got, test.Want)
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

// TestMeantPathDoubts tests macros that no MTA was seen to send.
func TestMeantPathDoubts(t *testing.T) {
	for _, test := range []struct{ path, macro, want string }{
		// Virtual addresses and host aliases: the client did not write the target.
		{"<ann@virtual.example>", "ann2", "ann@virtual.example"},
		{"<ann@virtual.example>", "ann@inside.example", "ann@virtual.example"},
		{"< ann@virtual.example >", "ann@inside.example", "ann@virtual.example"},
		// A macro never turns a sender into the null sender.
		{"< joe@example.com >", "", "joe@example.com"},
		{"< joe@example.com >", "<>", "joe@example.com"},
		{"joe", "", "joe"},
		// Nor does it turn a null sender in brackets into an address.
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
		if took := time.Since(begun); took > patience {
			t.Errorf("%q: %v", unit, took)
		}
	}
}

// FuzzParsePath checks that an address that can be read in only one way is read that
// way in any decoration, and that a macro never removes a sender.
func FuzzParsePath(f *testing.F) {
	for _, test := range paths.Load(f) {
		f.Add(test.Text, test.Postfix.Macro)
		f.Add(test.Text, test.Sendmail.Macro)
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
