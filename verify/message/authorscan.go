package message

import (
	"encoding/base64"
	"strings"
)

// scan adds every domain that some reader could see in raw, a From field that
// is not what it should be: what follows each "@", wherever it stands, in quotes
// and comments too, in the text as it is, without its control characters, and
// with its encoded words decoded.
//
// It finds too much rather than too little: a domain found here is asked for
// its policy, one overlooked is open to forgery.
func (f *authorFinder) scan(raw string) {
	f.scanVisible(raw)
	if decoded := decodeWords(raw); decoded != raw {
		f.scanVisible(decoded)
	}
}

func (f *authorFinder) scanVisible(text string) {
	f.scanAddresses(text)
	if visible := withoutControls(text); visible != text {
		f.scanAddresses(visible)
	}
}

// scanAddresses tries what follows each "@" of text.
func (f *authorFinder) scanAddresses(text string) {
	for {
		_, rest, found := strings.Cut(text, "@")
		if !found {
			return
		}
		text = rest
		start := 0
		for start < len(rest) && leadsDomain(rest[start]) {
			start++
		}
		end := start
		for end < len(rest) && inDomain(rest[end]) {
			end++
		}
		name := strings.Trim(rest[start:end], ".")
		if name == "" || f.try(name) {
			continue
		}
		// What follows the ASCII text may be a space, or punctuation of another
		// script.
		ascii := 0
		for ascii < len(name) && name[ascii] < 0x80 {
			ascii++
		}
		f.try(strings.TrimRight(name[:ascii], "."))
	}
}

// leadsDomain tells whether a reader may overlook c between "@" and a domain.
func leadsDomain(c byte) bool {
	return c <= ' ' || c == 0x7f || strings.IndexByte("(<\"\\", c) >= 0
}

func inDomain(c byte) bool {
	return c >= 0x80 || c == '.' || c == '-' || c == '_' ||
		'0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// withoutControls returns s without control characters, CR, LF and HTAB among
// them.
func withoutControls(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= ' ' && c != 0x7f {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// decodeWords returns s with its encoded words (RFC 2047 section 2) decoded,
// wherever they stand, and without the white space between two of them (section
// 6.2). The character set is overlooked: in all that are in use, but UTF-7 and
// the wider ones, an address looks as it does in ASCII.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	var b strings.Builder
	for s != "" {
		start := strings.Index(s, "=?")
		if start < 0 {
			b.WriteString(s)
			break
		}
		text, rest, ok := cutWord(s[start:])
		if !ok {
			// What was looked at may hold the start of the next encoded word,
			// at its end only.
			b.WriteString(s[:start+len("=?")])
			s = s[start+len("=?"):]
			continue
		}
		b.WriteString(s[:start])
		b.WriteString(text)
		s = rest
		if next := strings.TrimLeft(rest, " \t\r\n"); strings.HasPrefix(next, "=?") {
			s = next
		}
	}
	return b.String()
}

// cutWord decodes the encoded word at the start of s, which begins with "=?",
// and returns its text and what follows it.
func cutWord(s string) (text, rest string, ok bool) {
	const maxCharset = 64
	s = s[len("=?"):]
	mark := strings.IndexByte(s[:min(len(s), maxCharset)], '?')
	if mark < 0 || len(s) < mark+3 || s[mark+2] != '?' {
		return "", "", false
	}
	encoding := s[mark+1]
	// An encoded text holds no "?", so that each octet is searched once.
	text, rest, ok = strings.Cut(s[mark+3:], "?")
	if !ok || !strings.HasPrefix(rest, "=") {
		return "", "", false
	}
	switch encoding {
	case 'B', 'b':
		return decodeB(text), rest[1:], true
	case 'Q', 'q':
		return decodeQ(text), rest[1:], true
	}
	return "", "", false
}

// decodeB returns what it can decode of s, in base64, with or without padding.
func decodeB(s string) string {
	s = strings.TrimRight(s, "=")
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
