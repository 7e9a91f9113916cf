package authres

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"authmilter/verify/ascii"
)

// mentioned reports whether text contains one of our ids in some reading, as a
// whole name or above another name. An encoded-word (RFC 2047) hides what it
// contains, in one of many charsets, and must not appear in an authserv-id at
// all (RFC 2047 section 5), so text with an encoded-word mentions everything.
// In a line that is long enough for an MTA further on to break it, any part of
// a name may become a whole one.
func (c *Claimant) mentioned(text string) bool {
	if len(c.ids) == 0 {
		return false
	}
	whole := !hasLongLine(text)
	readings := []string{text}
	if strings.IndexByte(text, '(') >= 0 {
		readings = append(readings, withoutComments(text))
	}
	if !ascii.Is(text) {
		readings = append(readings, onlyASCII(text))
	}
	if c.international() && !utf8.ValidString(text) {
		readings = append(readings, asLatin1(text), withoutSyntax(text))
	}
	for _, reading := range readings {
		n := namesIn(reading)
		if n.encoded {
			return true
		}
		for _, own := range c.ids {
			if n.hold(own.ascii, whole) || own.unicode != own.ascii && n.hold(own.unicode, whole) {
				return true
			}
		}
	}
	return false
}

// international reports whether one of our ids has U-labels.
func (c *Claimant) international() bool {
	for _, own := range c.ids {
		if own.unicode != own.ascii {
			return true
		}
	}
	return false
}

// hasLongLine reports whether an MTA further on may break a line of text.
func hasLongLine(text string) bool {
	start := 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '\n' && text[i] != '\r' {
			continue
		}
		if i-start > longLine {
			return true
		}
		start = i + 1
	}
	return false
}

// withoutComments returns text with a NUL for each comment, as seen by readers
// that drop comments first.
func withoutComments(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			if depth--; depth == 0 {
				b.WriteByte(0)
			}
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// onlyASCII returns text with a NUL for each character outside ASCII, as seen
// by readers that drop such characters or end a name there.
func onlyASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return 0
		}
		return r
	}, text)
}

// withoutSyntax returns text without the ASCII syntax between two octets
// outside ASCII, as seen by readers that drop it before they decode UTF-8.
func withoutSyntax(text string) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		next := i
		for len(out) > 0 && out[len(out)-1] >= utf8.RuneSelf && next < len(text) && text[next] < utf8.RuneSelf && isDropped(rune(text[next])) {
			next++
		}
		if next < len(text) && text[next] >= utf8.RuneSelf {
			i = next
		}
		out = append(out, text[i])
	}
	return string(out)
}

// asLatin1 returns text in which each octet that is not UTF-8 is replaced by
// the character it stands for in ISO 8859-1.
func asLatin1(text string) string {
	var b strings.Builder
	b.Grow(len(text) + len(text)/2)
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") {
			r = rune(text[i])
		}
		b.WriteRune(r)
	}
	return b.String()
}

// names holds the names in a text, in the characters that [folding] yields,
// with a space for text that separates names in every reading. Text that
// separates them in some readings and is dropped in others (quotes,
// backslashes, white space, controls, invisible characters, octets that are not
// UTF-8) is not kept, but marked.
type names struct {
	text string
	// edges[i] says that something was dropped before text[i].
	edges []bool
	// encoded reports that an encoded-word begins somewhere.
	encoded bool
}

// namesIn returns the names in text. It takes time linear in text.
func namesIn(text string) *names {
	n := &names{edges: make([]bool, 0, len(text)+1)}
	written := make([]byte, 0, len(text))
	edge := false
	var last rune // the last one that was not dropped
	for r := range folding(text) {
		switch {
		case isNameRune(r):
			before := len(written)
			written = utf8.AppendRune(written, r)
			for i := before; i < len(written); i++ {
				n.edges = append(n.edges, edge && i == before)
			}
			edge = false
		case isDropped(r):
			edge = true
			continue
		default:
			n.encoded = n.encoded || last == '=' && r == '?'
			written = append(written, ' ')
			n.edges = append(n.edges, false)
			edge = false
		}
		last = r
	}
	n.edges = append(n.edges, edge)
	n.text = string(written)
	return n
}

// hold reports whether name, which is folded, is one of the names or has one of
// them below it. If whole is false, it is enough that name is part of one.
func (n *names) hold(name string, whole bool) bool {
	for from := 0; ; from++ {
		at := strings.Index(n.text[from:], name)
		if at < 0 {
			return false
		}
		from += at
		if !whole || n.begins(from) && n.ends(from+len(name)) {
			return true
		}
	}
}

// begins reports whether a name, or a label of one, may begin at text[i].
func (n *names) begins(i int) bool {
	return i == 0 || n.edges[i] || n.text[i-1] == ' ' || n.text[i-1] == '.'
}

// ends reports whether a name may end before text[i], not counting dots at its
// end.
func (n *names) ends(i int) bool {
	for i < len(n.text) && n.text[i] == '.' && !n.edges[i] {
		i++
	}
	return i == len(n.text) || n.edges[i] || n.text[i] == ' '
}

// folded returns the form in which names are compared: the characters of s that
// names are made of, without differences of case and of compatible characters.
func folded(s string) string {
	var b strings.Builder
	for r := range folding(s) {
		if isNameRune(r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// maxGrowth bounds how much longer a character can get by its decomposition.
// Letters in other shapes stay below it; ligatures of whole sentences do not.
const maxGrowth = 3

// folding yields the characters of s in lower case. Outside ASCII it also
// decomposes them for compatibility (Unicode's normalization form KD, except
// for the order of marks), which unites characters that names do not
// distinguish (RFC 5895 section 2). For an octet that is not UTF-8 it yields
// [utf8.RuneError].
func folding(s string) func(yield func(rune) bool) {
	return func(yield func(rune) bool) {
		for i, r := range s {
			if r < utf8.RuneSelf {
				if !yield(unicode.ToLower(r)) {
					return
				}
				continue
			}
			switch r {
			case '\u3002', '\uff61': // stops (RFC 5895 section 2)
				r = '.'
			case utf8.RuneError:
			default:
				if d := norm.NFKC.PropertiesString(s[i:]).Decomposition(); len(d) > maxGrowth*utf8.RuneLen(r) {
					r = 0
				} else if d != nil {
					for _, part := range string(d) {
						if !yield(unicode.ToLower(part)) {
							return
						}
					}
					continue
				}
			}
			if !yield(unicode.ToLower(r)) {
				return
			}
		}
	}
}

// isNameRune reports whether a character may be part of a name.
func isNameRune(r rune) bool {
	if r < utf8.RuneSelf {
		return isNameChar(byte(r))
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)) && !isInvisible(r)
}

// isInvisible reports whether a letter or mark is invisible, that is, has
// Unicode's property Default_Ignorable_Code_Point.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// isDropped reports whether some readers drop r, a folded character that is not
// part of a name, or take it for white space.
func isDropped(r rune) bool {
	if r < utf8.RuneSelf {
		return r <= ' ' || r == 0x7f || r == '"' || r == '\\' || r == '(' || r == ')'
	}
	return true
}
