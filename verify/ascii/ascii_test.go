package ascii_test

import (
	"strings"
	"testing"

	"authmilter/verify/ascii"
)

func TestOctets(t *testing.T) {
	const digits, letters, hex = "0123456789", "abcdefghijklmnopqrstuvwxyz", "0123456789abcdef"
	for i := range 256 {
		c := byte(i)
		lower := string(rune(c))
		if c < 0x80 {
			lower = strings.ToLower(lower)
		}
		if got, want := ascii.IsDigit(c), c < 0x80 && strings.Contains(digits, lower); got != want {
			t.Errorf("%#x is a digit: %v", c, got)
		}
		if got, want := ascii.IsLetter(c), c < 0x80 && strings.Contains(letters, lower); got != want {
			t.Errorf("%#x is a letter: %v", c, got)
		}
		if got := ascii.Lower(c); c < 0x80 && string(rune(got)) != lower || c >= 0x80 && got != c {
			t.Errorf("%#x in lower case: %#x", c, got)
		}
		want := -1
		if c < 0x80 {
			want = strings.Index(hex, lower)
		}
		if got := ascii.Hex(c); got != want {
			t.Errorf("%#x as a hexadecimal digit: %d, want %d", c, got, want)
		}
		if got := ascii.Is("a" + string([]byte{c})); got != (c < 0x80) {
			t.Errorf("%#x is ASCII: %v", c, got)
		}
	}
	if !ascii.Is("") {
		t.Error("the empty string is not ASCII")
	}
}
