package message

import (
	"encoding/base64"
	"strings"

	"authmilter/verify/ascii"
)

// decodedText is a text with its encoded words decoded.
type decodedText struct {
	text string
	// hidden is set by a word in a character set in which the octets of ASCII text
	// mean something else; foreign is set by non-ASCII octets in a word that is
	// not in UTF-8, and wide by those that may be a part of a character.
	hidden, foreign, wide bool
}

// decodeWords returns s with its encoded words (RFC 2047 section 2) decoded,
// anywhere in the text. It keeps the white space between two of them, as some
// readers do although section 6.2 drops it, and adds a space after each, where some
// readers stop. For most addresses the character set does not matter: nearly every
// one in use encodes ASCII text as ASCII.
//
// An encoded word must not contain white space (section 2), but some readers decode
// one that does. If spaced is set, decodeWords does too.
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
			// Only the end of the examined text can be the start of the next
			// encoded word.
			b.WriteString(s[:start+len("=?")])
			s = s[start+len("=?"):]
			continue
		}
		d.hidden = d.hidden || !holdsASCII(w.charset)
		if !ascii.Is(w.text) && !strings.EqualFold(w.charset, "utf-8") {
			d.foreign = true
			d.wide = d.wide || !singleByte(w.charset)
		}
		b.WriteString(s[:start])
		b.WriteString(w.text)
		b.WriteByte(' ')
		s = w.rest
	}
	d.text = b.String()
	return d
}

// encodedWord is a decoded encoded word and the text after it.
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
	// Encoded text must not contain a "?", but some readers decode a word that
	// does, or that does not end.
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

// holdsASCII reports whether charset encodes ASCII text as ASCII, as every charset
// that mail programs write does. It knows the exceptions that some reader decodes:
// UTF-7, HZ, EBCDIC, and Python codecs that are not character sets. UTF-16 and
// UTF-32 need no exception: without the NUL octets, their text is ASCII.
func holdsASCII(charset string) bool {
	name := charsetName(charset)
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

// singleByte reports whether charset is known to have a character for each octet, as
// ISO 8859-1 and windows-1252 do: none of their non-ASCII characters looks like an "@".
func singleByte(charset string) bool {
	name := charsetName(charset)
	for _, begin := range []string{"iso8859", "windows125", "koi8"} {
		if strings.HasPrefix(name, begin) {
			return true
		}
	}
	return false
}

// charsetName returns the letters, in lower case, and digits of the name of a character
// set, without a language (RFC 2231 section 5).
func charsetName(charset string) string {
	charset, _, _ = strings.Cut(charset, "*")
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r | 0x20
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, charset)
}

// ebcdic lists the EBCDIC code pages, by the number in their names.
const ebcdic = " 37 38 39 273 274 275 277 278 280 281 284 285 290 297 420 423 424 500 803 833 835 836 838 870 871 875 880 905 918 924" +
	" 930 931 933 935 937 939 1025 1026 1047 1097 1112 1122 1123 1130 1132 1137 1140 1141 1142 1143 1144 1145 1146 1147 1148 1149" +
	" 1153 1154 1155 1156 1157 1158 1160 1164 1364 1371 1388 1390 1399 "

// decodeB decodes base64 in s as a lenient reader does: with or without padding,
// and ignoring other characters (RFC 2045 section 6.8).
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

// decodeQ decodes the "Q" encoding (RFC 2047 section 4.2) in s.
func decodeQ(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '_':
			b.WriteByte(' ')
		case s[i] == '=' && i+2 < len(s) && ascii.Hex(s[i+1]) >= 0 && ascii.Hex(s[i+2]) >= 0:
			b.WriteByte(byte(ascii.Hex(s[i+1])<<4 | ascii.Hex(s[i+2])))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
