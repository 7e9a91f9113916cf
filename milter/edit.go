package milter

import (
	"errors"
	"slices"
	"strings"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify/message"
)

// resultsName is the field that we remove and insert.
const resultsName = string(policy.ResultsField)

// errInternal is the reason of the results of a message that a fault of ours
// met.
var errInternal = errors.New("internal error")

// errNotRemoved says that a field that claims to be ours has a name by which no
// MTA can be asked to remove it.
var errNotRemoved = errors.New("malformed name of a header field")

// removals are the fields of an incoming message that claim to be ours.
type removals struct {
	fields policy.OwnFields
	// seen counts the fields of the message.
	seen int
	// numbers counts our fields by kind. MTAs number the fields of one name
	// from 1, whatever its case.
	numbers map[policy.OwnField]int
	// forged are those to remove, in their order in the message.
	forged []removal
	// stuck says that there is one to remove that MTAs do not number with the
	// others, because its name is only to some readers the same. Neither Postfix
	// nor Sendmail shows such a field: they end the header there, or mend the
	// name before.
	stuck bool
}

// removal is one field to remove.
type removal struct {
	at     int // its place among all fields of the message, from 0
	kind   policy.OwnField
	number int // among the fields of its name, from 1
}

// see takes note of a field. It is called for each one of a message, also beyond
// the bounds of what is verified, so that no size makes a forged field pass.
func (r *removals) see(name, value string) {
	at := r.seen
	r.seen++
	kind := r.fields.Kind(name)
	switch {
	case kind == policy.NoOwnField:
		return
	case !strings.EqualFold(strings.TrimRight(name, " \t"), r.fields.Name(kind)):
		// As below: forged until it is known that it is not.
		before := r.stuck
		r.stuck = true
		r.stuck = before || r.fields.Forged(kind, name, value)
		return
	}
	if r.numbers == nil {
		r.numbers = map[policy.OwnField]int{}
	}
	r.numbers[kind]++
	// Taken for forged until it is known that it is not: so a fault of ours in
	// reading the field lets none through.
	r.forged = append(r.forged, removal{at, kind, r.numbers[kind]})
	if !r.fields.Forged(kind, name, value) {
		r.forged = r.forged[:len(r.forged)-1]
	}
}

// keep spares the fields that are ours indeed, as a function says of their places
// in the message.
func (r *removals) keep(ours func(at int) bool) {
	r.forged = slices.DeleteFunc(r.forged, func(f removal) bool { return ours(f.at) })
}

// remove removes the forged fields. Postfix counts on after a removal and
// Sendmail does not, and both count an inserted field: removing from the last to
// the first, and inserting after that at the top, is right with both.
func (r *removals) remove(m gomilter.Modifier) error {
	for _, f := range slices.Backward(r.forged) {
		if err := m.ChangeHeader(f.number, r.fields.Name(f.kind), ""); err != nil {
			return err
		}
	}
	return nil
}

// removed counts the forged fields.
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

// insert inserts fields of ours, whose values begin with a space, each on top of
// the message: the last one comes to stand highest.
func insert(m gomilter.Modifier, fields []message.Field) error {
	for _, f := range fields {
		value := f.Raw
		if m.Protocol()&gomilter.OptHeaderLeadingSpace == 0 {
			// The MTA that eats the space adds it too.
			value = strings.TrimPrefix(value, " ")
		}
		if err := m.InsertHeader(0, f.Name, value); err != nil {
			return err
		}
	}
	return nil
}
