package milter

import (
	"errors"
	"slices"
	"strings"

	gomilter "github.com/d--j/go-milter"

	"authmilter/verify/authres"
	"authmilter/verify/message"
)

// resultsName is the field that we remove and insert.
const resultsName = "Authentication-Results"

// errInternal is the reason of the results of a message that a fault of ours
// met.
var errInternal = errors.New("internal error")

// resultFields are the Authentication-Results fields of an incoming message.
type resultFields struct {
	// count is how many there are. MTAs number the fields of one name from 1.
	count int
	// forged are the numbers of those that claim to be ours, rising.
	forged []int
}

func isResults(name string) bool {
	return strings.EqualFold(strings.TrimRight(name, " \t"), resultsName)
}

// see takes note of a field. It is called for each one of a message, also beyond
// the bounds of what is verified, so that no size makes a forged field pass.
func (f *resultFields) see(name, value string, c *authres.Claimant) {
	if !isResults(name) {
		return
	}
	f.count++
	// Taken for forged until it is known that it is not: so a fault of ours in
	// reading the field lets none through.
	f.forged = append(f.forged, f.count)
	if !c.Claims(value) {
		f.forged = f.forged[:len(f.forged)-1]
	}
}

// keep says that a field that claims to be ours is: that of the given number.
func (f *resultFields) keep(number int) {
	f.forged = slices.DeleteFunc(f.forged, func(n int) bool { return n == number })
}

// remove removes the forged fields. Postfix counts on after a removal and
// Sendmail does not, and both count an inserted field: removing from the last to
// the first, and inserting after that at the top, is right with both.
func (f *resultFields) remove(m gomilter.Modifier) error {
	for _, number := range slices.Backward(f.forged) {
		if err := m.ChangeHeader(number, resultsName, ""); err != nil {
			return err
		}
	}
	return nil
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
