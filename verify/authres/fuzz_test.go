package authres

import (
	"strings"
	"testing"
	"unicode/utf8"
)

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
