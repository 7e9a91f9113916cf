package policy

import (
	"slices"

	"authmilter/verify/authres"
	"authmilter/verify/message"
)

// OwnField is a kind of header field that only we may add to a message, because
// readers downstream trust it.
type OwnField string

// The kinds of fields.
const (
	NoOwnField       OwnField = ""
	ResultsField     OwnField = "Authentication-Results"
	ReceivedSPFField OwnField = "Received-SPF"
	QuarantineField  OwnField = "quarantine" // its name is configurable
)

// OwnFieldKinds returns every OwnField except NoOwnField.
func OwnFieldKinds() []OwnField { return []OwnField{ResultsField, ReceivedSPFField, QuarantineField} }

// OwnFields determines which fields of incoming messages are forged.
type OwnFields struct {
	Claimant *authres.Claimant
	// Quarantine is the name of the field that quarantines a message, which nobody
	// else may add; "" if there is none.
	Quarantine string
	// ReceivedSPF reports that we add Received-SPF, and that others may do so only
	// in their own name.
	ReceivedSPF bool
}

// OfOwnMail returns the fields that are forged even in mail from our own users and
// hosts. We may have added the others ourselves, before a content filter handed
// the message back.
func (o OwnFields) OfOwnMail() OwnFields { return OwnFields{Claimant: o.Claimant} }

// Kind returns the kind of a field by its name, as lenient readers understand it.
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

// maxOddName is the length in octets above which a misspelled name of our fields
// counts as forged. A longer name can change where a later MTA breaks the line.
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

// OfRelay reports whether a field that claims to be ours, and that a relay of ours
// added, may stay, and returns the results in it. Authentication-Results must have
// exactly one of our names. Results beside text that cannot be read are not
// returned, because [SameResults] would not know the field again; nor are those with
// a word that would not fit on a line, because an MTA would break our seal with it.
func (o *OwnFields) OfRelay(kind OwnField, value string) (results []authres.Method, ok bool) {
	if kind != ResultsField {
		return nil, true
	}
	r, err := authres.Parse(value)
	if err != nil || !o.Claimant.Owns(r.AuthservID) {
		return nil, false
	}
	if len(r.Skipped) > 0 || slices.ContainsFunc(r.Methods, isLong) {
		return nil, true
	}
	return r.Methods, true
}

// maxWord is the maximum length of a method with its result, and of the name of a
// property, in octets. Values are cut when they are written.
const maxWord = 256

func isLong(m authres.Method) bool {
	return len(m.Name)+len(m.Result) > maxWord ||
		slices.ContainsFunc(m.Props, func(p authres.Prop) bool { return len(p.Type)+len(p.Name) > maxWord })
}

// Removed counts the fields of each kind that were deleted from a message because they
// claimed to be ours.
type Removed map[OwnField]int

// Total returns the number of fields of all kinds.
func (r Removed) Total() int {
	total := 0
	for _, n := range r {
		total += n
	}
	return total
}
