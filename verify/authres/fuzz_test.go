package authres

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse checks that each result stands where a result may stand, and that what
// is read and written again reads the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"example.org 1; none",
		`a; dkim=pass (c) reason="x" header.i=@b.c header.b="a/b="; spf=none`,
		"spf=pass smtp.mailfrom=example.com; dkim=none;",
		"foo (x(y)z) 1; dkim/1 = fail policy . expired = 1",
		"mx 1; spf=pass smtp.mailfrom=a.b; dmarc=pass action=none header.from=<c@a.b>; client-ip=192.0.2.1; (null)=pass; x=y z",
		`mx; spf=none smtp.helo= smtp.mailfrom="a; dmarc=pass" (; dmarc=fail); dkim=pass header.b="c\";d"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			return
		}
		checkPlaces(t, s, r)
		if r.AuthservID == "" {
			return
		}
		text := Format(r.AuthservID, r.Methods)
		again, err := Parse(text)
		if err != nil || len(again.Skipped) > 0 {
			t.Fatalf("%q, written as %q: %v, skipped %q", s, text, err, again.Skipped)
		}
		if twice := Format(again.AuthservID, again.Methods); twice != text {
			t.Fatalf("%q:\nonce  %q\ntwice %q", s, text, twice)
		}
	})
}

// checkPlaces fails unless each result begins an entry of the field, in order, and
// has no property that is not in that entry.
func checkPlaces(t *testing.T, field string, r *Results) {
	t.Helper()
	plain, ok := withoutText(field)
	if !ok {
		t.Fatalf("a comment or a quoted string does not end: %q", field)
	}
	entries := strings.Split(plain, ";")
	for _, m := range r.Methods {
		parts := []string{`^\s*` + m.Name + `\s*(/\s*\d*\s*)?=\s*` + m.Result + `(\s|$)`}
		for _, p := range m.Props {
			parts = append(parts, `\s`+p.Type+`\s*\.\s*`+p.Name+`\s*=`)
		}
		for len(entries) > 0 && slices.ContainsFunc(parts, func(re string) bool { return !regexp.MustCompile(re).MatchString(entries[0]) }) {
			entries = entries[1:]
		}
		if len(entries) == 0 {
			t.Fatalf("no entry in its place is %+v: %q", m, field)
		}
		entries = entries[1:]
	}
}

// withoutText returns a field with a space for each comment and "" for each quoted
// string. ok is false if one of them does not end.
func withoutText(field string) (plain string, ok bool) {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(field); i++ {
		switch c := field[i]; {
		case c == '\\' && (quoted || depth > 0):
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
			b.WriteByte(c)
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			if depth--; depth == 0 {
				b.WriteByte(' ')
			}
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String(), depth == 0 && !quoted
}

// FuzzParseValues checks that text from outside never becomes a result if a field is
// well formed, wherever it stands.
func FuzzParseValues(f *testing.F) {
	for _, s := range []string{"", "a", "; dmarc=pass header.from=bank.example", `"; dmarc=pass header.from=bank.example; x="`, "); dmarc=pass (", `\`, `\"; dmarc=pass`, "\r\n\tdmarc=pass", ";;", "=", "x.y=z", "<@>"} {
		f.Add(s)
	}
	bare := func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`();"`, r) {
			return '_'
		}
		return r
	}
	comment := strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`)
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1000 {
			return
		}
		field := "mx (C); spf=fail (C) reason=Q smtp.mailfrom=Q@a.example (C) smtp.helo=Q x=Q (C) smtp.x=B y=B z=Q (C); (C) dkim=none; x@=B (C) Q; dmarc=fail header.from=B"
		field = strings.NewReplacer("C", comment.Replace(s), "Q", `"`+quoted.Replace(s)+`"`, "B", strings.Map(bare, s)).Replace(field)
		r, err := Parse(field)
		if err != nil {
			// More pieces look like entries than are counted.
			if strings.Count(s, ";") < maxSkipped/20 {
				t.Fatalf("%q: %v", field, err)
			}
			return
		}
		checkPlaces(t, field, r)
		var got []string
		for _, m := range r.Methods {
			word := m.Name + "=" + m.Result
			for _, p := range m.Props {
				word += " " + p.Type + "." + p.Name
			}
			got = append(got, word)
		}
		if all := strings.Join(got, "; "); all != "spf=fail smtp.mailfrom smtp.helo smtp.x; dkim=none; dmarc=fail header.from" {
			t.Fatalf("%q: %s", field, all)
		}
	})
}

// decorations change a field without changing what it says to every reader: one
// that claims to be ours still does.
var decorations = []struct {
	name        string
	apply       func(field string, at int) string
	beyondASCII bool
}{
	{"upper case", func(s string, _ int) string { return asciiUpper(s) }, false},
	{"line ends of a milter", func(s string, _ int) string { return strings.ReplaceAll(s, "\r\n", "\n") }, false},
	{"leading white space", func(s string, _ int) string { return " \t" + s }, false},
	{"a leading fold", func(s string, _ int) string { return "\r\n\t" + s }, false},
	{"a leading comment", func(s string, _ int) string { return " (c) " + s }, false},
	{"a version", func(s string, _ int) string { return strings.Replace(s, ";", " 1;", 1) }, false},
	{"another result", func(s string, _ int) string { return s + "; dkim=pass header.d=example.com" }, false},
	{"a quote", func(s string, at int) string { return s[:at] + `"` + s[at:] }, false},
	{"a backslash", func(s string, at int) string { return s[:at] + `\` + s[at:] }, false},
	{"a NUL", func(s string, at int) string { return s[:at] + "\x00" + s[at:] }, false},
	{"a bare CR", func(s string, at int) string { return s[:at] + "\r" + s[at:] }, false},
	{"an octet that is not UTF-8", func(s string, at int) string { return s[:at] + "\xff" + s[at:] }, true},
	{"an invisible character", func(s string, at int) string { return s[:at] + "\u200b" + s[at:] }, true},
	{"an encoded-word", func(s string, at int) string { return s[:at] + "=?utf-8?q?" + s[at:] + "?=" }, false},
}

// asciiUpper leaves octets that are not UTF-8 alone; [strings.ToUpper] does
// not.
func asciiUpper(s string) string {
	out := []byte(s)
	for i, c := range out {
		if 'a' <= c && c <= 'z' {
			out[i] = c - 'a' + 'A'
		}
	}
	return string(out)
}

// FuzzClaims checks that a field that claims to be ours still does, however it
// is decorated before its first result: nothing makes it another host's field.
func FuzzClaims(f *testing.F) {
	c := NewClaimant("mx.example.org", "bücher.example")
	f.Add("mx.example.org; none", 4)
	f.Add(" (c) \"mx.example.org\" 1; dkim=pass", 9)
	f.Add("=?utf-8?q?=6dx.example.org?=; none", 0)
	f.Add("sub.bücher.example; none", 6)
	f.Add("spf=pass header.from=mx.example.org", 3)
	f.Add("xn--bcher-kva.example.\r\n 1; none", 21)
	f.Fuzz(func(t *testing.T, field string, at int) {
		// After the id a decoration is something else: text of results.
		id, _, _ := strings.Cut(field, ";")
		if !c.Claims(id) || !c.Claims(field) {
			return
		}
		at = max(0, at) % len(id)
		for at > 0 && !utf8.RuneStart(field[at]) {
			at--
		}
		for _, d := range decorations {
			// A second quote may close one that is already there, and octets
			// put into the middle of a character leave other invalid octets
			// behind.
			if d.name == "a quote" && strings.Contains(id, `"`) || d.beyondASCII && !utf8.ValidString(field) {
				continue
			}
			if decorated := d.apply(field, at); !c.Claims(decorated) {
				t.Errorf("%s: claimed: %q\nnot claimed: %q", d.name, field, decorated)
			}
		}
	})
}

// FuzzClaimsSPF checks the same for Received-SPF, where quotes and comments
// belong to the syntax.
func FuzzClaimsSPF(f *testing.F) {
	c := NewClaimant("mx.example.org")
	f.Add("pass (mx.example.org: domain of a@b.example)")
	f.Add("pass client-ip=192.0.2.1;\r\n receiver=mx.example.org")
	f.Add("pass receiver=\"mx.example.org\"; helo=a")
	f.Fuzz(func(t *testing.T, field string) {
		if !c.ClaimsSPF(field) {
			return
		}
		for _, decorated := range []string{" " + field, "\r\n\t" + field, asciiUpper(field), field + ";", field + "\x00", strings.ReplaceAll(field, "\r\n", "\n")} {
			if !c.ClaimsSPF(decorated) {
				t.Errorf("claimed: %q\nnot claimed: %q", field, decorated)
			}
		}
	})
}
