package message

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"authmilter/verify/domain"
)

const (
	// maxAuthorDomains bounds the domains that an [Author] names.
	maxAuthorDomains = 100
	// maxCandidates bounds the texts that are tried as domains for an Author.
	maxCandidates = 1000
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
	// ErrNoDomain says that an author's address has no domain name, but a
	// literal, or what is not a domain name, or that there is no address.
	ErrNoDomain = errors.New("author address without a domain")
	// ErrAuthorBounds says that the From fields hold more addresses than are
	// looked at: Domains is incomplete.
	ErrAuthorBounds = errors.New("too many author addresses")
)

// Author is whom a message says it is from.
type Author struct {
	// Domains are the distinct Author Domains (RFC 9989 section 3.2.2) in order
	// of appearance, as [domain.ToASCII] returns them, 100 at most. Where a
	// From field is malformed or ambiguous, they are all domains that some
	// reader could take for the author's, so that no such message escapes its
	// policy (RFC 9989 section 11.5).
	Domains []string
	// Mailboxes are those of the From fields that could be parsed, at most
	// MaxMailboxes.
	Mailboxes []Mailbox
	// Fields is the number of From fields.
	Fields int
	// Err is all that is wrong, nil for what RFC 5322 section 3.6.2 and RFC
	// 6854 allow. Several authors are not an error.
	Err error
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
		f.addField(h[i].Raw)
	}
	switch f.Fields {
	case 0:
		f.note(ErrNoFrom)
	case 1:
	default:
		f.note(ErrSeveralFrom)
	}
	if f.Fields > 0 && len(f.Domains) == 0 && !errors.Is(f.Err, ErrFromGroup) {
		f.note(ErrNoDomain)
	}
	return f.Author
}

type nameClass uint8

const (
	nameOther nameClass = iota
	nameFrom
	nameMalformed
)

// fromName tells whether name is that of the From field: exactly, or with white
// space behind it (RFC 5322 section 4.5), or only to readers that drop what is
// not printable, which makes it malformed.
func fromName(name string) nameClass {
	const from = "from"
	name = strings.TrimRight(name, " \t")
	class, at := nameFrom, 0
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c <= ' ' || c >= 0x7f:
			class = nameMalformed
		case at < len(from) && lower(c) == from[at]:
			at++
		default:
			return nameOther
		}
	}
	if at < len(from) {
		return nameOther
	}
	return class
}

// authorFinder fills an Author.
type authorFinder struct {
	Author
	// tried counts the texts tried as domains.
	tried int
}

// addField adds what one From field holds.
func (f *authorFinder) addField(raw string) {
	p := addressParser{text: raw}
	if err := p.parse(); err != nil {
		f.note(fmt.Errorf("%w: %w", ErrFromSyntax, err))
		f.scan(raw)
		return
	}
	if len(p.mailboxes) == 0 {
		f.note(ErrFromGroup)
	}
	f.Mailboxes = append(f.Mailboxes, p.mailboxes[:min(len(p.mailboxes), MaxMailboxes-len(f.Mailboxes))]...)
	for _, m := range p.mailboxes {
		if !f.try(m.Domain) {
			f.note(ErrNoDomain)
			p.odd = p.odd || m.Domain[0] != '['
		}
	}
	if p.odd {
		f.note(ErrFromAmbiguous)
		f.scan(raw)
	}
}

// try adds name to the domains if it is one, and tells whether it is. Past the
// bound it adds nothing.
func (f *authorFinder) try(name string) bool {
	if f.tried == maxCandidates {
		f.note(ErrAuthorBounds)
		return true
	}
	f.tried++
	// What is not UTF-8 is no U-label (RFC 6532 section 3.1), whatever its octets
	// may be mapped to.
	if !utf8.ValidString(name) {
		return false
	}
	name, err := domain.ToASCII(name)
	if err != nil {
		return false
	}
	switch {
	case slices.Contains(f.Domains, name):
	case len(f.Domains) == maxAuthorDomains:
		f.note(ErrAuthorBounds)
	default:
		f.Domains = append(f.Domains, name)
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
