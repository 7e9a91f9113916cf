package message

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"authmilter/verify/domain"
)

const (
	// maxAuthorDomains bounds the domains that an [Author] names.
	maxAuthorDomains = 100
	// maxCandidates bounds the texts that are tried as domains for an Author,
	// and maxReadings how often one is looked for behind an "@".
	maxCandidates = 1000
	maxReadings   = 10 * maxCandidates
)

// What can be wrong with the From fields of a message. An [Author] with one of
// these may name domains all the same.
var (
	// ErrNoFrom says that there is no From field.
	ErrNoFrom = errors.New("no From field")
	// ErrSeveralFrom says that there are several (RFC 5322 section 3.6 allows
	// one).
	ErrSeveralFrom = errors.New("several From fields")
	// ErrFromName says that the name of a From field holds octets that it must
	// not, which some readers overlook.
	ErrFromName = errors.New("malformed name of the From field")
	// ErrFromSyntax says that a From field could not be parsed. The error that
	// is joined to it wraps ErrAddress or ErrAddressBounds.
	ErrFromSyntax = errors.New("malformed From field")
	// ErrFromAmbiguous says that a From field is valid, but in an obsolete form
	// that readers take differently.
	ErrFromAmbiguous = errors.New("ambiguous From field")
	// ErrFromGroup says that a From field holds only groups without members.
	ErrFromGroup = errors.New("group without members in the From field")
	// ErrNoDomain says that a From field has no address, or that an author's
	// address has no domain name, but a literal, or what is not a domain name of
	// the form that [domain.OfAddress] wants.
	ErrNoDomain = errors.New("author address without a domain")
	// ErrFromLine says that a line of a From field is longer than
	// RFC 5322 section 2.1.1 allows. MTAs break it on the way on, so that what
	// people see is not what was judged.
	ErrFromLine = errors.New("line over 998 octets in the From field")
	// ErrFromNUL says that a From field holds a NUL octet. Some readers end the
	// line there and take the next one for a part of it.
	ErrFromNUL = errors.New("NUL in the From field")
	// ErrFromWord says that a From field has a word, or a display name, so long
	// that an MTA takes its parts for addresses of their own, and something in it
	// that can be shown as one.
	ErrFromWord = errors.New("long word beside an address in the From field")
	// ErrAuthorBounds says that the From fields hold more addresses than are
	// looked at: Domains is incomplete.
	ErrAuthorBounds = errors.New("too many author addresses")
)

// Author is whom a message says it is from.
type Author struct {
	// Domains are the distinct Author Domains (RFC 9989 section 3.2.2) in order
	// of appearance, as [domain.OfAddress] returns them, 100 at most. If a From
	// field is malformed or ambiguous, they are all domains that some reader
	// could take for the author's, so that no such message escapes its policy
	// (RFC 9989 section 11.5). They need not be all authors: see
	// [Author.Unjudged].
	Domains []string
	// Mailboxes are those of the From fields that could be parsed, at most
	// MaxMailboxes.
	Mailboxes []Mailbox
	// Fields is the number of From fields.
	Fields int
	// Err is all that is wrong, nil for what RFC 5322 section 3.6.2 and
	// RFC 6854 allow. Several authors are not an error.
	Err error
}

// Unjudged reports whether there is, or may be, an author whom Domains leaves
// out, so that no judgement of Domains alone holds for the message. Err says
// why.
func (a *Author) Unjudged() bool {
	for _, err := range []error{ErrNoFrom, ErrFromGroup, ErrNoDomain, ErrFromLine, ErrFromNUL, ErrFromWord, ErrAuthorBounds} {
		if errors.Is(a.Err, err) {
			return true
		}
	}
	return false
}

// Author returns the author of the message: the contents of all its From
// fields. It takes time linear in them.
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
	return f.Author
}

type nameClass uint8

const (
	nameOther nameClass = iota
	nameFrom
	nameMalformed
)

// fromName reports whether name is that of the From field: exactly, or with white
// space behind it (RFC 5322 section 4.5), or only to readers that drop what is
// not printable, which makes it malformed.
func fromName(name string) nameClass {
	switch {
	case !Named(name, "from"):
		return nameOther
	case Field{Name: name}.Is("from"):
		return nameFrom
	}
	return nameMalformed
}

// IsFrom reports whether the field is a From field, or one to some readers: one
// that [Header.Author] reads.
func (f Field) IsFrom() bool { return Named(f.Name, "from") }

// authorFinder fills an Author.
type authorFinder struct {
	Author
	// tried are the texts tried as domains, and whether they are.
	tried    map[string]bool
	readings int
	// found is set by a domain in the field that is being looked at.
	found bool
}

// addField adds what one From field holds.
func (f *authorFinder) addField(field Field) {
	f.found = false
	addresses := f.addAddresses(field.Raw)
	if broken := breakLines(field); broken != field.Raw {
		f.note(ErrFromLine)
		f.scanBroken(broken)
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

// addAddresses adds what raw holds, and returns how many addresses it could parse.
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

// Sendmail writes From anew after its milters have seen it. It puts a comma behind
// a word, in quotes or not, of more than 255 octets, and makes addresses of the
// parts of a long display name.
const (
	maxWord = 250
	maxName = 900
)

// splits reports whether text has a word or a display name that an MTA may take
// for several.
func splits(text string) bool {
	word, name, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
			word, name = word+1, name+1 // and the one that is quoted, below
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

// signs returns how often text has a character that separates a local part from
// a domain, now or of old, or may stand for one.
func signs(text string) int {
	n := strings.Count(text, "=?") + strings.Count(text, "%") + strings.Count(text, "!")
	for _, sign := range atSigns {
		n += strings.Count(text, string(sign))
	}
	return n
}

// maxLine is the longest line of a header in octets, without its CRLF
// (RFC 5322 section 2.1.1).
const maxLine = 998

// breakLines returns the contents of field as MTAs make of it what goes on: with
// a fold in each line that is too long, after as many octets as a line may have.
func breakLines(field Field) string {
	var b strings.Builder
	room := max(maxLine-len(field.Name)-len(":"), 0)
	for line := range strings.SplitAfterSeq(field.Raw, "\r\n") {
		for len(strings.TrimSuffix(line, "\r\n")) > room {
			b.WriteString(line[:room])
			b.WriteString("\r\n ")
			line, room = line[room:], maxLine
		}
		b.WriteString(line)
		room = maxLine
	}
	return b.String()
}

// full reports whether as much has been tried as may be.
func (f *authorFinder) full() bool {
	return len(f.tried) >= maxCandidates || f.readings >= maxReadings
}

// try adds name to the domains if it is one, and reports whether it is. Past the
// bound it adds nothing.
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

// note adds err to what is wrong, unless it says nothing new. With at most one
// of each kind, the text stays short whatever the message.
func (f *authorFinder) note(err error) {
	switch {
	case f.Err == nil:
		f.Err = err
	case errors.Is(err, ErrFromSyntax) && errors.Is(f.Err, ErrFromSyntax):
	case !errors.Is(f.Err, err):
		f.Err = fmt.Errorf("%w, %w", f.Err, err)
	}
}
