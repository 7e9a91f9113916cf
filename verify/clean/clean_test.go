package clean

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for _, test := range []struct {
		in   string
		max  int
		want string
	}{
		{"", 10, ""},
		{"plain text", 20, "plain text"},
		{"a\r\nb\tc\x00d\x1b[31m\x7f", 40, "a??b?c?d?[31m?"},
		{"grün 日本 🙂", 40, "grün 日本 🙂"},
		{"\xff\xfe|\xc3", 20, "??|?"},
		{"\uFFFD", 20, "\uFFFD"},
		{"a\u202eb\u2066c\u200bd\ufeffe", 40, "a?b?c?d?e"},          // bidirectional and invisible
		{"a\u0085b\u2028c\u2029d\u00a0e\u3000f", 40, "a?b?c?d?e?f"}, // line ends and other spaces
		{"a\ue000b\U000e0041c", 40, "a?b?c"},                        // private use, tags
		{"e\u0301", 10, "e\u0301"},                                  // combining marks are shown
		{"1234567890", 10, "1234567890"},
		{"12345678901", 10, "1234567..."},
		{"123456ü890", 10, "123456..."}, // never cut within a character
		{strings.Repeat("x", 1<<20), 8, "xxxxx..."},
		{"abcde", 4, "a..."},
	} {
		if got := Text(test.in, test.max); got != test.want {
			t.Errorf("Text(%.40q, %d) = %q, want %q", test.in, test.max, got, test.want)
		}
	}
}

func TestASCII(t *testing.T) {
	for _, test := range []struct {
		in   string
		max  int
		want string
	}{
		{"", 10, ""},
		{"plain text", 20, "plain text"},
		{"a\r\nb\tc\x00d\x7f", 40, "a??b?c?d?"},
		{"grün 日本 🙂", 40, "gr?n ?? ?"},
		{"\xff\xfe|\xc3", 20, "??|?"},
		{"\uFFFDa\u202eb", 20, "?a?b"},
		{strings.Repeat("ü", 10), 10, "??????????"},
		{strings.Repeat("ü", 11), 10, "???????..."},
		{strings.Repeat("x", 1<<20), 8, "xxxxx..."},
	} {
		if got := ASCII(test.in, test.max); got != test.want {
			t.Errorf("ASCII(%.40q, %d) = %q, want %q", test.in, test.max, got, test.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\r\nb", 20)
	f.Add("日本語", 8)
	f.Add("\xff\u202e\x00", 4)
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max < 4 || max > 1<<20 {
			return
		}
		out := Text(s, max)
		if len(out) > max {
			t.Fatalf("%d octets, %d allowed", len(out), max)
		}
		if !utf8.ValidString(out) {
			t.Fatalf("%q is not UTF-8", out)
		}
		for _, r := range out {
			if r != ' ' && (!unicode.IsGraphic(r) || unicode.IsSpace(r)) {
				t.Fatalf("%U in %q", r, out)
			}
		}
		if again := Text(out, max); again != out {
			t.Fatalf("once %q, twice %q", out, again)
		}
		ascii := ASCII(s, max)
		if len(ascii) > max || !plain(ascii) || ASCII(ascii, max) != ascii {
			t.Fatalf("%q in ASCII", ascii)
		}
	})
}

func TestErr(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("one"), "one"},
		{errors.Join(errors.New("one"), errors.New("two")), "one, two"},
	} {
		if got := Err(test.err); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}
