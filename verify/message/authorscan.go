package message

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"authmilter/verify/domain"
)

// scan adds every domain that some reader could see in raw, a From field that
// is not what it should be: what follows each "@", wherever it stands, in quotes
// and comments too, in the text as it is, without its control characters, with
// its encoded words decoded, and without quoting.
//
// It finds too much rather than too little: a domain found here is asked for
// its policy, one overlooked is open to forgery. Text that is no domain name
// counts for nothing; if an address has only such text, ErrNoDomain says so,
// with the exception that [scanner.harmless] describes.
func (f *authorFinder) scan(raw string) {
	s := scanner{finder: f, judging: true, joining: true}
	s.read(raw)
	if s.bare && !s.bracketed {
		f.note(ErrNoDomain)
	}
	s.judging = false
	decoded, hidden := decodeWords(raw)
	if hidden {
		f.note(ErrNoDomain)
	}
	if decoded != raw {
		s.read(decoded)
	}
	s.readAltered(raw)
	if decoded != raw {
		s.readAltered(decoded)
	}
}

// scanBroken adds the domains that are seen in raw once an MTA has broken its
// lines.
func (f *authorFinder) scanBroken(raw string) {
	s := scanner{finder: f, joining: true}
	s.read(raw)
	s.readAltered(raw)
}

// scanner looks for addresses in a text of any form.
type scanner struct {
	finder *authorFinder
	text   string
	// judging is set while an address without a domain matters.
	judging bool
	// joining is set while a domain goes on past white space and comments, as it
	// does for readers that drop them.
	joining bool
	// steps is how many more octets may be looked at while a domain is joined.
	steps int
	// bracketed is set by an address in angle brackets with a domain, and bare
	// by one outside of them without a domain that is harmless beside it.
	bracketed, bare bool
}

// readAltered reads text without its control characters, and also without what
// quotes: readers print the one as nothing and leave out the other.
func (s *scanner) readAltered(text string) {
	plain := without(text, func(c byte) bool { return c < ' ' || c == 0x7f })
	if plain != text {
		s.read(plain)
	}
	if unquoted := without(plain, func(c byte) bool { return c == '"' || c == '\\' }); unquoted != plain {
		joining := s.joining
		s.joining = false
		s.read(unquoted)
		s.joining = joining
	}
}

// read tries what follows each "@" of text.
func (s *scanner) read(text string) {
	// Several comments may be looked at again from several places. What takes
	// longer than this was made to.
	const stepsPerOctet = 16
	s.text, s.steps = text, stepsPerOctet*len(text)+1024
	depth := 0
	for at := 0; at < len(text); {
		n := atSign(text[at:])
		switch {
		case n > 0:
			if s.finder.full() || s.steps <= 0 {
				s.finder.note(ErrAuthorBounds)
				return
			}
			s.finder.readings++
			s.address(at+n, depth > 0)
		case text[at] == '<':
			depth++
		case text[at] == '>' && depth > 1:
			// To some readers a bracket within brackets ends nothing.
			next := at + 1 + s.gap(at+1)
			if s.judging && next < len(text) && text[next] != '>' {
				s.finder.note(ErrNoDomain)
			}
			depth = 0
		case text[at] == '>':
			depth = 0
		}
		at += max(n, 1)
	}
}

// address tries the readings of what stands at at, behind an "@".
func (s *scanner) address(at int, inside bool) {
	d := s.domainAt(at)
	found := s.try(d.first)
	if !found && !inside {
		// A sentence goes on, or ends.
		found = s.try(strings.TrimRight(d.first, ".!?'*~|`}/"))
	}
	joined := d.joined == d.first || s.try(d.joined)
	if d.start != d.first {
		s.try(d.start)
	}
	glued := inside && s.joining && s.glued(d)
	token := d.first
	// A reader may overlook what stands between "@" and a domain.
	start := at
	for start < len(s.text) && leadsDomain(s.text[start]) {
		start++
	}
	if n := wordLength(s.text[start:]); s.text[start:start+n] != d.start {
		lead := s.try(s.text[start : start+n])
		if token == "" {
			token, found = s.text[start:start+n], lead
		}
	}
	if !found {
		// Or end the domain at a character that none has.
		s.try(token[:ldhLength(token)])
	}
	if !s.judging {
		return
	}
	switch {
	case found && !inside:
	case found && joined && !glued && s.closes(d.end):
		s.bracketed = true
	case !found && !inside && s.harmless(d, token):
		s.bare = true
	default:
		s.finder.note(ErrNoDomain)
	}
}

// try tries name as a domain, also without what is not shown of it, and reports
// whether it is one as it stands.
func (s *scanner) try(name string) bool {
	name = strings.Trim(name, ".")
	if name == "" {
		return false
	}
	found := s.finder.try(name)
	if seen := strings.Trim(visible(name), "."); seen != name && seen != "" {
		s.finder.try(seen)
	}
	return found
}

// harmless reports whether what stands behind an "@", d or token, is nothing that
// could be taken for a domain of somebody's: it has no dot or no letter, as in
// "Joe @ home, inc. <joe@example.com>". Beside an address in angle brackets such
// text does not matter; alone it is an address that cannot be judged.
func (s *scanner) harmless(d domainText, token string) bool {
	rest := s.text[d.end:]
	if token == "" && strings.HasPrefix(rest, "[") {
		literal, _, _ := strings.Cut(rest[:min(len(rest), domain.MaxLength)], "]")
		return !strings.ContainsAny(literal, ".:")
	}
	// Some readers end a domain later, or leave these characters out.
	if n := strings.IndexAny(rest, " \t\r\n<>(),;@"); n != 0 && token == d.first {
		if n < 0 {
			n = len(rest)
		}
		s.steps -= n
		token += rest[:n]
	}
	if strings.Contains(token, "=?") {
		return false // it may become anything
	}
	token = strings.Trim(visible(token), ".:\"\\")
	letter := func(r rune) bool { return r >= utf8.RuneSelf || 'a' <= r|0x20 && r|0x20 <= 'z' }
	return !strings.ContainsAny(token, ".\u2024\u3002\ufe52\uff0e\uff61") || !strings.ContainsFunc(token, letter)
}

// glued tries what becomes of d, in angle brackets, if the same mailbox has more
// addresses in brackets, which some readers put together: of "<joe@bank.exam>
// <ple@example.net>" they show joe@bank.example@example.net. It reports whether
// what they show is not known.
func (s *scanner) glued(d domainText) bool {
	rest := s.text[d.end:]
	if !strings.HasPrefix(rest, ">") {
		return false
	}
	n := strings.IndexAny(rest, "<,;")
	if n < 0 {
		s.steps -= len(rest)
		return false
	}
	s.steps -= n
	if rest[n] != '<' {
		return false
	}
	next := d.end + n + len("<")
	next += s.gap(next)
	word := wordLength(s.text[next:])
	rest = s.text[next+word+s.gap(next+word):]
	if word > 0 {
		s.steps -= word
		s.try(d.joined + s.text[next:next+word])
	}
	return rest != "" && rest[0] != '>' && atSign(rest) == 0
}

// closes reports whether an address within angle brackets may end at end: at the
// bracket, at the "@" of another address, or as a part of a route.
func (s *scanner) closes(end int) bool {
	rest := s.text[end:]
	if strings.HasPrefix(rest, ",") {
		rest = strings.TrimLeft(rest, ", \t\r\n")
		s.steps -= len(s.text) - end - len(rest)
		return strings.HasPrefix(rest, "@") || strings.HasPrefix(rest, ":")
	}
	if strings.HasPrefix(rest, ":") {
		// The route must lead to an address.
		next := strings.IndexAny(rest, "@>")
		s.steps -= max(next, 0)
		return next > 0 && rest[next] == '@'
	}
	return rest == "" || rest[0] == '>' || rest[0] == '<' || atSign(rest) > 0
}

// domainText is what stands where a domain is expected.
type domainText struct {
	// first is the text up to the first gap, white space or a comment, that has
	// no dot beside it. RFC 5322 section 4.4 obs-domain allows those that have.
	first string
	// start is the text up to the first gap of any kind.
	start string
	// joined is the text with all gaps closed, up to a word that is the local
	// part of the next address, unless a dot joins it.
	joined string
	// end is where the text ends that was looked at.
	end int
}

// domainAt returns the text of a domain at at.
func (s *scanner) domainAt(at int) domainText {
	at += s.gap(at)
	n := wordLength(s.text[at:])
	d := domainText{start: s.text[at : at+n], end: at + n}
	d.first, d.joined = d.start, d.start
	if !s.joining || n == 0 {
		return d
	}
	var b strings.Builder
	open := true // first has not ended
	for s.steps > 0 && b.Len() < len(d.start)+maxJoined {
		gap := s.gap(d.end)
		next := d.end + gap
		n := wordLength(s.text[next:])
		if gap == 0 || n == 0 {
			d.end = next
			break
		}
		s.steps -= n
		word := s.text[next : next+n]
		dotted := word[0] == '.' || strings.HasSuffix(d.joined, ".")
		if !dotted && atSign(s.text[next+n+s.gap(next+n):]) > 0 {
			d.end = next + n
			break
		}
		if b.Len() == 0 {
			b.WriteString(d.start)
		}
		open = open && dotted
		b.WriteString(word)
		d.joined = b.String()
		d.end = next + n
		if open {
			d.first = d.joined
		}
	}
	return d
}

// maxJoined bounds the text that is joined to a domain. What is longer is none.
const maxJoined = 4 * domain.MaxLength

// gap returns the length of the white space and the comments at at.
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

// comment returns the length of the comment at at, 0 where there is none or it
// does not end.
func (s *scanner) comment(at int) int {
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
			if i == at {
				return 0
			}
			return min(i+1, len(s.text)) - at
		}
	}
	return 0
}

// wordLength returns the length of the text at the start of s that some reader
// could take for a part of a domain: up to white space, a control character, or
// a character that ends an address, in ASCII or as East Asian writing has it.
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
// dots at the start of s, with all beyond ASCII.
func ldhLength(s string) int {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < utf8.RuneSelf && c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return i
		}
	}
	return len(s)
}

// spaceLength returns the length of the white space at the start of s.
func spaceLength(s string) int {
	n := 0
	for _, r := range s {
		if r != '\t' && r != '\r' && r != '\n' && !unicode.Is(unicode.Zs, r) {
			break
		}
		n += utf8.RuneLen(r)
	}
	return n
}

// atSign returns the length of the "@" at the start of s, or of a character that
// readers show, and some take, as one: U+FF20 and U+FE6B. It returns 0 where
// there is none.
func atSign(s string) int {
	switch {
	case strings.HasPrefix(s, "@"):
		return len("@")
	case strings.HasPrefix(s, "\uff20"), strings.HasPrefix(s, "\ufe6b"):
		return len("\uff20")
	}
	return 0
}

// leadsDomain reports whether a reader may overlook c between "@" and a domain.
func leadsDomain(c byte) bool {
	return c <= ' ' || c == 0x7f || strings.IndexByte("(<\"\\", c) >= 0
}

// visible returns s without what readers drop or show as nothing: the characters
// that are invisible, and octets that are no UTF-8.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if domain.Invisible(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// without returns s without the ASCII characters that drop is true for.
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
