package spf

// Step is a step of an evaluation, for people to read. Its texts may hold
// anything that the client or a domain owner wrote: clean them before they are
// shown.
type Step struct {
	// Depth is 0 for the record of the identity's domain and those it redirects
	// to, and one more inside each "include". The steps of an included record
	// come before that of the "include".
	Depth int
	// Domain is whose record is looked at.
	Domain string
	// Record is the text of that record, in the step that found it, which has
	// only Depth and Domain besides.
	Record string
	// Term is the term evaluated; "" where the step is about the record as a
	// whole.
	Term string
	// Target is the name that the term came to, its macros expanded.
	Target string
	// Outcome is "match", "no match", "redirect", or the status that the record
	// ends with.
	Outcome string
	// Reason says why, for statuses that are errors or "none".
	Reason string
}

func (e *evaluation) trace(s Step) {
	if e.args.Trace != nil {
		e.args.Trace(s)
	}
}

// traceTerm traces s, a step of a mechanism that ended so.
func (e *evaluation) traceTerm(s Step, match bool, x *Error) {
	switch {
	case x != nil:
		s.Outcome, s.Reason = string(x.Status), x.Error()
	case match:
		s.Outcome = "match"
	default:
		s.Outcome = "no match"
	}
	e.trace(s)
}
