package message

import (
	"errors"
	"strings"
	"testing"
)

func TestAppendField(t *testing.T) {
	for _, c := range []struct {
		name    string
		field   Field
		relaxed string // without the final CRLF
	}{
		{"RFC 6376 section 3.4.5, A", Field{"A", " X"}, "a:X"},
		{"RFC 6376 section 3.4.5, B", Field{"B ", " Y\t\r\n\tZ  "}, "b:Y Z"},
		{"RFC 6376 section 3.4.2", Field{"SUBject", " AbC"}, "subject:AbC"},
		{"no value", Field{"X", ""}, "x:"},
		{"only white space", Field{"X", " \t "}, "x:"},
		{"only folds", Field{"X", " \r\n \r\n\t"}, "x:"},
		{"no white space at all", Field{"X", "a"}, "x:a"},
		{"white space before the colon", Field{"X \t", "a"}, "x:a"},
		{"white space inside a name", Field{"X Y", "a"}, "x y:a"},
		{"value begins on the second line", Field{"X", "\r\n a"}, "x:a"},
		{"several lines", Field{"X", " a\r\n b\r\n\t\t c\r\n d"}, "x:a b c d"},
		{"a line of white space only", Field{"X", " a\r\n \r\n b"}, "x:a b"},
		{"fold at the end", Field{"X", " a\r\n "}, "x:a"},
		{"runs", Field{"X", "  a \t \t b  "}, "x:a b"},
		{"lone CR", Field{"X", " a\rb"}, "x:a\rb"},
		{"lone CR before a space", Field{"X", " a\r b"}, "x:a\r b"},
		{"lone CR at the end", Field{"X", " a\r"}, "x:a\r"},
		{"lone CR before a fold", Field{"X", " a\r\r\n b"}, "x:a\r b"},
		{"lone LF", Field{"X", " a\nb"}, "x:a\nb"},
		{"lone LF before a space", Field{"X", " a\n b"}, "x:a\n b"},
		{"CRLF that is not a fold", Field{"X", " a\r\nb"}, "x:a\r\nb"},
		{"CRLF at the end", Field{"X", " a\r\n"}, "x:a\r\n"},
		{"CRLF twice", Field{"X", " a\r\n\r\n b"}, "x:a\r\n b"},
		{"form feed and vertical tab", Field{"X", " a\f\v b"}, "x:a\f\v b"},
		{"NUL", Field{"X", " a\x00 b"}, "x:a\x00 b"},
		{"8-bit", Field{"X", " \xe9  \xff"}, "x:\xe9 \xff"},
		{"UTF-8 white space does not count", Field{"X", "\u00a0 \u00a0\u2003"}, "x:\u00a0 \u00a0\u2003"},
		{"8-bit name", Field{"Ä", " a"}, "Ä:a"},
		{"empty name", Field{"", " a"}, ":a"},
		{"a second colon", Field{"X", ": a"}, "x:: a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const before = "before"
			if got, want := string(Relaxed.AppendField([]byte(before), c.field)), before+c.relaxed+"\r\n"; got != want {
				t.Errorf("relaxed: got %q, want %q", got, want)
			}
			if got, want := string(Simple.AppendField([]byte(before), c.field)), before+c.field.Name+":"+c.field.Raw+"\r\n"; got != want {
				t.Errorf("simple: got %q, want %q", got, want)
			}
		})
	}
}

func TestParseCanon(t *testing.T) {
	for _, c := range []struct {
		text         string
		header, body Canon
		err          error
	}{
		{"simple/simple", Simple, Simple, nil},
		{"simple/relaxed", Simple, Relaxed, nil},
		{"relaxed/simple", Relaxed, Simple, nil},
		{"relaxed/relaxed", Relaxed, Relaxed, nil},
		{"relaxed", Relaxed, Simple, nil},
		{"simple", Simple, Simple, nil},
		{"Relaxed/RELAXED", Relaxed, Relaxed, nil},
		{"", 0, 0, ErrCanon},
		{"/", 0, 0, ErrCanon},
		{"relaxed/", 0, 0, ErrCanon},
		{"/relaxed", 0, 0, ErrCanon},
		{"relaxed/relaxed/relaxed", 0, 0, ErrCanon},
		{"relaxed /simple", 0, 0, ErrCanon},
		{"nowsp", 0, 0, ErrCanon},
	} {
		header, body, err := ParseCanon(c.text)
		if back := header.String() + "/" + body.String(); err == nil && !strings.HasPrefix(back, strings.ToLower(c.text)) {
			t.Errorf("%q: printed %q", c.text, back)
		}
		if !errors.Is(err, c.err) || err == nil && (header != c.header || body != c.body) {
			t.Errorf("%q: got %v/%v, %v; want %v/%v, %v", c.text, header, body, err, c.header, c.body, c.err)
		}
	}
}

// Canonicalizing a canonical field again does not change it.
func TestRelaxedFieldIsStable(t *testing.T) {
	for _, raw := range []string{"", " ", " a  b ", "\r\n a\r\n\tb", "a\r b"} {
		once := string(Relaxed.AppendField(nil, Field{"Name ", raw}))
		name, value, _ := strings.Cut(strings.TrimSuffix(once, "\r\n"), ":")
		if twice := string(Relaxed.AppendField(nil, Field{name, value})); twice != once {
			t.Errorf("%q: %q became %q", raw, once, twice)
		}
	}
}
