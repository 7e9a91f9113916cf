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
	// ErrAddress is returned for text that is not an address list. It is wrapped
	// in an error that says what is wrong.
	ErrAddress = errors.New("malformed address")
	// ErrAddressBounds is returned for a list that exceeds [MaxAddressList] or
	// [MaxMailboxes].
	ErrAddressBounds = errors.New("address list too long")
)

// Mailbox is one mailbox in an address list. Its strings are as written, but
// without quoting, comments and folds. They contain no CR, LF or NUL.
type Mailbox struct {
	// Name is the display name, with encoded words (RFC 2047) still encoded; "" if
	// there is none.
	Name string
	// Local is the local part.
	Local string
	// Domain is the domain, or a domain literal with its brackets. It may not be
	// a valid domain name: see [authmilter/verify/domain.ToASCII].
	Domain string
}

// String returns the mailbox as written in an address list, quoted if necessary.
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

// writeWord writes s as it is if it consists of atoms with a separator between
// them, otherwise as a quoted string.
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

// ParseAddressList returns the mailboxes in raw, the value of a field that holds an
// address-list, with folds and comments. It accepts the current and obsolete forms
// (RFC 5322 sections 3.4 and 4.4) with UTF-8 (RFC 6532 section 3.2). Groups
// (RFC 6854) are replaced by their members, so the result is empty if all groups
// are empty and there is nothing else.
//
// Non-ASCII octets are accepted whether they are valid UTF-8 or not. The time is
// linear in the length of raw. Errors wrap [ErrAddress] or [ErrAddressBounds], and
// come without mailboxes.
func ParseAddressList(raw string) ([]Mailbox, error) {
	p := addressParser{text: raw}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return p.mailboxes, nil
}
