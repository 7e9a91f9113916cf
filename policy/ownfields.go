package policy

import (
	"authmilter/verify/authres"
	"authmilter/verify/message"
)

// OwnField is a kind of header field that only we may add to a message: readers
// behind us believe it.
type OwnField string

// The kinds of fields.
const (
	NoOwnField       OwnField = ""
	ResultsField     OwnField = "Authentication-Results"
	ReceivedSPFField OwnField = "Received-SPF"
	QuarantineField  OwnField = "quarantine" // whatever its name is
)

// OwnFieldKinds returns every OwnField but NoOwnField.
func OwnFieldKinds() []OwnField { return []OwnField{ResultsField, ReceivedSPFField, QuarantineField} }

// OwnFields says which fields of incoming messages are forged.
type OwnFields struct {
	Claimant *authres.Claimant
	// Quarantine is the name of the field that marks a message to be quarantined:
	// nobody else may add one. "" stands for none.
	Quarantine string
	// ReceivedSPF says that we add Received-SPF, and others only in their own
	// names.
	ReceivedSPF bool
}

// OfOwnMail returns the fields that are forged even in mail of our own users and
// hosts. The others may have been added by us before a content filter handed the
// message back.
func (o OwnFields) OfOwnMail() OwnFields { return OwnFields{Claimant: o.Claimant} }

// Kind returns which of our fields some reader takes a field for by its name.
func (o *OwnFields) Kind(name string) OwnField {
	switch {
	case message.Named(name, string(ResultsField)):
		return ResultsField
	case o.Quarantine != "" && message.Named(name, o.Quarantine):
		return QuarantineField
	case o.ReceivedSPF && message.Named(name, string(ReceivedSPFField)):
		return ReceivedSPFField
	}
	return NoOwnField
}

// Name returns the name under which we add a field of the given kind.
func (o *OwnFields) Name(kind OwnField) string {
	if kind == QuarantineField {
		return o.Quarantine
	}
	return string(kind)
}

// maxOddName bounds a name that is not written as it should be, in octets. A
// longer one moves the place where an MTA on the way on breaks the line.
const maxOddName = 64

// Forged reports whether a field of the given kind claims to be ours.
func (o *OwnFields) Forged(kind OwnField, name, value string) bool {
	if len(name) > maxOddName && kind != NoOwnField {
		return true
	}
	switch kind {
	case ResultsField:
		return o.Claimant.Claims(value)
	case ReceivedSPFField:
		return o.Claimant.ClaimsSPF(value)
	case QuarantineField:
		return true
	}
	return false
}

// Removed counts the forged fields of each kind that were deleted from a message.
type Removed map[OwnField]int

// Total returns how many there are of all kinds.
func (r Removed) Total() int {
	total := 0
	for _, n := range r {
		total += n
	}
	return total
}
