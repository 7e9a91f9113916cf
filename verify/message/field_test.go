package message

import "testing"

func TestFieldIs(t *testing.T) {
	for _, c := range []struct {
		name, asked string
		want        bool
	}{
		{"From", "from", true},
		{"FROM", "from", true},
		{"From ", "from", true},
		{"From \t ", "from", true},
		{" From", "from", false},
		{"Fro", "from", false},
		{"Form", "from", false},
		{"", "from", false},
		{"DKIM-Signature", "dkim-signature", true},
		{"D\u212aIM-Signature", "dkim-signature", false}, // KELVIN SIGN folds to k
		{"DKIM-\u017fignature", "dkim-signature", false}, // LATIN SMALL LETTER LONG S folds to s
		{"DKIM\rSignature", "dkim-signature", false},     // CR is "-" without a bit
	} {
		if got := (Field{Name: c.name}).Is(c.asked); got != c.want {
			t.Errorf("%q is %q: %t", c.name, c.asked, got)
		}
	}
}

func TestNewField(t *testing.T) {
	for _, c := range []struct{ value, raw string }{
		{"", ""},
		{" a", " a"},
		{" a\n b\n\tc", " a\r\n b\r\n\tc"},
		{" a\r\n b", " a\r\n b"},
		{" a\r\n b\n c", " a\r\n b\r\n c"},
		{" a\rb\r", " a\rb\r"},
		{"\n a", "\r\n a"},
		{" a\r\r\n b", " a\r\r\n b"},
	} {
		if got := NewField("N", c.value); got != (Field{"N", c.raw}) {
			t.Errorf("%q: got %q", c.value, got)
		}
	}
}

func TestNamed(t *testing.T) {
	const want = "Authentication-Results"
	for _, name := range []string{
		want, "authentication-results", "AUTHENTICATION-RESULTS", want + " ", want + "\t ", " " + want, "Authentication-\x00Results",
		"Authentication\x7f-Results", "\ufeff" + want, "Authentication-\u200bResults", "Authent\xadication-Results", "Authentication -Results",
	} {
		if !Named(name, want) {
			t.Errorf("%q does not match", name)
		}
	}
	for _, name := range []string{
		"", " ", want[1:], want[:len(want)-1], want + "s", "X-" + want, "ARC-" + want, "Authentication_Results", "Authentication--Results", want + ";", `"` + want + `"`,
	} {
		if Named(name, want) {
			t.Errorf("%q matches", name)
		}
	}
}
