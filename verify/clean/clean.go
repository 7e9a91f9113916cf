// Package clean makes text from outside safe to put into a header field, a log
// line or an SMTP reply.
package clean

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Replacement stands for each character that must not be shown.
const Replacement = '?'

// ellipsis marks text that was cut.
const ellipsis = "..."

// Text returns s with every character that could break a line, end a string or
// mislead a reader replaced by [Replacement]: control characters (including CR,
// LF, NUL and TAB), invalid UTF-8, invisible format characters that reorder or
// hide text (Unicode Cf, including the bidirectional controls), line and
// paragraph separators, surrogates and private use. The result is at most max
// octets long; max must be at least 4. Text that was cut ends in "...".
//
// Text does not quote: code that writes a syntax of its own (a header comment,
// a quoted string) must quote what Text returns.
func Text(s string, max int) string {
	if len(s) <= max && plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(min(len(s), max+utf8.UTFMax))
	for i, r := range s {
		if b.Len() > max {
			break
		}
		if !shown(r, s[i:]) {
			r = Replacement
		}
		b.WriteRune(r)
	}
	out := b.String()
	if len(out) <= max {
		return out
	}
	cut := max - len(ellipsis)
	for !utf8.RuneStart(out[cut]) {
		cut--
	}
	return out[:cut] + ellipsis
}

// ASCII returns what [Text] does, and also replaces every character outside
// ASCII. Readers of some header fields understand no other text.
func ASCII(s string, max int) string {
	if !plain(s) {
		s = strings.Map(func(r rune) rune {
			if r >= utf8.RuneSelf {
				return Replacement
			}
			return r
		}, s)
	}
	return Text(s, max)
}

func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// shown reports whether r, which starts rest, is a graphic character or a space.
func shown(r rune, rest string) bool {
	if r == utf8.RuneError {
		// An encoded U+FFFD is three octets; an invalid octet is one.
		return strings.HasPrefix(rest, "\uFFFD")
	}
	return r == ' ' || (unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r))
}
