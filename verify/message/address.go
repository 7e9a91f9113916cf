package message

import (
	"errors"
	"strings"
)

// Bounds of an address list.
const (
	// MaxAddressList is the longest list that is parsed, in octets.
	MaxAddressList = 64 << 10
	// MaxMailboxes is the greatest number of mailboxes in a list.
	MaxMailboxes = 100

	maxCommentDepth = 64
)

var (
	// ErrAddress is returned for text that is not an address list. The error
	// that wraps it says what is wrong.
	ErrAddress = errors.New("malformed address")
	// ErrAddressBounds is returned for a list over [MaxAddressList] or
	// [MaxMailboxes].
	ErrAddressBounds = errors.New("address list too long")
)

// Mailbox is one mailbox of an address list. Its strings are as they were
// written, without quoting, comments and folds, and hold no CR, LF or NUL.
type Mailbox struct {
	// Name is the display name, encoded words (RFC 2047) left encoded; "" where
	// there is none.
	Name string
	// Local is the local part.
	Local string
	// Domain is the domain, or a domain literal with its brackets. It need not
	// be the name of a host: see [authmilter/verify/domain.ToASCII].
	Domain string
}

// String returns the mailbox in the form of an address list, quoted where
// needed.
func (m Mailbox) String() string {
	var b strings.Builder
	if m.Name != "" {
		writeWord(&b, m.Name, " ")
		b.WriteString(" <")
	}
	writeWord(&b, m.Local, ".")
	b.WriteByte('@')
	b.WriteString(m.Domain)
	if m.Name != "" {
		b.WriteByte('>')
	}
	return b.String()
}

// writeWord writes s as atoms with a separator between them, or as a quoted
// string where it is something else.
func writeWord(b *strings.Builder, s, separator string) {
	plain := true
	for atom := range strings.SplitSeq(s, separator) {
		plain = plain && atomLength(atom) == len(atom) && atom != ""
	}
	if plain {
		b.WriteString(s)
		return
	}
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
}

// ParseAddressList returns the mailboxes of raw, an address-list of
// RFC 5322 section 3.4 in its current and obsolete forms (section 4.4), with
// UTF-8 (RFC 6532 section 3.2), as a field holds it: with folds and comments.
// Groups (RFC 6854) are replaced by their members, so that the result is empty
// where there are but empty groups.
//
// Octets beyond ASCII are taken as they come, valid UTF-8 or not. The time is
// linear in raw. Errors wrap [ErrAddress] or [ErrAddressBounds]; no mailboxes
// are returned with them.
func ParseAddressList(raw string) ([]Mailbox, error) {
	p := addressParser{text: raw}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return p.mailboxes, nil
}
