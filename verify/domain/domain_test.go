package domain

import (
	"strings"
	"testing"

	"authmilter/verify/ascii"
)

func TestToASCII(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	long := strings.Repeat(label63+".", 3) + strings.Repeat("a", 61)
	for _, test := range []struct{ in, want string }{
		{"example.com", "example.com"},
		{"EXAMPLE.Com.", "example.com"},
		{"_dmarc.example.com", "_dmarc.example.com"},
		{"a-b.example", "a-b.example"},
		{"-a.example", "-a.example"}, // the DNS has such names
		{"com", "com"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.Example", "xn--bcher-kva.example"},
		{"bu\u0308cher.example", "xn--bcher-kva.example"}, // decomposed
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"faß.example", "xn--fa-hia.example"}, // IDNA 2008, not "fass"
		{"例え.テスト", "xn--r8jz45g.xn--zckzah"},
		{"mx．example。org", "mx.example.org"}, // full-width and ideographic stops
		{"_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"},
		{label63 + ".com", label63 + ".com"},
		{long, long},

		{in: ""},
		{in: "."},
		{in: ".example.com"},
		{in: "example..com"},
		{in: "example.com.."},
		{in: label63 + "a.com"},
		{in: long + "a"},
		{in: strings.Repeat("a.", 10_000)},
		{in: strings.Repeat("ü.", 10_000)},
		{in: strings.Repeat("ü", 64) + ".example"},
		{in: "exam ple.com"},
		{in: "example.com "},
		{in: "example.com\x00"},
		{in: "example.com\r\n"},
		{in: "example.com(.example.net"},
		{in: "user@example.com"},
		{in: "[192.0.2.1]"},
		{in: "example.com/x"},
		{in: `exam\ple.com`},
		{in: "b\xfccher.example"},
		{in: "\ufffd.example"},
		{in: "a\u200bb.example\u202e"},
		{in: "ü b.example"},
	} {
		got, err := ToASCII(test.in)
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("ToASCII(%.60q) = %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func TestRelations(t *testing.T) {
	for _, test := range []struct {
		name, parent string
		want         bool
	}{
		{"example.com", "example.com", true},
		{"a.example.com", "example.com", true},
		{"a.b.example.com", "example.com", true},
		{"notexample.com", "example.com", false},
		{"example.com", "a.example.com", false},
		{"example.com", "", false},
		{"", "", false},
		{"example.com", "com", true},
	} {
		if got := IsSubdomain(test.name, test.parent); got != test.want {
			t.Errorf("IsSubdomain(%q, %q) = %v", test.name, test.parent, got)
		}
	}
	if Parent("a.b.c") != "b.c" || Parent("c") != "" || Parent("") != "" {
		t.Error("Parent")
	}
	if Labels("a.b.c") != 3 || Labels("c") != 1 || Labels("") != 0 {
		t.Error("Labels")
	}
}

func FuzzToASCII(f *testing.F) {
	for _, s := range []string{"example.com.", "bücher.example", "xn--bcher-kva.example", "a．b", "_x.faß.de", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := ToASCII(s)
		if err != nil {
			return
		}
		if len(once) > MaxLength || strings.ToLower(once) != once || strings.Contains(once, "..") || !ascii.Is(once) {
			t.Fatalf("%q became %q", s, once)
		}
		if twice, err := ToASCII(once); err != nil || twice != once {
			t.Fatalf("%q became %q, then %q, %v", s, once, twice, err)
		}
	})
}
