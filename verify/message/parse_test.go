package message

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var wide = Limits{Bytes: 1 << 20, Fields: 2000}

var readCases = []struct {
	name, text string
	header     Header
	body       string
}{
	{"CRLF", "A: 1\r\nB: 2\r\n\r\nbody\r\n", Header{{"A", " 1"}, {"B", " 2"}}, "body\r\n"},
	{"LF", "A: 1\nB: 2\n\nbody\n\nmore\n", Header{{"A", " 1"}, {"B", " 2"}}, "body\r\n\r\nmore\r\n"},
	{"folds, CRLF", "A: 1\r\n 2\r\n\t3\r\n\r\n", Header{{"A", " 1\r\n 2\r\n\t3"}}, ""},
	{"folds, LF", "A: 1\n 2\n\t3\nB:\n\n", Header{{"A", " 1\r\n 2\r\n\t3"}, {"B", ""}}, ""},
	{"a fold of white space only", "A: 1\r\n \r\nB: 2\r\n\r\n", Header{{"A", " 1\r\n "}, {"B", " 2"}}, ""},
	{"LF file with CRLFs", "A: 1\nB: 2\r\n\r\nx\r\ny\n", Header{{"A", " 1"}, {"B", " 2"}}, "x\r\ny\r\n"},
	{"CRLF file with LFs", "A: 1\r\nB: 2\n3\r\n\r\nx\ny\r\n\n", Header{{"A", " 1"}, {"B", " 2\n3"}}, "x\ny\r\n\n"},
	{"CRLF file, LF before a fold", "A: 1\r\nB: 2\n 3\r\n\r\n", Header{{"A", " 1"}, {"B", " 2\n 3"}}, ""},
	{"lone CRs", "A: 1\r2\nB\r: 3\n\nx\ry\n", Header{{"A", " 1\r2"}}, "B\r: 3\r\n\r\nx\ry\r\n"},
	{"CR before CRLF", "A: 1\r\r\n\r\nx\r\r\n", Header{{"A", " 1\r"}}, "x\r\r\n"},
	{"empty", "", Header{}, ""},
	{"no header", "\r\nbody", Header{}, "body"},
	{"no header, LF", "\nbody\n", Header{}, "body\r\n"},
	{"no body", "A: 1\r\n", Header{{"A", " 1"}}, ""},
	{"no line end", "A: 1", Header{{"A", " 1"}}, ""},
	{"no line end in a fold", "A: 1\n 2", Header{{"A", " 1\r\n 2"}}, ""},
	{"CR at the end", "A: 1\r", Header{{"A", " 1\r"}}, ""},
	{"body without line end", "A: 1\n\nx", Header{{"A", " 1"}}, "x"},
	{"no empty line before the body", "A: 1\nthis is the body\nC: 2\n", Header{{"A", " 1"}}, "this is the body\r\nC: 2\r\n"},
	{"only a body", "this is the body\n", Header{}, "this is the body\r\n"},
	{"space in the name", "A: 1\nThis is text: yes\n\n", Header{{"A", " 1"}}, "This is text: yes\r\n\r\n"},
	{"space before the colon", "From : 1\nA\t :2\n\n", Header{{"From ", " 1"}, {"A\t ", "2"}}, ""},
	{"no name", ": 1\n\n", Header{}, ": 1\r\n\r\n"},
	{"white space for a name", "A: 1\n\n : 1\n", Header{{"A", " 1"}}, " : 1\r\n"},
	{"begins with white space", " A: 1\nB: 2\n", Header{}, " A: 1\r\nB: 2\r\n"},
	{"8-bit name and value", "From\xff: \xe9\n\n", Header{{"From\xff", " \xe9"}}, ""},
	{"NUL in a value", "A: \x00\n\n", Header{{"A", " \x00"}}, ""},
	{"NUL in a name", "A\x00: 1\n\n", Header{}, "A\x00: 1\r\n\r\n"},
	{"mbox", "From a@b.example Mon Jan  1 00:00:00 2024\nA: 1\n\nx\n", Header{{"A", " 1"}}, "x\r\n"},
	{"mbox, CRLF", "From a@b.example Mon Jan  1 00:00:00 2024\r\nA: 1\r\n\r\nx\n", Header{{"A", " 1"}}, "x\n"},
	{"mbox, later", "A: 1\nFrom a@b.example Mon Jan  1 00:00:00 2024\n\n", Header{{"A", " 1"}}, "From a@b.example Mon Jan  1 00:00:00 2024\r\n\r\n"},
	{"mbox, then a fold", "From x\n y\n", Header{}, " y\r\n"},
	{"mbox only", "From x", Header{}, ""},
	{"From with a space is no mbox", "From : a@b.example\n\n", Header{{"From ", " a@b.example"}}, ""},
	{"HTAB for a name", "A: 1\n\t:\n\n", Header{{"A", " 1\r\n\t:"}}, ""},
	{"colons", "A::1:\n\n", Header{{"A", ":1:"}}, ""},
}

// read reads text with a small buffer, or an octet at a time if slow is set, so that
// pieces end anywhere.
func read(text string, limits Limits, slow bool) (Header, string, error) {
	var src io.Reader = strings.NewReader(text)
	if slow {
		src = iotest.OneByteReader(src)
	}
	header, body, err := ReadHeader(bufio.NewReaderSize(src, 16), limits)
	if err != nil {
		return nil, "", err
	}
	rest, err := io.ReadAll(body)
	return header, string(rest), err
}

func TestReadHeader(t *testing.T) {
	for _, c := range readCases {
		t.Run(c.name, func(t *testing.T) {
			for _, slow := range []bool{false, true} {
				header, body, err := read(c.text, wide, slow)
				if err != nil || !slices.Equal(header, c.header) || body != c.body {
					t.Errorf("got %q, %q, %v; want %q, %q", header, body, err, c.header, c.body)
				}
			}
		})
	}
}

// Line ends are converted wherever the buffer of the reader ends.
func TestReadHeaderAtBufferEdges(t *testing.T) {
	for n := range 70 {
		pad := strings.Repeat("x", n)
		text := "A: " + pad + "\n B\r\n" + pad + ": 1\n\n" + pad + "\n" + pad + "\r\n\n\r\r\n" + pad
		want := crlf(text)
		header, body, err := read(text, wide, false)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && (len(header) != 2 || rejoin(header)+"\r\n"+body != want) {
			t.Errorf("pad %d: got %q, %q", n, header, body)
		}
	}
}

func TestReadHeaderLimits(t *testing.T) {
	const text = "A: 1\r\nB: 2\r\n\r\nbody"
	const size = len("A: 1\r\nB: 2\r\n\r\n")
	for _, c := range []struct {
		text   string
		limits Limits
		err    error
	}{
		{text, Limits{size, 2}, nil},
		{text, Limits{size - 1, 2}, ErrHeaderBounds},
		{text, Limits{size, 1}, ErrHeaderBounds},
		{text, Limits{}, ErrHeaderBounds},
		{"", Limits{}, nil},
		{"A:" + strings.Repeat("x", 1<<21), wide, ErrHeaderBounds},
		{strings.Repeat("A:\n", 2000), wide, nil},
		{strings.Repeat("A:\n", 2001), wide, ErrHeaderBounds},
		{"A:\n" + strings.Repeat(" \n", 1<<20), wide, ErrHeaderBounds},
	} {
		if _, _, err := read(c.text, c.limits, false); !errors.Is(err, c.err) {
			t.Errorf("%.40q, %v: got %v, want %v", c.text, c.limits, err, c.err)
		}
	}
}

func TestReadHeaderError(t *testing.T) {
	broken := errors.New("broken")
	for _, text := range []string{"", "A: 1", "A: 1\r\n"} {
		src := io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))
		if _, _, err := ReadHeader(bufio.NewReader(src), wide); !errors.Is(err, broken) {
			t.Errorf("after %q: got %v", text, err)
		}
	}
	src := io.MultiReader(strings.NewReader("A: 1\n\nbody\nmore"), iotest.ErrReader(broken))
	_, body, err := ReadHeader(bufio.NewReader(src), wide)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); string(got) != "body\r\nmore" || !errors.Is(err, broken) {
		t.Errorf("got %q, %v", got, err)
	}
}

// The body reader follows the contract of io.Reader.
func TestReadHeaderBodyReader(t *testing.T) {
	_, body, err := ReadHeader(bufio.NewReader(strings.NewReader("A: 1\n\nx\n\ny\n")), wide)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(body, []byte("x\r\n\r\ny\r\n")); err != nil {
		t.Error(err)
	}
}

// rejoin returns the text of a header.
func rejoin(h Header) string {
	var b strings.Builder
	for _, f := range h {
		fmt.Fprintf(&b, "%s:%s\r\n", f.Name, f.Raw)
	}
	return b.String()
}

func FuzzReadHeader(f *testing.F) {
	for _, c := range readCases {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		header, body, err := read(text, wide, false)
		if err != nil {
			if !errors.Is(err, ErrHeaderBounds) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		want, lf := text, false
		if end := strings.IndexByte(text, '\n'); end >= 0 && !strings.HasSuffix(text[:end], "\r") {
			want, lf = crlf(text), true
		}
		if line, rest, _ := strings.Cut(want, "\r\n"); strings.HasPrefix(line, "From ") && colonAfterName([]byte(line)) < 0 {
			want = rest
		}
		// Joined again, header and body are the text: with an empty line between
		// them, or with none if the first line of the body is not a field or the
		// text ends with the header.
		joined := rejoin(header)
		if got := joined + "\r\n" + body; got != want && joined+body != want &&
			(body != "" || strings.TrimSuffix(joined, "\r\n") != want) {
			t.Errorf("%q: got %q and %q", text, header, body)
		}
		for _, f := range header {
			if lf && f != NewField(f.Name, f.Raw) {
				t.Errorf("%q: lone LF in %q", text, f)
			}
		}
	})
}
