package message

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"authmilter/verify/domain"
)

const (
	// maxAuthorDomains bounds the domains in an [Author].
	maxAuthorDomains = 100
	// maxCandidates bounds the texts that are tried as domains for an Author,
	// and maxReadings how often one is looked for after an "@".
	maxCandidates = 1000
	maxReadings   = 10 * maxCandidates
)

// What can be wrong with the From fields of a message. An [Author] with one of
// these errors can still have domains.
var (
	// ErrNoFrom means that there is no From field.
	ErrNoFrom = errors.New("no From field")
	// ErrSeveralFrom means that there are several From fields
	// (RFC 5322 section 3.6 allows one).
	ErrSeveralFrom = errors.New("several From fields")
	// ErrFromName means that the name of a From field contains forbidden octets,
	// which some readers ignore.
	ErrFromName = errors.New("malformed name of the From field")
	// ErrFromSyntax means that a From field could not be parsed. The error joined
	// to it wraps ErrAddress or ErrAddressBounds.
	ErrFromSyntax = errors.New("malformed From field")
	// ErrFromAmbiguous means that a From field is valid, but in an obsolete form
	// that readers interpret differently.
	ErrFromAmbiguous = errors.New("ambiguous From field")
	// ErrFromGroup means that a From field has only groups without members.
	ErrFromGroup = errors.New("group without members in the From field")
	// ErrNoDomain means that a From field has no address, or that an author's
	// address has a literal, no domain, or one that [domain.OfAddress] refuses.
	ErrNoDomain = errors.New("author address without a domain")
	// ErrFromLine means that a line of a From field is longer than
	// RFC 5322 section 2.1.1 allows. MTAs break it later, so that people see
	// something other than what was checked.
	ErrFromLine = errors.New("line over 998 octets in the From field")
	// ErrFromNUL means that a From field contains a NUL octet. Some readers end
	// the line there and join the next line to it.
	ErrFromNUL = errors.New("NUL in the From field")
	// ErrFromWord means that a From field has such a long word or display name
	// that an MTA treats parts of it as separate addresses, and that it contains
	// something that can be shown as an address.
	ErrFromWord = errors.New("long word beside an address in the From field")
	// ErrAuthorBounds means that the From fields have more addresses than are
	// read: Domains is incomplete.
	ErrAuthorBounds = errors.New("too many author addresses")
)

// Author is the author that the From fields of a message name.
type Author struct {
	// Domains holds the distinct Author Domains (RFC 9989 section 3.2.2) in order
	// of appearance, as [domain.OfAddress] returns them, at most 100. If a From
	// field is malformed or ambiguous, it holds every domain that some reader
	// could regard as the author's, so that no such message escapes its policy
	// (RFC 9989 section 11.5). It may still be incomplete: see [Author.Unjudged].
	Domains []string
	// Bracketed is the one of several Domains that stands in the only angle
	// brackets of a From field that is no list: most readers show that author, and
	// only some show the other Domains, which stand in the text around it. It is ""
	// in every other case, and if an author is [Author.Unjudged].
	Bracketed string
	// Unaddressed is set if there are From fields, but no reader could see an
	// address with a domain in them, as in "MAILER-DAEMON <>".
	Unaddressed bool
	// Mailboxes holds the mailboxes of the From fields that could be parsed, at
	// most MaxMailboxes.
	Mailboxes []Mailbox
	// Fields is the number of From fields.
	Fields int
	// Err is everything that is wrong; nil for what RFC 5322 section 3.6.2 and
	// RFC 6854 allow. Several authors are not an error.
	Err error
}

// Unjudged reports whether there is, or may be, an author who is missing from
// Domains, so that evaluating Domains alone is not enough. Err says why.
func (a *Author) Unjudged() bool {
	for _, err := range []error{ErrNoFrom, ErrFromGroup, ErrNoDomain, ErrFromLine, ErrFromNUL, ErrFromWord, ErrAuthorBounds} {
		if errors.Is(a.Err, err) {
			return true
		}
	}
	return false
}

// Author returns the author of the message from all of its From fields. It takes
// time linear in their length.
func (h Header) Author() Author {
	var f authorFinder
	for i := range h {
		switch fromName(h[i].Name) {
		case nameOther:
			continue
		case nameMalformed:
			f.note(ErrFromName)
		}
		f.Fields++
		f.addField(h[i])
	}
	switch f.Fields {
	case 0:
		f.note(ErrNoFrom)
	case 1:
	default:
		f.note(ErrSeveralFrom)
	}
	f.Unaddressed = f.unaddressed()
	if f.Fields == 1 && len(f.Domains) > 1 && !f.Unjudged() {
		f.Bracketed = bracketed(f.last)
	}
	return f.Author
}

type nameClass uint8

const (
	nameOther nameClass = iota
	nameFrom
	nameMalformed
)

// fromName reports whether name names the From field. White space after the name
// is allowed (RFC 5322 section 4.5). A name that only readers that drop unprintable
// octets regard as From is malformed.
func fromName(name string) nameClass {
	switch {
	case !Named(name, "from"):
		return nameOther
	case Field{Name: name}.Is("from"):
		return nameFrom
	}
	return nameMalformed
}

// IsFrom reports whether the field is a From field, at least to some readers.
// [Header.Author] reads exactly these fields.
func (f Field) IsFrom() bool { return Named(f.Name, "from") }

// authorFinder fills an Author.
type authorFinder struct {
	Author
	// tried maps each text tried as a domain to whether it is one.
	tried    map[string]bool
	readings int
	// found is set by a domain in the current field.
	found bool
	// last is the last From field. addressed is set if any of them has a sign of an
	// address with a domain.
	last      string
	addressed bool
}

// addField adds the contents of one From field.
func (f *authorFinder) addField(field Field) {
	f.found, f.last = false, field.Raw
	f.addressed = f.addressed || addressed(field.Raw)
	addresses := f.addAddresses(field.Raw)
	if field.longLine() {
		f.note(ErrFromLine)
		f.scanBroken(breakLines(field))
	}
	if strings.Contains(field.Raw, "\x00") {
		f.note(ErrFromNUL)
	}
	if splits(field.Raw) && signs(field.Raw) > addresses {
		f.note(ErrFromWord)
		f.scan(field.Raw)
	}
	if !f.found && !errors.Is(f.Err, ErrFromGroup) {
		f.note(ErrNoDomain)
	}
}

// addAddresses adds the contents of raw, and returns how many addresses it could
// parse.
func (f *authorFinder) addAddresses(raw string) int {
	p := addressParser{text: raw}
	if err := p.parse(); err != nil {
		f.note(fmt.Errorf("%w: %w", ErrFromSyntax, err))
		f.scan(raw)
		return 0
	}
	if len(p.mailboxes) == 0 {
		f.note(ErrFromGroup)
	}
	f.Mailboxes = append(f.Mailboxes, p.mailboxes[:min(len(p.mailboxes), MaxMailboxes-len(f.Mailboxes))]...)
	literal := false
	for _, m := range p.mailboxes {
		switch {
		case f.try(m.Domain):
		case m.Domain[0] == '[':
			literal = true
		default:
			p.odd = true
		}
	}
	if p.odd {
		f.note(ErrFromAmbiguous)
	}
	if p.odd || literal {
		f.scan(raw)
	}
	return len(p.mailboxes)
}

// Sendmail rewrites From after its milters have seen it. It puts a comma after a
// word of more than 255 octets, quoted or not, and turns the parts of a long
// display name into addresses.
const (
	maxWord = 250
	maxName = 900
)

// splits reports whether text has a word or a display name so long that an MTA may
// split it.
func splits(text string) bool {
	word, name, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
			word, name = word+1, name+1 // the quoted octet is counted below
		case c == '"':
			quoted = !quoted
		case quoted:
		case isWSP(c) || c == '\r' || c == '\n':
			word = -1
		case c == '<' || c == ',' || c == ';':
			word, name = -1, -1
		}
		word, name = word+1, name+1
		if word > maxWord || name > maxName {
			return true
		}
	}
	return false
}

// signs counts the characters in text that separate a local part from a domain,
// in current or old forms, or may encode such a character.
func signs(text string) int {
	n := strings.Count(text, "=?") + strings.Count(text, "%") + strings.Count(text, "!")
	for _, sign := range atSigns {
		n += strings.Count(text, string(sign))
	}
	return n
}

// breakLines returns the value of field as MTAs pass it on: with a fold in each
// line that is too long, after as many octets as a line may have.
func breakLines(field Field) string {
	var b strings.Builder
	room := max(MaxLine-len(field.Name)-len(":"), 0)
	for line := range strings.SplitAfterSeq(field.Raw, "\r\n") {
		for len(strings.TrimSuffix(line, "\r\n")) > room {
			b.WriteString(line[:room])
			b.WriteString("\r\n ")
			line, room = line[room:], MaxLine
		}
		b.WriteString(line)
		room = MaxLine
	}
	return b.String()
}

// full reports whether a bound has been reached.
func (f *authorFinder) full() bool {
	return len(f.tried) >= maxCandidates || f.readings >= maxReadings
}

// try adds name to the domains if it is one, and reports whether it is. Once a
// bound has been reached, it adds nothing.
func (f *authorFinder) try(name string) bool {
	valid, known := f.tried[name]
	if known {
		f.found = f.found || valid
		return valid
	}
	if f.full() {
		f.note(ErrAuthorBounds)
		return true
	}
	if f.tried == nil {
		f.tried = make(map[string]bool)
	}
	ascii, err := domain.OfAddress(name)
	f.tried[name] = err == nil
	if err != nil {
		return false
	}
	f.found = true
	switch {
	case slices.Contains(f.Domains, ascii):
	case len(f.Domains) == maxAuthorDomains:
		f.note(ErrAuthorBounds)
	default:
		f.Domains = append(f.Domains, ascii)
	}
	return true
}

// note adds err to Err, unless it says nothing new. With at most one error of each
// kind, the text stays short for any message.
func (f *authorFinder) note(err error) {
	switch {
	case f.Err == nil:
		f.Err = err
	case errors.Is(err, ErrFromSyntax) && errors.Is(f.Err, ErrFromSyntax):
	case !errors.Is(f.Err, err):
		f.Err = fmt.Errorf("%w, %w", f.Err, err)
	}
}
