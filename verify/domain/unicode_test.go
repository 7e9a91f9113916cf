package domain

import (
	"strings"
	"testing"
)

func TestToUnicode(t *testing.T) {
	long := strings.Repeat("xn--bcher-kva.", 20)
	for _, test := range []struct{ in, want string }{
		{"example.com", "example.com"},
		{"EXAMPLE.com", "example.com"},
		{"xn--bcher-kva.example", "bücher.example"},
		{"XN--BCHER-KVA.Example", "bücher.example"},
		{"_dmarc.xn--r8jz45g.xn--zckzah", "_dmarc.例え.テスト"},
		{"xn--mx-g1t.example", "m\u200bx.example"}, // decoded, though no registry allows it
		{"xn--\xff.example", "xn--\ufffd.example"},
		{"xn--99999999.example", "xn--99999999.example"},
		{"", ""},
		{long, long},
	} {
		if got := ToUnicode(test.in); got != test.want {
			t.Errorf("ToUnicode(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestAddressToASCII(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"joe@example.com", "joe@example.com"},
		{"Joe@Example.COM", "Joe@Example.COM"},
		{"joe@bücher.example", "joe@xn--bcher-kva.example"},
		{"jörg@BÜCHER.example", "jörg@xn--bcher-kva.example"},
		{"@bücher.example", "@xn--bcher-kva.example"},
		{"a@b@bücher.example", "a@b@xn--bcher-kva.example"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"jörg@example.com", "jörg@example.com"},
		{"jörg@bü cher.example", "jörg@bü cher.example"},
		{"joe@b\xfccher.example", "joe@b\xfccher.example"},
		{"joe@", "joe@"},
		{"", ""},
	} {
		if got := AddressToASCII(test.in); got != test.want {
			t.Errorf("AddressToASCII(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}
