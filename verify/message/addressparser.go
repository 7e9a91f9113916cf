package message

import (
	"fmt"
	"strings"
)

// addressParser reads an address list from left to right and never goes back.
// Its methods begin at the octet at and leave it behind what they read.
type addressParser struct {
	text string
	at   int
	// words are the words before the place where it shows what they are: a
	// display name, a local part or the name of a group.
	words []word
	// apart is set where white space or a comment stands before at.
	apart   bool
	inGroup bool
	groups  int
	// odd is set by what is valid, yet read differently by different readers:
	// routes, white space or comments within an address, control characters,
	// encoded words in an address, where they mean nothing (RFC 2047 section 5),
	// and a local part or the name of a group that looks like an address.
	odd       bool
	mailboxes []Mailbox
}

// word is an atom, a quoted string or a dot.
type word struct {
	text string
	kind wordKind
	// apart is set where white space or a comment stands before the word.
	apart bool
}

type wordKind uint8

const (
	atom wordKind = iota
	quoted
	dot
)

func malformed(why string) error { return fmt.Errorf("%w: %s", ErrAddress, why) }

// parse reads the whole text.
func (p *addressParser) parse() error {
	if len(p.text) > MaxAddressList {
		return ErrAddressBounds
	}
	if err := p.members(); err != nil {
		return err
	}
	if p.groups == 0 && len(p.mailboxes) == 0 {
		return malformed("no address")
	}
	return nil
}

// members reads the addresses of the list, or of a group up to its semicolon.
// Null members are obsolete, but valid (RFC 5322 section 4.4).
func (p *addressParser) members() error {
	for {
		if err := p.skip(); err != nil {
			return err
		}
		switch c := p.peek(); {
		case p.ended() || c == ';' && p.inGroup:
			return nil
		case c == ',':
			p.at++
			continue
		}
		if err := p.address(); err != nil {
			return err
		}
		if err := p.skip(); err != nil {
			return err
		}
		if c := p.peek(); !p.ended() && c != ',' && (c != ';' || !p.inGroup) {
			return malformed("text after an address")
		}
	}
}

// address reads a mailbox or a group.
func (p *addressParser) address() error {
	if err := p.readWords(); err != nil {
		return err
	}
	switch c := p.peek(); {
	case c == '@':
		if n := nameBefore(p.text[p.at:]); n > 0 {
			name := join(p.words) + strings.Join(strings.Fields(p.text[p.at:p.at+n]), " ")
			p.at += n
			return p.angle(name)
		}
		return p.addrSpec("")
	case c == '<':
		name, err := p.phrase()
		if err != nil {
			return err
		}
		return p.angle(name)
	case c == ':' && len(p.words) > 0:
		return p.group()
	case p.ended() || c == ',' || c == ';':
		return malformed("name without an address")
	}
	return malformed("character out of place")
}

// nameBefore returns the length of what stands in s, which begins with the "@"
// of a first address, before an opening angle bracket: the rest of a display
// name that holds an address without quotes, as in "a@example.com
// <b@example.net>". No grammar has that, much mail does, and nearly every reader
// takes the address in brackets. It returns 0 if there is none, or if anything
// but words, dots, "@" and spaces comes before it.
func nameBefore(s string) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '<':
			return i
		case c == '@' || c == '.' || isWSP(c) || isAtext(c):
		case c == '\r' && i+2 < len(s) && s[i+1] == '\n' && isWSP(s[i+2]):
			i += 2
		default:
			return 0
		}
	}
	return 0
}

// group reads a group from its colon.
func (p *addressParser) group() error {
	name, err := p.phrase()
	if err != nil {
		return err
	}
	// Some readers show the name of a group as an address.
	p.odd = p.odd || strings.ContainsAny(name, atSigns) || strings.Contains(name, "=?")
	if p.inGroup {
		return malformed("group within a group")
	}
	p.at++
	p.inGroup = true
	if err := p.members(); err != nil {
		return err
	}
	if p.ended() {
		return malformed("group without its end")
	}
	p.at++
	p.inGroup = false
	p.groups++
	return nil
}

// angle reads an angle-addr from its opening bracket.
func (p *addressParser) angle(name string) error {
	p.at++
	start := p.at
	if err := p.skip(); err != nil {
		return err
	}
	if c := p.peek(); c == '@' || c == ',' {
		if err := p.route(); err != nil {
			return err
		}
	}
	if err := p.readWords(); err != nil {
		return err
	}
	if p.peek() != '@' {
		return malformed("no address in angle brackets")
	}
	if err := p.addrSpec(name); err != nil {
		return err
	}
	if err := p.skip(); err != nil {
		return err
	}
	if p.peek() != '>' {
		return malformed("angle bracket not closed")
	}
	// A comment in here is read as part of the address by some.
	p.odd = p.odd || strings.Contains(p.text[start:p.at], "(")
	p.at++
	return nil
}

// route reads an obs-route with its colon. It is to be ignored
// (RFC 5322 section 4.4).
func (p *addressParser) route() error {
	p.odd = true
	for {
		if err := p.skip(); err != nil {
			return err
		}
		switch p.peek() {
		case ',':
			p.at++
		case '@':
			p.at++
			if _, err := p.domain(); err != nil {
				return err
			}
		case ':':
			p.at++
			return p.skip()
		default:
			return malformed("route without its end")
		}
	}
}

// addrSpec reads the rest of an addr-spec from its "@", with the words for the
// local part, and adds the mailbox.
func (p *addressParser) addrSpec(name string) error {
	local, err := p.localPart()
	if err != nil {
		return err
	}
	p.at++
	domain, err := p.domain()
	if err != nil {
		return err
	}
	if len(p.mailboxes) == MaxMailboxes {
		return ErrAddressBounds
	}
	// Some readers show a local part without its quotes, and some end an address
	// at the first domain.
	p.odd = p.odd || strings.ContainsAny(local, "<>"+atSigns) || strings.Contains(local, "=?") || strings.Contains(domain, "=?")
	p.mailboxes = append(p.mailboxes, Mailbox{Name: name, Local: local, Domain: domain})
	return nil
}

// localPart returns the words as a local part: words with a dot between each
// two (RFC 5322 section 4.4 obs-local-part). What stands between a word and a
// dot, or the "@", means nothing.
func (p *addressParser) localPart() (string, error) {
	const badLocalPart = "local part that is not words and dots in turn"
	if len(p.words)%2 == 0 {
		return "", malformed(badLocalPart)
	}
	p.odd = p.odd || p.apart
	for i := range p.words {
		w := &p.words[i]
		if (w.kind == dot) != (i%2 == 1) {
			return "", malformed(badLocalPart)
		}
		if i > 0 {
			p.odd = p.odd || w.apart
			w.apart = false
		}
	}
	return join(p.words), nil
}

// phrase returns the words as a display name, "" where there are none. Dots are
// allowed behind the first word (RFC 5322 section 4.1 obs-phrase).
func (p *addressParser) phrase() (string, error) {
	if len(p.words) > 0 && p.words[0].kind == dot {
		return "", malformed("name that begins with a dot")
	}
	return join(p.words), nil
}

// join returns the text of words, with one space where they are apart.
func join(words []word) string {
	if len(words) == 1 {
		return words[0].text
	}
	size := 0
	for _, w := range words {
		size += len(w.text) + 1
	}
	var b strings.Builder
	b.Grow(size)
	for i, w := range words {
		if i > 0 && w.apart {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return b.String()
}

// readWords reads all words that follow, and what stands between them.
func (p *addressParser) readWords() error {
	p.words = p.words[:0]
	for !p.ended() {
		w := word{apart: p.apart}
		switch c := p.peek(); {
		case c == '"':
			text, err := p.quotedString()
			if err != nil {
				return err
			}
			w.text, w.kind = text, quoted
		case c == '.':
			w.text, w.kind = ".", dot
			p.at++
		default:
			n := atomLength(p.text[p.at:])
			if n == 0 {
				return nil
			}
			w.text = p.text[p.at : p.at+n]
			p.at += n
		}
		p.words = append(p.words, w)
		if err := p.skip(); err != nil {
			return err
		}
	}
	return nil
}

// domain reads a domain: atoms with dots between them (RFC 5322 section 4.4
// obs-domain), or a literal.
func (p *addressParser) domain() (string, error) {
	if err := p.skip(); err != nil {
		return "", err
	}
	p.odd = p.odd || p.apart
	if p.peek() == '[' {
		return p.literal()
	}
	start := p.at
	var labels []string // used once the domain has gaps
	for {
		n := atomLength(p.text[p.at:])
		if n == 0 {
			return "", malformed("domain with a label missing")
		}
		label := p.text[p.at : p.at+n]
		p.at += n
		end := p.at
		if err := p.skip(); err != nil {
			return "", err
		}
		gap := p.apart
		if p.peek() != '.' {
			if labels == nil {
				return p.text[start:end], nil
			}
			return strings.Join(append(labels, label), "."), nil
		}
		before := p.text[start:end]
		p.at++
		if err := p.skip(); err != nil {
			return "", err
		}
		switch {
		case labels != nil:
			labels = append(labels, label)
		case gap || p.apart:
			p.odd = true
			labels = append(labels, before)
		}
	}
}

// literal reads a domain-literal.
func (p *addressParser) literal() (string, error) {
	var b strings.Builder
	for ; !p.ended(); p.at++ {
		switch c := p.peek(); {
		case c == ']':
			b.WriteByte(c)
			p.at++
			return b.String(), nil
		case c == '[' && b.Len() > 0:
			return "", malformed("domain literal within another")
		case isWSP(c):
		case blank(p.text[p.at:]) > 0:
			p.at += len("\r\n")
		case c == '\\' || c < ' ' || c == 0x7f:
			// Quoted pairs and controls are obsolete here
			// (RFC 5322 section 4.4), and no literal that an MTA takes holds
			// them.
			return "", malformed("character out of place in a domain literal")
		default:
			b.WriteByte(c)
		}
	}
	return "", malformed("domain literal not closed")
}

// quotedString reads a quoted-string and returns what it stands for.
func (p *addressParser) quotedString() (string, error) {
	p.at++
	start := p.at
	var b strings.Builder // used once the text is not a part of p.text
	for !p.ended() {
		c := p.peek()
		n := 1
		switch {
		case c == '"':
			p.at++
			last := p.text[start : p.at-1]
			if b.Len() == 0 {
				return last, nil
			}
			b.WriteString(last)
			return b.String(), nil
		case c == '\\':
			if p.at+1 == len(p.text) {
				return "", malformed("quoted string not closed")
			}
			b.WriteString(p.text[start:p.at])
			p.at++
			start, c = p.at, p.peek()
		case blank(p.text[p.at:]) > 1:
			b.WriteString(p.text[start:p.at])
			start = p.at + len("\r\n")
			n, c = blank(p.text[p.at:]), ' '
		}
		if err := p.control(c); err != nil {
			return "", err
		}
		p.at += n
	}
	return "", malformed("quoted string not closed")
}

// skip reads white space, folds and comments.
func (p *addressParser) skip() error {
	start := p.at
	for !p.ended() {
		if n := blank(p.text[p.at:]); n > 0 {
			p.at += n
			continue
		}
		if p.peek() != '(' {
			break
		}
		if err := p.comment(); err != nil {
			return err
		}
	}
	p.apart = p.at > start
	return nil
}

// comment reads a comment, with those nested in it.
func (p *addressParser) comment() error {
	start, nested := p.at, false
	for depth := 0; !p.ended(); {
		c := p.peek()
		n := 1
		switch {
		case c == '(':
			if depth++; depth > maxCommentDepth {
				return malformed("comments nested too deep")
			}
			nested = nested || depth > 1
		case c == ')':
			if depth--; depth == 0 {
				p.at++
				// Some readers end a comment at its first parenthesis.
				p.odd = p.odd || nested && hasAtSign(p.text[start:p.at])
				return nil
			}
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			c = p.peek()
		case blank(p.text[p.at:]) > 1:
			n, c = blank(p.text[p.at:]), ' '
		}
		if err := p.control(c); err != nil {
			return err
		}
		p.at += n
	}
	return malformed("comment not closed")
}

// control judges c, an octet of a quoted string or a comment. Some readers end
// a text at a NUL, a CR or an LF, so that these are refused although obs-qp
// (RFC 5322 section 4.1) has them; other controls are valid there but odd.
func (p *addressParser) control(c byte) error {
	switch {
	case c == 0 || c == '\r' || c == '\n':
		return malformed("NUL, CR or LF in a text")
	case c < ' ' && c != '\t' || c == 0x7f:
		p.odd = true
	}
	return nil
}

func (p *addressParser) ended() bool { return p.at == len(p.text) }

// peek returns the next octet, 0 at the end.
func (p *addressParser) peek() byte {
	if p.ended() {
		return 0
	}
	return p.text[p.at]
}

// atomLength returns the length of the atom at the start of s
// (RFC 5322 section 3.2.3 atext; RFC 6532 section 3.2 adds all beyond ASCII).
func atomLength(s string) int {
	n := 0
	for n < len(s) && isAtext(s[n]) {
		n++
	}
	return n
}

func isAtext(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '.', '"':
		return false
	}
	return c > ' ' && c != 0x7f
}
