package domain

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/idna"
)

func TestOfAddress(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"example.com", "example.com"},
		{"Example.COM.", "example.com"},
		{"_x.b.example", "_x.b.example"},
		{"-a.example", "-a.example"},
		{"r3---sn.example", "r3---sn.example"},
		{"1and1.example", "1and1.example"},
		{"163.com", "163.com"},
		{"b.4example", "b.4example"},

		// Internationalized names in both forms.
		{"bücher.example", "xn--bcher-kva.example"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"XN--Bcher-KVA.example", "xn--bcher-kva.example"},
		{"r3---sn.xn--bcher-kva.example", "r3---sn.xn--bcher-kva.example"},
		{"faß.example", "xn--fa-hia.example"},
		{"xn--fa-hia.example", "xn--fa-hia.example"},
		{"例え.テスト", "xn--r8jz45g.xn--zckzah"},
		{"xn--r8jz45g.xn--zckzah", "xn--r8jz45g.xn--zckzah"},
		{"xn--4dbrk0ce.com", "xn--4dbrk0ce.com"},         // right to left
		{"xn--nxasmm1c.example", "xn--nxasmm1c.example"}, // a final sigma
		{"mx．example。org", "mx.example.org"},

		// Joiners where the script needs them.
		{"ශ්\u200dරී.example", "xn--10cl1a0b660p.example"},
		{"xn--10cl1a0b660p.example", "xn--10cl1a0b660p.example"},
		{"نامه\u200cای.example", "xn--mgba3gch31f060k.example"},

		// Registered names of symbols that IDNA 2008 leaves out.
		{"xn--i-7iq.ws", "xn--i-7iq.ws"},
		{"i❤.ws", "xn--i-7iq.ws"},
		{"i❤\ufe0f.ws", "xn--i-7iq.ws"},
		{"xn--ls8h.la", "xn--ls8h.la"},
		{"💩.la", "xn--ls8h.la"},
		{"xn--vi8hiv.ws", "xn--vi8hiv.ws"},

		// Characters that UTS #46 drops.
		{"ba\u200bnk.example", "bank.example"},
		{"ba\u00adnk.example", "bank.example"},
		{"ba\u2060nk.example", "bank.example"},

		{in: ""},
		{in: "com"},
		{in: "com."},
		{in: "localhost"},
		{in: "xn--zckzah"},
		{in: "192.0.2.1"},
		{in: "9.99"},
		{in: "exam ple.com"},
		{in: "[192.0.2.1]"},
		{in: "4711%bank.example"},
		{in: "b\xfccher.example"},

		// A-labels that are not the encoding of any U-label.
		{in: "xn--.example"},
		{in: "xn---.example"},
		{in: "xn--a.example"},
		{in: "xn--abc-.example"},       // "abc"
		{in: "xn--bank-.example"},      // "bank"
		{in: "xn--99999999.example"},   // an overflow
		{in: "xn--bcher-kv.example"},   // cut off
		{in: "xn--bcher-kv_.example"},  // not Punycode
		{in: "xn--bcher--kva.example"}, // a hyphen at the end
		{in: "xn--u-ccb.example"},      // decomposed
		{in: "xn--a-ecp.ru"},           // mapped to "a1."
		{in: "1a.xn--4dbrk0ce"},        // breaks the Bidi rule
		{in: "a.xn--a.example"},
	} {
		got, err := OfAddress(c.in)
		if got != c.want || (c.want == "") != errors.Is(err, ErrInvalid) {
			t.Errorf("OfAddress(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

// punycode returns the A-label of label, whatever is in it.
func punycode(t *testing.T, label string) string {
	t.Helper()
	a, err := idna.Punycode.ToASCII(label)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// No A-label hides a character that readers do not see or that is mapped to another.
func TestOfAddressHidden(t *testing.T) {
	for _, hidden := range []string{
		"\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5",
		"\u180b", "\u180e", "\u202a", "\u202e", "\u2060", "\u2061", "\u2064", "\u2065", "\u2066", "\u206f", "\u2800", "\u3164", "\ufe00", "\ufe0f",
		"\ufeff", "\uffa0", "\ufff0", "\ufff9", "\ufffc", "\U000110bd", "\U0001107f", "\U00013430", "\U00013441", "\U00016fe4", "\U0001bca0",
		"\U0001d159", "\U0001d173", "\U000e0001", "\U000e0020", "\U000e0061", "\U000e0100", "\U000e0fff", "\u0080", "\u0085", "\u009f",
		// Visible, but not allowed in an A-label: spaces, dots, letters that are
		// mapped, private use.
		"\u00a0", "\u2003", "\u202f", "\u3000", "\u3002", "\uff0e", "\uff61", "\u2024", "\ufe52", "\u2028", "\u2029",
		"Ü", "\uff41", "\u212a", "ﬁ", "\ufe6b", "\uff20", "\ue000", "\U000f0000",
	} {
		label := punycode(t, "ba"+hidden+"nk")
		for _, name := range []string{label + ".example", "www." + label + ".example", strings.ToUpper(label) + ".example", "bank." + label} {
			if got, err := OfAddress(name); err == nil {
				t.Errorf("%+q: %s = %s", hidden, name, got)
			}
		}
	}
}

// No name has a punctuation mark, except the ones that IDNA 2008 allows.
func TestOfAddressPunctuation(t *testing.T) {
	for _, sign := range []string{
		"\u2010", "\u2013", "\u2018", "\u2019", "\u201a", "\u201c", "\u201d", "\u2022", "\u2027", "\u2030", "\u2039", "\u203a", "\u2044", "\u2215", "\u2236",
		"\u2422", "\u2423", "\u2571", "\u27cb", "\u29f8", "\u2e31", "\u2e4a", "\u1735", "\u3001", "\u300c", "\u06d4", "\u060c", "\ua60e", "\u00ab", "\u00a7", "\u00b7", "\u0338", "\u20d2",
	} {
		for _, name := range []string{"bank.example" + sign + "x.attacker.example", sign + "bank.example", "bank.example" + sign, "bank." + punycode(t, "example"+sign+"x") + ".attacker.example"} {
			if got, err := OfAddress(name); err == nil {
				t.Errorf("%+q: %s", name, got)
			}
		}
	}
	for _, name := range []string{"col\u00b7lecci\u00f3.example", "ル\u30fbム.example", "\u05d0\u05f3\u05d1.example", "\u0f40\u0f0b\u0f41.example", "\u3030.ws", "\u27a1.ws", "\u2606.ws"} {
		if got, err := OfAddress(name); err != nil {
			t.Errorf("%+q: %s, %v", name, got, err)
		}
	}
}

func TestInvisible(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		// The derivation of Default_Ignorable_Code_Point (Unicode,
		// DerivedCoreProperties.txt) and the controls.
		ignorable := unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
		if ignorable && !Invisible(r) {
			t.Errorf("%U is visible", r)
		}
		if Invisible(r) && (unicode.In(r, unicode.Zs, unicode.Nd) || unicode.IsLetter(r) && !ignorable && !unicode.Is(blanks, r)) {
			t.Errorf("%U is invisible", r)
		}
	}
	for _, r := range "aZ09.-_@ é例❤\u00a0\u3000\u0301" {
		if Invisible(r) {
			t.Errorf("%U is invisible", r)
		}
	}
	for _, r := range "\x00\t\r\n\x7f\u0085\u200e\u2800\u3164\ufe0f\U000e0041\u2028" {
		if !Invisible(r) {
			t.Errorf("%U is visible", r)
		}
	}
}

func FuzzOfAddress(f *testing.F) {
	for _, s := range []string{"example.com.", "bücher.example", "xn--bcher-kva.example", "xn--bank-w76a.example", "i❤.ws", "a\u200e.b", "192.0.2.1", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := OfAddress(s)
		if err != nil {
			return
		}
		if Labels(once) < 2 {
			t.Errorf("%q became %q", s, once)
		}
		if twice, err := OfAddress(once); err != nil || twice != once {
			t.Errorf("%q became %q, then %q, %v", s, once, twice, err)
		}
		// The name as people see it converts back to the same name.
		seen, err := shown.ToUnicode(once)
		if err != nil {
			t.Fatalf("%q became %q: %v", s, once, err)
		}
		if again, err := shown.ToASCII(seen); err != nil || again != once {
			t.Errorf("%q, seen as %q, became %q, %v", once, seen, again, err)
		}
	})
}
