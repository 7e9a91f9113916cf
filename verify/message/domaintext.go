package message

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"authmilter/verify/domain"
)

// domainText is the text at a place where a domain is expected.
type domainText struct {
	// first is the text up to the first gap (white space or a comment) without a
	// dot next to it. RFC 5322 section 4.4 obs-domain allows gaps next to dots.
	first string
	// start is the text up to the first gap of any kind.
	start string
	// joined is the text without its gaps. It stops before a word that is the
	// local part of the next address, unless a dot joins that word.
	joined string
	// end is where the examined text ends, and spaced is set if a gap precedes
	// end.
	end    int
	spaced bool
}

// domainAt returns the text of a domain at at, inside or outside angle brackets,
// and tries each part of it at which a reader may stop.
func (s *scanner) domainAt(at int, inside bool) domainText {
	at += s.gap(at)
	n := wordLength(s.text[at:])
	d := domainText{start: s.text[at : at+n], end: at + n}
	d.first, d.joined = d.start, d.start
	if n == 0 {
		return d
	}
	var b strings.Builder
	open := true // first has not ended
	for s.steps > 0 && b.Len() < len(d.start)+maxJoined {
		gap := s.gap(d.end)
		next := d.end + gap
		n := wordLength(s.text[next:])
		if gap == 0 || n == 0 {
			d.end, d.spaced = next, gap > 0
			break
		}
		s.steps -= n
		word := s.text[next : next+n]
		dotted := word[0] == '.' || strings.HasSuffix(d.joined, ".")
		if at := s.text[next+n+s.gap(next+n):]; !dotted && atSign(at) > 0 {
			// Within brackets, in encoded words, or if this only looks like an
			// "@", the whole may be one local part.
			if inside || s.decoded || at[0] != '@' {
				s.tryStart(d.joined + word)
			}
			d.end = next + n
			break
		}
		if b.Len() == 0 {
			b.WriteString(d.start)
			s.try(d.start)
		}
		open = open && dotted
		b.WriteString(word)
		d.joined = b.String()
		s.try(d.joined)
		d.end = next + n
		if open {
			d.first = d.joined
		}
	}
	return d
}

// maxJoined bounds the text that is joined to a domain. Longer text is no domain.
const maxJoined = 4 * domain.MaxLength

// gap returns the length of the white space and comments at at.
func (s *scanner) gap(at int) int {
	start := at
	for at < len(s.text) && s.steps > 0 {
		n := spaceLength(s.text[at:])
		if n == 0 {
			n = s.comment(at)
		}
		if n == 0 {
			break
		}
		s.steps -= n
		at += n
	}
	return at - start
}

// comment returns the length of the comment at at, or 0 if there is none or it does
// not end.
func (s *scanner) comment(at int) int {
	if s.text[at] != '(' {
		return 0
	}
	depth := 0
	for i := at; i < len(s.text) && s.steps > 0; i++ {
		s.steps--
		switch s.text[i] {
		case '(':
			depth++
		case ')':
			depth--
		case '\\':
			i++
		}
		if depth == 0 {
			return i + 1 - at
		}
	}
	return 0
}

// wordLength returns the length of the text at the start of s that some reader
// could regard as part of a domain: up to white space, a control character, or a
// character that ends an address, in its ASCII or East Asian form.
func wordLength(s string) int {
	for i, r := range s {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("()<>[]@,;:\"\\\u3001\ufe6b\uff08\uff09\uff0c\uff1a\uff1b\uff1c\uff1e\uff20", r) ||
			r >= utf8.RuneSelf && unicode.Is(unicode.Zs, r) {
			return i
		}
	}
	return len(s)
}

// ldhLength returns the length of the letters, digits, hyphens, underscores and
// dots at the start of s, with all non-ASCII characters except punctuation marks.
func ldhLength(s string) int {
	for i, c := range s {
		if c < utf8.RuneSelf && c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') || domain.Punctuation(c) && !strings.ContainsRune(dotsLike, c) {
			return i
		}
	}
	return len(s)
}
