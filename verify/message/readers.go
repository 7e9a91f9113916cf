package message

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"authmilter/verify/domain"
)

// dotsLike are characters that look like a dot and are treated as one in a domain.
const dotsLike = "\u2024\u3002\ufe52\uff0e\uff61"

// spaceLength returns the length of the white space at the start of s.
func spaceLength(s string) int {
	n := 0
	for _, r := range s {
		if (r < '\t' || r > '\r') && !unicode.Is(unicode.Zs, r) {
			break
		}
		n += utf8.RuneLen(r)
	}
	return n
}

// atSigns are "@" and the characters that look like one, which some readers treat
// as one.
const atSigns = "@\uff20\ufe6b"

// atSign returns the length of the character from atSigns at the start of s, or 0
// if there is none.
func atSign(s string) int {
	switch {
	case strings.HasPrefix(s, "@"):
		return len("@")
	case strings.HasPrefix(s, "\uff20"), strings.HasPrefix(s, "\ufe6b"):
		return len("\uff20")
	}
	return 0
}

func hasAtSign(s string) bool { return strings.ContainsAny(s, atSigns) }

// leadsDomain reports whether a reader may ignore c between "@" and a domain.
func leadsDomain(c byte) bool {
	return c <= ' ' || c == 0x7f || strings.IndexByte("(<\"\\", c) >= 0
}

// visible returns s without what readers drop or show as nothing: invisible
// characters, and octets that are not valid UTF-8.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if domain.Invisible(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

// without returns s without the ASCII characters for which drop returns true.
func without(s string, drop func(c byte) bool) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if !drop(s[i]) {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
