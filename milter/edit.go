package milter

import (
	"errors"
	"slices"
	"strings"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/message"
)

// resultsName is the name of the field that holds results.
const resultsName = string(policy.ResultsField)

// errInternal is the reason in the results of a message that met a bug of ours.
var errInternal = errors.New("internal error")

// removals are the fields of an incoming message that claim to be ours.
type removals struct {
	fields policy.OwnFields
	// seen counts the fields of the message.
	seen int
	// numbers counts our fields by kind. MTAs number the fields of one name
	// from 1, ignoring case.
	numbers map[policy.OwnField]int
	// forged are the fields to remove, in the order of the message.
	forged []removal
	// stuck is set if there is a field to remove that MTAs do not number with the
	// others, because only some readers regard its name as the same. Neither
	// Postfix nor Sendmail passes such a field to a milter: they end the header
	// there, or repair the name first.
	stuck bool
}

// removal is one field to remove.
type removal struct {
	at     int // its place among all fields of the message, from 0
	kind   policy.OwnField
	number int // among the fields of its name, from 1
	// value is what an Authentication-Results field says, "" if it counts as forged
	// whatever it says.
	value string
}

// Bounds of the fields that may count as harmless: how many of one message, and the
// length of each in octets.
const (
	maxHarmless       = 20
	maxHarmlessLength = 4096
)

// see notes a field. It is called for every field of a message, even past the
// bounds for verification, so that no header is too large to remove forged fields.
func (r *removals) see(name, value string) {
	at := r.seen
	r.seen++
	kind := r.fields.Kind(name)
	switch {
	case kind == policy.NoOwnField:
		return
	case !strings.EqualFold(strings.TrimRight(name, " \t"), r.fields.Name(kind)):
		// As below: forged until proved otherwise.
		before := r.stuck
		r.stuck = true
		r.stuck = before || r.fields.Forged(kind, name, value)
		return
	}
	if r.numbers == nil {
		r.numbers = map[policy.OwnField]int{}
	}
	r.numbers[kind]++
	// Treated as forged until proved otherwise, so that a panic while reading the
	// field does not let it through.
	last := len(r.forged)
	r.forged = append(r.forged, removal{at: at, kind: kind, number: r.numbers[kind]})
	switch {
	case !r.fields.Forged(kind, name, value):
		r.forged = r.forged[:last]
	case kind == policy.ResultsField && last < maxHarmless && len(value) <= maxHarmlessLength:
		r.forged[last].value = value
	}
}

// keep spares the fields for which ours reports that they are not forged. It reports
// whether there was one.
func (r *removals) keep(ours func(removal) bool) bool {
	before := len(r.forged)
	r.forged = slices.DeleteFunc(r.forged, ours)
	return len(r.forged) < before
}

// refusal returns why the message must be refused because forged fields would stay in
// it; limit is the greatest number of them that MTAs are asked to remove.
func (r *removals) refusal(limit int) policy.Refusal {
	switch {
	case r.stuck:
		return policy.OddFieldName
	case len(r.forged) > limit:
		return policy.TooManyForged
	}
	return policy.NotRefused
}

// remove removes the forged fields. After a removal Postfix renumbers the fields
// that follow and Sendmail does not, and both count an inserted field. Removing
// from last to first, and only then inserting at the top, is right with both.
func (r *removals) remove(m gomilter.Modifier) error {
	for _, f := range slices.Backward(r.forged) {
		if err := m.ChangeHeader(f.number, r.fields.Name(f.kind), ""); err != nil {
			return err
		}
	}
	return nil
}

// harmless returns how many of the fields are harmless, given the result of the message,
// nil if it was not verified.
func (r *removals) harmless(result *verify.Result) (n int) {
	for _, f := range r.forged {
		if f.value != "" && policy.Harmless(f.value, result) {
			n++
		}
	}
	return n
}

// removed returns the number of fields by kind.
func (r *removals) removed() policy.Removed {
	if len(r.forged) == 0 {
		return nil
	}
	counts := policy.Removed{}
	for _, f := range r.forged {
		counts[f.kind]++
	}
	return counts
}

// insert inserts our fields, whose values begin with a space, each at the top of
// the message: the last one ends up highest.
func insert(m gomilter.Modifier, fields []message.Field) error {
	for _, f := range fields {
		value := f.Raw
		if m.Protocol()&gomilter.OptHeaderLeadingSpace == 0 {
			// An MTA that removes the space also adds it.
			value = strings.TrimPrefix(value, " ")
		}
		if err := m.InsertHeader(0, f.Name, value); err != nil {
			return err
		}
	}
	return nil
}
