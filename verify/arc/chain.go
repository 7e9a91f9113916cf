package arc

import (
	"fmt"
	"strconv"
	"strings"

	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/fault"
	"authmilter/verify/message"
)

// MaxSets is how many sets a chain may have (RFC 8617 section 4.2.1).
const MaxSets = 50

// kind is one of the three fields of a set.
type kind int

// The kinds, in the order in which a seal signs them (RFC 8617 section 5.1.1).
const (
	authResults kind = iota
	messageSignature
	seal

	kinds = iota
)

// fieldNames are the names of the fields of a set: in lower case for comparison,
// and in their usual spelling.
var fieldNames = [kinds]struct{ lower, title string }{
	authResults:      {"arc-authentication-results", "ARC-Authentication-Results"},
	messageSignature: {"arc-message-signature", "ARC-Message-Signature"},
	seal:             {"arc-seal", "ARC-Seal"},
}

// String returns the name of the field in its usual spelling.
func (k kind) String() string { return fieldNames[k].title }

// kindOf returns which field of a set f is. ok is false for any other field.
func kindOf(f message.Field) (k kind, ok bool) {
	for k := range fieldNames {
		if f.Is(fieldNames[k].lower) {
			return kind(k), true
		}
	}
	return 0, false
}

// Set is one ARC Set (RFC 8617 section 4.2).
type Set struct {
	Instance int
	// Results is what follows the instance in the ARC-Authentication-Results
	// field, for [authres.Parse].
	Results string
	// MessageSignature holds what could be parsed of the ARC-Message-Signature
	// field.
	MessageSignature *dkim.Signature
	// Seal is the ARC-Seal field.
	Seal *Seal

	// at holds the positions of the fields in the header.
	at [kinds]int
	// signatureErr is why MessageSignature cannot be verified.
	signatureErr error
}

// Seal is an ARC-Seal field (RFC 8617 section 4.1.3).
type Seal struct {
	*dkim.Signature
	// CV is the state of the chain before this set was added.
	CV Status
}

// Chain is the ARC chain of a message.
type Chain struct {
	// Sets are in the order of their instances. There are none if the chain is
	// malformed.
	Sets []Set
	// Highest is the highest instance of any ARC field.
	Highest int
	// Broken is set if the newest seal marks the chain as failed.
	Broken bool
}

// Newest returns the set that was added last, or nil.
func (c *Chain) Newest() *Set {
	if c == nil || len(c.Sets) == 0 {
		return nil
	}
	return &c.Sets[len(c.Sets)-1]
}

// fields holds the positions of the fields of one instance, and what was parsed from
// them to find the instance. The position of a missing field is -1.
type fields struct {
	at [kinds]int
	// results is what follows the instance in the ARC-Authentication-Results
	// field; tags are the tag lists of the other two.
	results string
	tags    [kinds]dkim.Tags
}

// collect finds the fields of each instance (RFC 8617 section 5.2 step 1), using the
// topmost of several. If there is no ARC field, as in most messages, the Chain and
// the sets are nil. The sets are allocated only when needed, because they are too
// large for the stack of the goroutine that reads every header. An error is an
// *[Error].
func collect(h message.Header) (c *Chain, sets *[MaxSets + 1]fields, failure error) {
	count := 0
	for i := range h {
		k, ok := kindOf(h[i])
		if !ok {
			continue
		}
		if c == nil {
			c, sets = &Chain{}, noFields()
		}
		if count++; count > 3*MaxSets {
			return c, sets, errTooMany
		}
		if err := c.place(sets, h[i], k, i); err != nil && failure == nil {
			failure = err
		}
	}
	if c == nil {
		return nil, nil, nil
	}
	// Step 2 comes before the structure is checked.
	if newest := &sets[c.Highest]; newest.tags[seal] != nil {
		cv, _ := newest.tags[seal].Get("cv")
		c.Broken = strings.EqualFold(cv, string(Fail))
	}
	return c, sets, failure
}

// noFields returns sets that have no fields yet.
func noFields() *[MaxSets + 1]fields {
	sets := new([MaxSets + 1]fields)
	for i := range sets {
		sets[i].at = [kinds]int{-1, -1, -1}
	}
	return sets
}

// readChain reads the chain of h, and returns nil if there is none. An error is an
// *[Error], and the Chain returned with it has no sets.
func readChain(h message.Header) (*Chain, error) {
	c, sets, failure := collect(h)
	switch {
	case c == nil:
		return nil, nil
	case c.Broken:
		return c, fault.New(Fail, ReasonBroken, fmt.Sprintf("the seal i=%d says that the chain has failed", c.Highest))
	case failure != nil:
		return c, failure
	}
	// RFC 8617 section 5.2 step 3: each set is complete, and instances start at 1
	// without a gap.
	for n := 1; n <= c.Highest; n++ {
		if k, missing := sets[n].missing(); missing {
			return c, structure("no %s i=%d", k, n)
		}
	}
	all := make([]Set, 0, c.Highest)
	for n := 1; n <= c.Highest; n++ {
		cv := Pass
		if n == 1 {
			cv = None
		}
		set, err := sets[n].read(h, n, cv)
		if err != nil {
			return c, err
		}
		all = append(all, set)
	}
	c.Sets = all
	return c, nil
}

var errTooMany = fault.New(Fail, ReasonTooMany, fmt.Sprintf("more than %d ARC sets", MaxSets))

func structure(format string, args ...any) *Error {
	return fault.New(Fail, ReasonStructure, fmt.Sprintf(format, args...))
}

// place finds the instance of the field f, which is at position at in the header,
// and records the field in its set.
func (c *Chain) place(sets *[MaxSets + 1]fields, f message.Field, k kind, at int) error {
	var instance int
	var results string
	var tags dkim.Tags
	var err error
	if k == authResults {
		instance, results, err = authres.CutInstance(f.Raw)
	} else {
		instance, tags, err = readTags(f.Raw)
	}
	switch {
	case err != nil:
		return fault.New(Fail, ReasonSyntax, "malformed "+k.String()).Because(err)
	case instance > MaxSets:
		return errTooMany
	case instance < 1:
		return structure("%s i=%d", k, instance)
	}
	c.Highest = max(c.Highest, instance)
	set := &sets[instance]
	if set.at[k] >= 0 {
		return structure("more than one %s i=%d", k, instance)
	}
	set.at[k], set.tags[k] = at, tags
	if k == authResults {
		set.results = results
	}
	return nil
}

// readTags parses the tag list of a signature or a seal, including the instance.
func readTags(raw string) (instance int, tags dkim.Tags, err error) {
	if tags, err = dkim.ParseTags(raw); err != nil {
		return 0, nil, err
	}
	if hasEmptyTag(raw) {
		return 0, nil, dkim.ErrTagSyntax
	}
	i, ok := tags.Get("i")
	if !ok {
		return 0, nil, fmt.Errorf("tag i= is missing")
	}
	// RFC 8617 section 3.9: one or two digits.
	if len(i) < 1 || len(i) > 2 || strings.Trim(i, "0123456789") != "" {
		return 0, nil, fmt.Errorf("tag i=")
	}
	instance, err = strconv.Atoi(i)
	return instance, tags, err
}

// hasEmptyTag reports whether a tag list has an empty element.
// [dkim.ParseTags] accepts that, because it occurs in DKIM signatures. In a chain
// each sealer vouches for the syntax of what came before, so RFC 6376 section 3.2
// is applied strictly.
func hasEmptyTag(list string) bool {
	end := strings.TrimRight(list, " \t\r\n")
	end = strings.TrimSuffix(end, ";") // a list may end with one
	for spec := range strings.SplitSeq(end, ";") {
		if strings.Trim(spec, " \t\r\n") == "" {
			return true
		}
	}
	return false
}

// missing returns the first field missing from the set. ok is false if none is
// missing.
func (f *fields) missing() (k kind, ok bool) {
	for k, at := range f.at {
		if at < 0 {
			return kind(k), true
		}
	}
	return 0, false
}

// read parses the set of instance n, which is complete and whose seal must say cv.
func (f *fields) read(h message.Header, n int, cv Status) (Set, error) {
	s := Set{Instance: n, Results: f.results, at: f.at}
	var err error
	if s.Seal, err = readSeal(h[f.at[seal]], f.tags[seal], n, cv); err != nil {
		return s, err
	}
	// A malformed message signature in an older set does not make the chain fail
	// (RFC 8617 section 5.2 step 5).
	s.MessageSignature, s.signatureErr = dkim.ParseMessageSignature(h[f.at[messageSignature]], f.tags[messageSignature])
	if s.signatureErr == nil {
		for _, name := range s.MessageSignature.Fields {
			// RFC 8617 section 4.1.2. Signing ARC-Authentication-Results is
			// tolerated: it occurs in real mail and does no harm.
			if strings.EqualFold(name, fieldNames[seal].lower) {
				s.signatureErr = fmt.Errorf("it signs ARC-Seal")
			}
		}
	}
	return s, nil
}

// readSeal parses the seal of instance n, whose cv= must be want.
func readSeal(f message.Field, tags dkim.Tags, n int, want Status) (*Seal, error) {
	bad := func(cause error) error {
		return fault.New(Fail, ReasonSyntax, fmt.Sprintf("ARC-Seal i=%d", n)).Because(cause)
	}
	// RFC 8617 section 4.1.3: a seal with h= MUST make the chain fail.
	if _, ok := tags.Get("h"); ok {
		return nil, bad(fmt.Errorf("tag h= is not allowed"))
	}
	cv, ok := tags.Get("cv")
	if !ok {
		return nil, bad(fmt.Errorf("tag cv= is missing"))
	}
	s := &Seal{CV: Status(strings.ToLower(cv))}
	// RFC 8617 section 5.2 step 3 C.
	if s.CV != want {
		return nil, structure("cv= of the ARC-Seal i=%d is not %s", n, want)
	}
	var err error
	if s.Signature, err = dkim.ParseSeal(f, tags); err != nil {
		return nil, bad(err)
	}
	return s, nil
}
