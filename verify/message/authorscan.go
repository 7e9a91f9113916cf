package message

import (
	"strings"
	"unicode/utf8"

	"authmilter/verify/ascii"
	"authmilter/verify/domain"
)

// scan adds every domain that some reader could see in raw, an irregular From
// field: it tries the text after each "@", even in quotes and comments. It does so
// in raw as it is, without its control characters, with its encoded words decoded,
// and without quoting.
//
// It finds too many domains on purpose: a domain found here only has its policy
// looked up, but a domain overlooked is open to forgery. Text that is not a domain
// name is ignored. If an address has only such text, scan notes ErrNoDomain, except
// as [scanner.harmless] describes.
func (f *authorFinder) scan(raw string) {
	s := scanner{finder: f}
	if bracketQuoted(raw) {
		f.note(ErrNoDomain)
	}
	s.judge(raw)
	s.readAltered(raw)
	s.readRouted(raw)
	words := decodeWords(raw, true)
	s.readDecoded(words, raw)
	if others := decodeWords(raw, false); others.text != words.text {
		s.readDecoded(others, raw)
	}
}

// readDecoded reads raw with its encoded words decoded.
func (s *scanner) readDecoded(words decodedText, raw string) {
	if words.hidden {
		s.finder.note(ErrNoDomain)
	}
	if words.text != raw {
		s.decoded, s.foreign = true, words.foreign
		s.judge(words.text)
		s.readAltered(words.text)
	}
}

// scanBroken adds the domains that readers see in raw, a field whose lines an MTA
// has broken.
func (f *authorFinder) scanBroken(raw string) {
	s := scanner{finder: f}
	s.read(raw)
	s.readAltered(raw)
}

// scanner looks for addresses in text of any form.
type scanner struct {
	finder *authorFinder
	text   string
	// judging is set while an address without a domain matters.
	judging bool
	// decoded is set while text has its encoded words decoded, and foreign while
	// its non-ASCII octets can mean anything.
	decoded, foreign bool
	// steps is how many more octets may be examined while joining domains.
	steps int
	// bracketed is set by an address with a domain in angle brackets, and bare by
	// an address without a domain outside them, harmless beside the first kind.
	bracketed, bare bool
}

// bracketQuoted reports whether there is an angle bracket within quotes. Then only
// a parser knows which brackets belong together.
func bracketQuoted(text string) bool {
	quoted, bracket := false, false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			if quoted && bracket {
				return true
			}
			quoted, bracket = !quoted, false
		case '<', '>':
			bracket = true
		}
	}
	return false
}

// judge reads text and notes whether it has an address without a domain.
func (s *scanner) judge(text string) {
	s.judging, s.bracketed, s.bare = true, false, false
	s.read(text)
	s.judging = false
	if s.bare && !s.bracketed {
		s.finder.note(ErrNoDomain)
	}
}

// readAltered reads text without its control characters, once with white space and
// once without, and also without quotes and backslashes: readers may show none of
// these.
func (s *scanner) readAltered(text string) {
	seen := without(text, func(c byte) bool { return isControl(c) && spaceLength(string(c)) == 0 })
	if seen != text {
		s.read(seen)
	}
	plain := without(text, isControl)
	if plain != seen {
		s.read(plain)
	}
	if unquoted := without(plain, func(c byte) bool { return c == '"' || c == '\\' }); unquoted != plain {
		s.read(unquoted)
	}
}

// stepsPerOctet bounds the time for a text. The scan may examine a comment again
// from several places; a text that takes longer than this was built to.
const stepsPerOctet = 16

// read tries what follows each "@" of text.
func (s *scanner) read(text string) {
	s.text, s.steps = text, stepsPerOctet*len(text)+1024
	depth, open := 0, -1
	for at := 0; at < len(text); {
		n := atSign(text[at:])
		switch {
		case n > 0:
			if s.finder.full() || s.steps <= 0 {
				s.finder.note(ErrAuthorBounds)
				return
			}
			s.finder.readings++
			s.address(at+n, open)
		case text[at] == '<':
			depth, open = depth+1, at
		case text[at] == '>' && depth > 1:
			// For some readers, a bracket within brackets ends nothing.
			next := at + 1 + s.gap(at+1)
			if s.judging && next < len(text) && text[next] != '>' {
				s.finder.note(ErrNoDomain)
			}
			depth, open = 0, -1
		case text[at] == '>':
			depth, open = 0, -1
		}
		at += max(n, 1)
	}
}

// readRouted tries the domains of addresses in old forms without "@", such as
// "joe%bank.example" and "bank.example!joe": Sendmail, and Postfix for its own
// clients, rewrite them with an "@". If an address in angle brackets has no domain
// at all, the MTA adds its own domain, and the address cannot be judged.
func (s *scanner) readRouted(text string) {
	s.steps = stepsPerOctet*len(text) + 1024
	for start := 0; start < len(text); {
		end := start
		for end < len(text) && strings.IndexByte("<>,;:", text[end]) < 0 {
			end++
		}
		s.routed(text[start:end])
		if start > 0 && text[start-1] == '<' && strings.HasPrefix(text[end:], ">") {
			s.unaddressed(text[start:end], text[end+1:])
		}
		start = end + 1
	}
	if s.steps <= 0 {
		s.finder.note(ErrAuthorBounds)
	}
}

// routed tries the domains in part, the text between two separators of an address
// list, if it has no "@".
func (s *scanner) routed(part string) {
	if hasAtSign(part) {
		return
	}
	if s.finder.full() {
		s.finder.note(ErrAuthorBounds)
		return
	}
	s.text = part
	if at := strings.LastIndexByte(part, '%'); at >= 0 {
		s.finder.readings++
		d := s.domainAt(at+1, true)
		s.try(d.first)
		s.try(d.joined)
	}
	if at := strings.IndexByte(part, '!'); at >= 0 {
		s.finder.readings++
		host := s.closed(part[:at])
		s.try(host)
		s.try(host[strings.LastIndexByte(host, ' ')+1:])
	}
}

// closed returns text, the start of s.text, without quotes and backslashes, with
// gaps next to dots removed and other gaps replaced by a space.
func (s *scanner) closed(text string) string {
	var b strings.Builder
	for at := 0; at < len(text); {
		if n := s.gap(at); n > 0 {
			at += n
			if at < len(text) && text[at] != '.' && !strings.HasSuffix(b.String(), ".") {
				b.WriteByte(' ')
			}
			continue
		}
		if text[at] != '"' && text[at] != '\\' {
			b.WriteByte(text[at])
		}
		at++
	}
	return strings.TrimSpace(b.String())
}

// unaddressed notes an author without a domain if part, the text in angle brackets,
// has no "@" and rest, the text after them, ends the mailbox.
func (s *scanner) unaddressed(part, rest string) {
	s.text = rest
	next := s.gap(0)
	ends := next == len(rest) || rest[next] == ',' || rest[next] == ';'
	if ends && strings.Trim(part, " \t\r\n") != "" && !hasAtSign(part) {
		s.finder.note(ErrNoDomain)
	}
}

// address tries the possible readings of the text at at, which follows an "@". open
// is the position of the angle bracket that it is in, negative if there is none.
func (s *scanner) address(at, open int) {
	inside := open >= 0
	d := s.domainAt(at, inside)
	found := s.try(d.first)
	if !found && !inside {
		// The address may be part of a sentence, or end it.
		found = s.try(strings.TrimRight(d.first, punctuation))
		s.tryStart(strings.Trim(d.joined, punctuation))
	}
	joined := d.joined == d.first || s.try(d.joined)
	token := d.first
	// A reader may ignore characters between "@" and a domain.
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
		s.tryStart(token)
	}
	if s.foreign && !ascii.Is(s.text[at:d.end]+token) {
		s.finder.note(ErrNoDomain)
	}
	if !s.judging {
		return
	}
	switch {
	case found && !inside && s.ends(d.end, joined):
	case found && inside && joined && s.closes(d.end) && s.alone(d, open):
		s.bracketed = true
	case !found && !inside && s.harmless(d, token):
		s.bare = true
	default:
		s.finder.note(ErrNoDomain)
	}
}

// punctuation are characters that may surround an address in a sentence, but do not
// end it for a parser.
const punctuation = ".!?'*~|`{}/&"

// try tries name as a domain, also without its invisible characters, and reports
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

// tryStart tries name, or else the part of it before the first character that no
// domain has.
func (s *scanner) tryStart(name string) {
	if !s.try(name) {
		s.try(name[:ldhLength(name)])
	}
}

// harmless reports whether nobody could mistake the text after an "@", d or token,
// for a domain: it has no dot or no letter, as in
// "Joe @ home, inc. <joe@example.com>". Beside an address in angle brackets such
// text does not matter; alone it is an address that cannot be judged.
func (s *scanner) harmless(d domainText, token string) bool {
	rest := s.text[d.end:]
	if token == "" && strings.HasPrefix(rest, "[") {
		literal, _, _ := strings.Cut(rest[:min(len(rest), domain.MaxLength)], "]")
		return !strings.ContainsAny(literal, ".:")
	}
	if strings.HasPrefix(rest, ">") {
		return false
	}
	if strings.HasPrefix(rest, `"`) && !s.endsQuoted(d.end) {
		// The quote may open here, around words that no reader joins to more text.
		quoted, _, closed := strings.Cut(rest[1:], `"`)
		if d.first != "" || !closed || token == "" || !strings.HasPrefix(quoted, token) || hasAtSign(quoted) || !s.endsQuoted(d.end+1+len(quoted)) {
			return false
		}
		token = quoted
	}
	// Some readers end a domain later, or omit these characters.
	if n := strings.IndexAny(rest, " \t\r\n@"); n != 0 && token == d.first && !d.spaced {
		if n < 0 {
			n = len(rest)
		}
		s.steps -= n
		token += rest[:n]
	}
	if strings.Contains(token+d.joined, "=?") || strings.Contains(strings.ToLower(token+d.joined), "xn--") {
		return false // it may be shown as anything
	}
	token = strings.Trim(visible(token), ".,;:\"\\")
	letter := func(r rune) bool { return r >= utf8.RuneSelf || 'a' <= r|0x20 && r|0x20 <= 'z' }
	return !strings.ContainsAny(token, "."+dotsLike) || !strings.ContainsFunc(token, letter)
}

// endsQuoted reports whether the quote at at ends the text before it, so that no
// reader that omits the quote joins that text to the text after it.
func (s *scanner) endsQuoted(at int) bool {
	gap := s.gap(at + 1)
	rest := s.text[at+1+gap:]
	return rest == "" || strings.IndexByte(",;:<>)", rest[0]) >= 0 || gap > 0 && rest[0] != '.'
}

// alone reports whether the mailbox with the address in the angle brackets at open,
// whose domain is d, has nothing else but words. Some readers join addresses in
// several brackets: for "<joe@bank.exam> <ple@example.net>" they show
// joe@bank.example@example.net. Honest mail sometimes repeats the same address, so
// that is allowed, and the domain that such readers make of it is tried.
func (s *scanner) alone(d domainText, open int) bool {
	rest := s.text[d.end:]
	if !strings.HasPrefix(rest, ">") {
		return true
	}
	quoted, end, more := false, 1, false
	for ; end < len(rest) && (quoted || rest[end] != ',' && rest[end] != ';'); end++ {
		quoted = quoted != (rest[end] == '"')
		more = more || rest[end] == '"' || rest[end] == '<' || atSign(rest[end:]) > 0
	}
	s.steps -= end
	behind := strings.Trim(rest[1:end], " \t\r\n")
	address := s.text[open:d.end] + ">"
	if behind == address {
		local, _, _ := strings.Cut(address[1:], "@")
		s.tryStart(d.joined + without(local, func(c byte) bool { return c == '"' || c == '\\' }))
		return true
	}
	if more {
		return false
	}
	next := s.gap(d.end+1) + 1
	return next >= end || rest[next] != '.' && !strings.HasSuffix(d.joined, ".")
}

// closes reports whether an address in angle brackets may end at end: at the
// bracket, at the "@" of another address, or as part of a route.
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
	return rest == "" || rest[0] == '>' || atSign(rest) > 0
}

// ends reports whether an address outside angle brackets ends at end for every
// reader, because it is in a display name or the next character ends it. joined
// says whether it is still a domain with all the words after it.
func (s *scanner) ends(end int, joined bool) bool {
	rest := s.text[end:]
	if strings.HasPrefix(rest, ">") {
		// The opening bracket is within quotes or missing.
		next := 1 + s.gap(end+1)
		return joined && (next == len(rest) || rest[next] == ',' || rest[next] == ';')
	}
	n := strings.IndexAny(rest, "<,;@")
	if n < 0 {
		s.steps -= len(rest)
	} else if s.steps -= n; rest[n] == '<' {
		return true
	}
	if strings.HasPrefix(rest, `"`) {
		rest = rest[1+s.gap(end+1):]
	}
	return joined && (rest == "" || rest[0] < ' ' || strings.IndexByte(",;):", rest[0]) >= 0 || atSign(rest) > 0)
}
