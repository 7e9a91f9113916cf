package message

import (
	"bytes"
	"crypto"
	_ "crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// canonicalBody is the reference: the canonical form of body, written as
// RFC 6376 sections 3.4.3 and 3.4.4 say it, a line at a time.
func canonicalBody(c Canon, body string) string {
	lines := strings.Split(body, "\r\n")
	if c == Relaxed {
		for i, line := range lines {
			line = strings.TrimRight(line, " \t")
			var b strings.Builder
			for j := range len(line) {
				switch {
				case !isWSP(line[j]):
					b.WriteByte(line[j])
				case j == 0 || !isWSP(line[j-1]):
					b.WriteByte(' ')
				}
			}
			lines[i] = b.String()
		}
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 && c == Relaxed {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// bodyCases hold every oddity of bodies, with their canonical forms.
var bodyCases = []struct{ name, body, simple, relaxed string }{
	{"RFC 6376 section 3.4.5", " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
	{"empty", "", "\r\n", ""},
	{"one empty line", "\r\n", "\r\n", ""},
	{"empty lines", "\r\n\r\n\r\n", "\r\n", ""},
	{"only a space", " ", " \r\n", ""},
	{"lines of white space", " \r\n\t\r\n \t ", " \r\n\t\r\n \t \r\n", ""},
	{"no final CRLF", "a", "a\r\n", "a\r\n"},
	{"final CRLF", "a\r\n", "a\r\n", "a\r\n"},
	{"empty lines at the end", "a\r\n\r\n\r\n", "a\r\n", "a\r\n"},
	{"empty lines within", "a\r\n\r\n\r\nb", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"},
	{"empty lines at the start", "\r\n\r\na", "\r\n\r\na\r\n", "\r\n\r\na\r\n"},
	{"white lines at the end", "a\r\n \r\n\t\r\n", "a\r\n \r\n\t\r\n", "a\r\n"},
	{"white lines within", "a\r\n \r\nb", "a\r\n \r\nb\r\n", "a\r\n\r\nb\r\n"},
	{"white space at line ends", "a \r\nb\t\r\nc \t", "a \r\nb\t\r\nc \t\r\n", "a\r\nb\r\nc\r\n"},
	{"white space at line starts", " a\r\n\tb\r\n \t c", " a\r\n\tb\r\n \t c\r\n", " a\r\n b\r\n c\r\n"},
	{"one HTAB", "a\tb", "a\tb\r\n", "a b\r\n"},
	{"runs", "a  b\t\tc \td\t e", "a  b\t\tc \td\t e\r\n", "a b c d e\r\n"},
	{"lone LF", "a\nb", "a\nb\r\n", "a\nb\r\n"},
	{"lone LF at the end", "a\n", "a\n\r\n", "a\n\r\n"},
	{"lone LFs at the end", "a\n\n\n", "a\n\n\n\r\n", "a\n\n\n\r\n"},
	{"only LF", "\n", "\n\r\n", "\n\r\n"},
	{"space before a lone LF", "a \n b", "a \n b\r\n", "a \n b\r\n"},
	{"lone CR", "a\rb", "a\rb\r\n", "a\rb\r\n"},
	{"lone CR at the end", "a\r", "a\r\r\n", "a\r\r\n"},
	{"lone CR after empty lines", "a\r\n\r\n\r", "a\r\n\r\n\r\r\n", "a\r\n\r\n\r\r\n"},
	{"only CR", "\r", "\r\r\n", "\r\r\n"},
	{"spaces before a lone CR", "a  \r b", "a  \r b\r\n", "a \r b\r\n"},
	{"HTAB before a lone CR", "a\t\rb", "a\t\rb\r\n", "a \rb\r\n"},
	{"spaces, then a lone CR at the end", "a  \r", "a  \r\r\n", "a \r\r\n"},
	{"CR before CRLF", "a\r\r\n", "a\r\r\n", "a\r\r\n"},
	{"CR before CRLF, empty lines", "\r\r\n\r\n", "\r\r\n", "\r\r\n"},
	{"space, CR, CRLF", "a \r\r\n", "a \r\r\n", "a \r\r\n"},
	{"LF before CR", "a\n\rb\n\r", "a\n\rb\n\r\r\n", "a\n\rb\n\r\r\n"},
	{"form feed, vertical tab, no-break space", "a\f \v\xa0 \r\n", "a\f \v\xa0 \r\n", "a\f \v\xa0\r\n"},
	{"NUL and 8-bit", "\x00 \xff\t\x80\r\n", "\x00 \xff\t\x80\r\n", "\x00 \xff \x80\r\n"},
	{"a dot", ".\r\n..\r\n", ".\r\n..\r\n", ".\r\n..\r\n"},
}

// wanted are the digests asked for in the tests: all that differ in more than
// a length, and lengths around edges.
func wanted() []Digest {
	var all []Digest
	for _, c := range []Canon{Simple, Relaxed} {
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA1} {
			for _, l := range []int64{7, 0, WholeBody, 1, 2, 3, 1 << 40, 5, 64} {
				all = append(all, Digest{c, h, l})
			}
		}
	}
	return all
}

// digest returns the digest that d names, of the canonical body.
func digest(d Digest, canonical string) []byte {
	if d.Length >= 0 {
		canonical = canonical[:min(d.Length, int64(len(canonical)))]
	}
	h := d.Hash.New()
	h.Write([]byte(canonical))
	return h.Sum(nil)
}

// checkBody writes pieces to a Body and compares all it says with the
// reference.
func checkBody(t *testing.T, pieces ...string) {
	t.Helper()
	body := strings.Join(pieces, "")
	canonical := [canons]string{canonicalBody(Simple, body), canonicalBody(Relaxed, body)}
	var b Body
	for _, d := range append(wanted(), wanted()...) {
		b.Want(d)
	}
	for _, p := range pieces {
		buf := []byte(p)
		if n, err := b.Write(buf); n != len(p) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", p, n, err)
		}
		clear(buf) // Body keeps nothing of it
	}
	for _, d := range wanted() {
		for range 2 {
			if got, want := b.Sum(d), digest(d, canonical[d.Canon]); !bytes.Equal(got, want) {
				t.Fatalf("%q: %v: got %x, want %x of %q", pieces, d, got, want, canonical[d.Canon])
			}
		}
	}
	for c, text := range canonical {
		if got := b.Length(Canon(c)); got != int64(len(text)) {
			t.Fatalf("%q: %v: length %d, want %d", pieces, Canon(c), got, len(text))
		}
	}
	if b.Size() != int64(len(body)) {
		t.Fatalf("%q: size %d", pieces, b.Size())
	}
}

func TestBodyCases(t *testing.T) {
	for _, c := range bodyCases {
		if got := canonicalBody(Simple, c.body); got != c.simple {
			t.Errorf("%s: the reference is wrong: simple %q, want %q", c.name, got, c.simple)
		}
		if got := canonicalBody(Relaxed, c.body); got != c.relaxed {
			t.Errorf("%s: the reference is wrong: relaxed %q, want %q", c.name, got, c.relaxed)
		}
		checkBody(t, c.body)
	}
}

// The digests of RFC 6376 sections 3.4.3 and 3.4.4.
func TestEmptyBody(t *testing.T) {
	for _, c := range []struct {
		digest Digest
		want   string
	}{
		{Digest{Simple, crypto.SHA1, WholeBody}, "uoq1oCgLlTqpdDX/iUbLy7J1Wic="},
		{Digest{Simple, crypto.SHA256, WholeBody}, "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="},
		{Digest{Relaxed, crypto.SHA1, WholeBody}, "2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
		{Digest{Relaxed, crypto.SHA256, WholeBody}, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
	} {
		var b Body
		b.Want(c.digest)
		if got := base64.StdEncoding.EncodeToString(b.Sum(c.digest)); got != c.want {
			t.Errorf("%v: got %s, want %s", c.digest, got, c.want)
		}
	}
}

// Every body gives the same digests split at any octet, in any two places, and
// an octet at a time.
func TestBodySplitAnywhere(t *testing.T) {
	var all strings.Builder
	for _, c := range bodyCases {
		all.WriteString(c.body)
		for i := range len(c.body) + 1 {
			for j := i; j <= len(c.body); j++ {
				checkBody(t, c.body[:i], c.body[i:j], c.body[j:])
			}
		}
		checkBody(t, strings.Split(c.body, "")...)
	}
	for i := range all.Len() + 1 {
		checkBody(t, all.String()[:i], all.String()[i:])
	}
}

// Bodies of the octets that matter, of all lengths up to six, in two pieces:
// every state of the canonicalization meets every octet.
func TestBodyExhaustive(t *testing.T) {
	const octets = " \t\r\na"
	var grow func(body string)
	grow = func(body string) {
		want := [canons]string{canonicalBody(Simple, body), canonicalBody(Relaxed, body)}
		for i := range len(body) + 1 {
			var b Body
			for c := range want {
				b.Want(Digest{Canon(c), crypto.SHA256, WholeBody})
			}
			b.Write([]byte(body[:i]))
			b.Write([]byte(body[i:]))
			for c := range want {
				d := Digest{Canon(c), crypto.SHA256, WholeBody}
				if !bytes.Equal(b.Sum(d), digest(d, want[c])) {
					t.Fatalf("%q, %q: %v differs from %q", body[:i], body[i:], d, want[c])
				}
			}
		}
		if len(body) < 6 {
			for i := range len(octets) {
				grow(body + octets[i:i+1])
			}
		}
	}
	grow("")
}

func TestBodyRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	words := []string{" ", "  ", "\t", "\r\n", "\r\n\r\n", "\r", "\n", "a", "word", "abcdefgh", "abcdefg ", strings.Repeat("x", 70),
		strings.Repeat("\r\n", 600), strings.Repeat(" ", 100)}
	for range 500 {
		var pieces []string
		for range rnd.IntN(20) {
			var p strings.Builder
			for range rnd.IntN(20) {
				p.WriteString(words[rnd.IntN(len(words))])
			}
			pieces = append(pieces, p.String())
		}
		checkBody(t, pieces...)
	}
}

// nextRun looks at eight octets at a time: it must see what a plain search
// sees, at every place in and around the eight.
func TestNextRun(t *testing.T) {
	plain := func(p []byte, i int) int {
		for ; i < len(p); i++ {
			if p[i] == '\t' || p[i] == ' ' && (i+1 == len(p) || strings.IndexByte(" \t\r", p[i+1]) >= 0) {
				return i
			}
		}
		return len(p)
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	const octets = " \t\r\n!\x00\x01\x08\x0a\x0c\x1f\x21\x80\x89\x8d\xa0\xff\x7fabcdefgh"
	for range 20000 {
		p := bytes.Repeat([]byte("x"), rnd.IntN(40))
		for range rnd.IntN(6) {
			if len(p) > 0 {
				p[rnd.IntN(len(p))] = octets[rnd.IntN(len(octets))]
			}
		}
		for i := range len(p) + 1 {
			if got, want := nextRun(p, i), plain(p, i); got != want {
				t.Fatalf("%q from %d: got %d, want %d", p, i, got, want)
			}
		}
	}
}

func TestBodyWanted(t *testing.T) {
	want := func(t *testing.T, b *Body, wanted bool) {
		t.Helper()
		if b.Wanted() != wanted {
			t.Errorf("after %d octets: Wanted() = %t", b.Size(), !wanted)
		}
	}
	t.Run("nothing", func(t *testing.T) {
		var b Body
		want(t, &b, false)
		b.Write([]byte("body"))
		want(t, &b, false)
		if got := b.Sum(Digest{Simple, crypto.SHA256, WholeBody}); got != nil {
			t.Errorf("Sum = %x", got)
		}
		if got := b.Length(Relaxed); got != -1 {
			t.Errorf("Length = %d", got)
		}
	})
	t.Run("whole body", func(t *testing.T) {
		var b Body
		b.Want(Digest{Simple, crypto.SHA256, 1})
		b.Want(Digest{Simple, crypto.SHA256, WholeBody})
		b.Write(make([]byte, 1<<20))
		want(t, &b, true)
		if got := b.Length(Relaxed); got != -1 {
			t.Errorf("Length(relaxed) = %d where only simple was wanted", got)
		}
	})
	t.Run("lengths", func(t *testing.T) {
		var b Body
		five, seven := Digest{Relaxed, crypto.SHA256, 5}, Digest{Relaxed, crypto.SHA256, 7}
		b.Want(seven)
		b.Want(five)
		b.Write([]byte("a  b\r\nc")) // "a b" CRLF "c": 6 octets
		want(t, &b, true)
		b.Write([]byte("d")) // 7: there may be no more
		want(t, &b, true)
		b.Write([]byte("e"))
		want(t, &b, false)
		b.Write([]byte("fgh")) // needed by nobody
		for _, d := range []Digest{five, seven} {
			if got, want := b.Sum(d), digest(d, "a b\r\ncdefgh\r\n"); !bytes.Equal(got, want) {
				t.Errorf("%v: got %x, want %x", d, got, want)
			}
		}
		if got := b.Length(Relaxed); got <= 7 {
			t.Errorf("Length = %d, though the body is longer than 7", got)
		}
		if b.Size() != 12 {
			t.Errorf("Size = %d", b.Size())
		}
	})
	t.Run("length zero", func(t *testing.T) {
		var b Body
		zero := Digest{Relaxed, crypto.SHA256, 0}
		b.Want(zero)
		want(t, &b, true)
		b.Write([]byte(" \r\n")) // an empty line, perhaps at the end
		want(t, &b, true)
		b.Write([]byte("a"))
		want(t, &b, false)
		if got := b.Sum(zero); !bytes.Equal(got, digest(zero, "")) {
			t.Errorf("got %x", got)
		}
		if b.Length(Relaxed) == 0 {
			t.Errorf("Length = 0 of a body that is not empty")
		}
	})
	t.Run("two canonicalizations", func(t *testing.T) {
		var b Body
		b.Want(Digest{Simple, crypto.SHA256, 1})
		b.Want(Digest{Relaxed, crypto.SHA256, 3})
		b.Write([]byte("a    "))
		want(t, &b, true)
		b.Write([]byte("b   c"))
		want(t, &b, false)
	})
}

func TestBodyMisuse(t *testing.T) {
	whole := Digest{Simple, crypto.SHA256, WholeBody}
	for name, begin := range map[string]func(*Body){
		"after Write": func(b *Body) { b.Write([]byte("a")) },
		"after Sum":   func(b *Body) { b.Sum(whole) },
	} {
		t.Run("Want "+name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			var b Body
			begin(&b)
			b.Want(whole)
		})
	}
	var b Body
	b.Want(whole)
	before := b.Sum(whole)
	if n, err := b.Write([]byte("a")); n != 0 || !errors.Is(err, ErrBodyEnded) {
		t.Errorf("Write after Sum = %d, %v", n, err)
	}
	if !bytes.Equal(b.Sum(whole), before) {
		t.Error("Sum changed")
	}
}

// Neither empty lines nor white space held back take memory.
func TestBodyMemory(t *testing.T) {
	piece := []byte(strings.Repeat("\r\n", 1<<15) + strings.Repeat(" ", 1<<16))
	var b Body
	whole := Digest{Relaxed, crypto.SHA256, WholeBody}
	b.Want(whole)
	if n := testing.AllocsPerRun(100, func() { b.Write(piece) }); n != 0 {
		t.Errorf("%v allocations for a piece", n)
	}
	if got := b.Sum(whole); !bytes.Equal(got, digest(whole, "")) {
		t.Errorf("got %x", got)
	}
}

// FuzzBody cuts a body into pieces as cuts say and compares with the reference.
func FuzzBody(f *testing.F) {
	for _, c := range bodyCases {
		f.Add([]byte(c.body), []byte{1, 2, 3})
	}
	f.Add([]byte(strings.Repeat("text of a line  \r\n", 20)), []byte{17, 0, 8})
	f.Fuzz(func(t *testing.T, body, cuts []byte) {
		var pieces []string
		for len(body) > 0 && len(cuts) > 0 {
			n := min(int(cuts[0]), len(body))
			pieces = append(pieces, string(body[:n]))
			body, cuts = body[n:], cuts[1:]
		}
		checkBody(t, append(pieces, string(body))...)
	})
}

// TestWhiteSpaceAfterLongStretches puts white space after stretches without any,
// of lengths around those at which the search for it changes its pace.
func TestWhiteSpaceAfterLongStretches(t *testing.T) {
	for _, long := range []int{0, 4 << 10, 8 << 10} {
		for n := range 80 {
			stretch := strings.Repeat("a", long+n)
			for _, end := range []string{" ", "\t", " \t", "\t ", " b", "\tb", "  b", "b \r\n", "\t\r\n", " \r", "\r\n "} {
				checkBody(t, stretch+end+stretch+end)
			}
		}
	}
}

func BenchmarkBody(b *testing.B) {
	bodies := map[string]string{
		"base64": strings.Repeat("JVBERi0xLjcKJeLjz9MKMSAwIG9iago8PC9UeXBlL0NhdGFsb2cvUGFnZXMgMiAwIFI+PgplbmRv\r\n", 1<<20/78),
		"text":   strings.Repeat("The quick brown fox jumps over the lazy dog, and then it goes home to sleep.\r\n", 1<<20/78),
		"html":   strings.Repeat("    <td  class=\"a\">\tsome text </td> \r\n", 1<<20/38),
	}
	for _, name := range []string{"base64", "text", "html"} {
		for _, digests := range [][]Digest{
			{{Simple, crypto.SHA256, WholeBody}},
			{{Relaxed, crypto.SHA256, WholeBody}},
			{{Simple, crypto.SHA256, WholeBody}, {Relaxed, crypto.SHA256, WholeBody}},
		} {
			label := digests[0].Canon.String()
			if len(digests) > 1 {
				label = "both"
			}
			b.Run(fmt.Sprintf("%s/%s", name, label), func(b *testing.B) {
				text := []byte(bodies[name])
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					var body Body
					for _, d := range digests {
						body.Want(d)
					}
					for rest := text; len(rest) > 0; {
						n := min(65535, len(rest))
						body.Write(rest[:n])
						rest = rest[n:]
					}
					for _, d := range digests {
						body.Sum(d)
					}
				}
			})
		}
	}
	b.Run("base64/hash alone", func(b *testing.B) {
		text := []byte(bodies["base64"])
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			h := crypto.SHA256.New()
			h.Write(text)
			h.Sum(nil)
		}
	})
}
