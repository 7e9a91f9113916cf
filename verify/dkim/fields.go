package dkim

import (
	"slices"
	"strings"

	"authmilter/verify/message"
)

// Role is the capacity in which we sign a message. It decides what the signature
// covers.
type Role uint8

const (
	// Author signs our own mail. It is complete: nobody has a reason to add fields
	// that mail readers show or that change how they read the body. Names in h= are
	// in lower case.
	Author Role = iota
	// Intermediary signs mail in transit, in a set of an ARC chain. The mail was
	// written elsewhere, and later hops may add to it, so fewer absent fields are
	// signed. DKIM signatures are signed too (RFC 8617 section 4.1.2).
	Intermediary

	roles = iota
)

// cover is how often a name is listed in h=.
type cover uint8

const (
	// never: the field is not signed.
	never cover = iota
	// always lists a field once more than it occurs, even if it is absent, so that
	// none can be added (RFC 6376 section 8.15).
	always
	// once lists a field once more than it occurs, unless it is absent
	// (RFC 6376 section 5.4).
	once
	// present lists a field as often as it occurs.
	present
)

// signedField is a field to sign.
type signedField struct {
	name  string
	lower string // name in lower case
	cover [roles]cover
}

// signedFields are the fields to sign: the ones that RFC 6376 section 5.4.1 names,
// the MIME fields and Sender (section 5.4), and Message-ID. The list omits fields
// that are added, changed or removed in transit (section 5.4: Return-Path, Received,
// Comments, Keywords), Bcc, Authentication-Results, and the fields of an ARC chain,
// which RFC 8617 section 4.1.2 forbids signing.
var signedFields = withLower([]signedField{
	// Mail readers show these: adding one would make it a different message.
	{name: "From", cover: [roles]cover{always, always}},
	{name: "To", cover: [roles]cover{always, always}},
	{name: "Cc", cover: [roles]cover{always, present}},
	{name: "Subject", cover: [roles]cover{always, always}},
	// An MTA adds these if they are missing (RFC 6409 section 8), possibly after
	// milters have seen the message.
	{name: "Date", cover: [roles]cover{once, once}},
	{name: "Message-ID", cover: [roles]cover{once, once}},
	// Mailing lists add these.
	{name: "Reply-To", cover: [roles]cover{present, present}},
	{name: "Sender", cover: [roles]cover{present, present}},
	{name: "In-Reply-To", cover: [roles]cover{present, present}},
	{name: "References", cover: [roles]cover{present, present}},
	// These decide how mail readers read the body.
	{name: "MIME-Version", cover: [roles]cover{always, present}},
	{name: "Content-Type", cover: [roles]cover{always, present}},
	{name: "Content-Transfer-Encoding", cover: [roles]cover{always, present}},
	// Resenders and mailing lists add these.
	{name: "Resent-Date", cover: [roles]cover{present, present}},
	{name: "Resent-From", cover: [roles]cover{present, present}},
	{name: "Resent-Sender", cover: [roles]cover{present, present}},
	{name: "Resent-To", cover: [roles]cover{present, present}},
	{name: "Resent-Cc", cover: [roles]cover{present, present}},
	{name: "Resent-Message-ID", cover: [roles]cover{present, present}},
	{name: "List-Id", cover: [roles]cover{present, present}},
	{name: "List-Help", cover: [roles]cover{present, present}},
	{name: "List-Unsubscribe", cover: [roles]cover{present, present}},
	{name: "List-Unsubscribe-Post", cover: [roles]cover{present, present}}, // RFC 8058 section 4 requires signing it
	{name: "List-Subscribe", cover: [roles]cover{present, present}},
	{name: "List-Post", cover: [roles]cover{present, present}},
	{name: "List-Owner", cover: [roles]cover{present, present}},
	{name: "List-Archive", cover: [roles]cover{present, present}},
	{name: "DKIM-Signature", cover: [roles]cover{never, present}},
})

func withLower(fields []signedField) []signedField {
	for i := range fields {
		fields[i].lower = strings.ToLower(fields[i].name)
	}
	return fields
}

// SignedNames returns the names of the fields that a signature in role r covers if
// they are present.
func (r Role) SignedNames() []string {
	var names []string
	for i := range signedFields {
		if signedFields[i].cover[r] != never {
			names = append(names, signedFields[i].in(r))
		}
	}
	return names
}

func (f *signedField) in(r Role) string {
	if r == Author {
		return f.lower
	}
	return f.name
}

// HeaderNames returns the names in the h= tag of a signature in role r: first the
// fields that are signed even if absent, then the ones that are signed once more
// than they occur, then the rest. If a field occurs more than most times, only most
// of them are signed; ok is false if that would leave the field open to additions
// that the signature is meant to prevent.
func (r Role) HeaderNames(index *message.Index, most int) (names []string, ok bool) {
	var counts [64]int // more than there are fields to sign
	total := 0
	for i := range signedFields {
		f := &signedFields[i]
		if f.cover[r] == never {
			continue
		}
		n := index.Count(f.lower)
		switch {
		case f.cover[r] == present:
			n = min(n, most)
		case n > most:
			return nil, false
		case n > 0 || f.cover[r] == always:
			n++
		}
		counts[i] = n
		total += n
	}
	names = make([]string, 0, total)
	for _, c := range [...]cover{always, once, present} {
		for i := range signedFields {
			if f := &signedFields[i]; f.cover[r] == c {
				for range counts[i] {
					names = append(names, f.in(r))
				}
			}
		}
	}
	return names, true
}

// singular are the fields that may occur at most once (RFC 5322 section 3.6; for
// MIME fields, RFC 2045 section 3) and that decide what a mail reader shows or
// replies to. If a second one is added above the signed one, most readers use it.
var singular = []string{
	"from", "subject", "reply-to", "to", "cc", "date", "sender", "message-id",
	"content-type", "content-transfer-encoding", "mime-version",
}

// singularInChain is singular for an ARC-Message-Signature, without MIME-Version:
// intermediaries add a second one, it changes nothing for a reader, and the
// validation suite for RFC 8617 expects such chains to pass.
var singularInChain = slices.DeleteFunc(slices.Clone(singular), func(name string) bool { return name == "mime-version" })

// unsignedDuplicate returns the first of names, which are in lower case, that
// occurs more often than s signs it, provided that s signs it at all, or ""
// (RFC 6376 section 8.15).
func (s *Signature) unsignedDuplicate(names []string, index *message.Index) string {
	for _, name := range names {
		signed := 0
		for _, f := range s.Fields {
			if strings.EqualFold(f, name) {
				signed++
			}
		}
		if signed > 0 && index.Count(name) > signed {
			return name
		}
	}
	return ""
}
