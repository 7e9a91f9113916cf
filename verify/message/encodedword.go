package message

import (
	"encoding/base64"
	"strings"

	"authmilter/verify/domain"
)

// decodedText is a text whose encoded words are decoded.
type decodedText struct {
	text string
	// hidden is set by a word in a character set in which the octets of ASCII
	// text mean something else, foreign by octets beyond ASCII in a word that
	// is not in UTF-8.
	hidden, foreign bool
}

// decodeWords returns s with its encoded words (RFC 2047 section 2) decoded,
// wherever they stand. The white space between two of them, which section 6.2
// drops, is kept, as some readers do, and there is a space behind each, where
// some stop. The character set does not matter to most
// addresses: in nearly all that are in use, ASCII text looks as it does in ASCII.
//
// A word with white space in it is none (section 2), and to some readers is one:
// spaced says which of them to follow.
func decodeWords(s string, spaced bool) (d decodedText) {
	if !strings.Contains(s, "=?") {
		return decodedText{text: s}
	}
	var b strings.Builder
	for s != "" {
		start := strings.Index(s, "=?")
		if start < 0 {
			b.WriteString(s)
			break
		}
		w, ok := cutWord(s[start:], spaced)
		if !ok {
			// What was looked at may hold the start of the next encoded word,
			// at its end only.
			b.WriteString(s[:start+len("=?")])
			s = s[start+len("=?"):]
			continue
		}
		d.hidden = d.hidden || !holdsASCII(w.charset)
		d.foreign = d.foreign || !domain.IsASCII(w.text) && !strings.EqualFold(w.charset, "utf-8")
		b.WriteString(s[:start])
		b.WriteString(w.text)
		b.WriteByte(' ')
		s = w.rest
	}
	d.text = b.String()
	return d
}

// encodedWord is an encoded word, decoded, and what follows it.
type encodedWord struct{ charset, text, rest string }

// cutWord decodes the encoded word at the start of s, which begins with "=?".
// Unless spaced is set, it ends at white space.
func cutWord(s string, spaced bool) (w encodedWord, ok bool) {
	const maxCharset = 64
	s = s[len("=?"):]
	mark := strings.IndexByte(s[:min(len(s), maxCharset)], '?')
	if mark < 0 || len(s) < mark+3 || s[mark+2] != '?' {
		return w, false
	}
	w.charset = s[:mark]
	encoding := s[mark+1]
	// No encoded text holds a "?", but some readers decode one that does, or one
	// that does not end.
	text, rest, _ := strings.Cut(s[mark+3:], "?=")
	w.rest = rest
	if n := strings.IndexAny(text, " \t\r\n"); n >= 0 && !spaced {
		text, w.rest = text[:n], s[mark+3+n:]
	}
	switch encoding {
	case 'B', 'b':
		w.text = decodeB(text)
	case 'Q', 'q':
		w.text = decodeQ(text)
	default:
		return w, false
	}
	return w, true
}

// holdsASCII reports whether the octets of ASCII text mean that text in charset,
// as is the case in all that mail programs write. It knows those that are
// different and that some reader decodes: UTF-7, HZ, EBCDIC, and codecs of
// Python that are not character sets. UTF-16 and UTF-32 need no mention: without
// the NUL octets, their text is ASCII.
func holdsASCII(charset string) bool {
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231 section 5
	name := strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r | 0x20
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, charset)
	for _, begin := range []string{"utf7", "u7", "unicode", "rawunicode", "csunicode", "hz", "ebcdic", "punycode", "idna", "scsu", "bocu", "csscsu", "csbocu", "utf1be"} {
		if strings.HasPrefix(name, begin) {
			return false
		}
	}
	number := name
	for _, begin := range []string{"csibm", "ibm", "ccsid", "cp", "x"} {
		number = strings.TrimPrefix(number, begin)
	}
	return !strings.Contains(ebcdic, " "+strings.TrimLeft(number, "0")+" ") || number == ""
}

// ebcdic are the code pages of EBCDIC, by the number in their names.
const ebcdic = " 37 38 39 273 274 275 277 278 280 281 284 285 290 297 420 423 424 500 803 833 835 836 838 870 871 875 880 905 918 924" +
	" 930 931 933 935 937 939 1025 1026 1047 1097 1112 1122 1123 1130 1132 1137 1140 1141 1142 1143 1144 1145 1146 1147 1148 1149" +
	" 1153 1154 1155 1156 1157 1158 1160 1164 1364 1371 1388 1390 1399 "

// decodeB returns what a lenient reader decodes of s, in base64: with or without
// padding, and with other characters among it, which are dropped
// (RFC 2045 section 6.8).
func decodeB(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '+' || r == '/' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, s)
	buf := make([]byte, base64.RawStdEncoding.DecodedLen(len(s)))
	n, _ := base64.RawStdEncoding.Decode(buf, []byte(s))
	return string(buf[:n])
}

// decodeQ decodes s, in the encoding "Q" of RFC 2047 section 4.2.
func decodeQ(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '_':
			b.WriteByte(' ')
		case s[i] == '=' && i+2 < len(s) && hex(s[i+1]) >= 0 && hex(s[i+2]) >= 0:
			b.WriteByte(byte(hex(s[i+1])<<4 | hex(s[i+2])))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// hex returns the value of a hexadecimal digit, or -1.
func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
