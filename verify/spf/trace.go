package spf

// Step is a step of an evaluation, for people to read. Its strings can contain
// anything that the client or a domain owner wrote: clean them before showing
// them.
type Step struct {
	// Depth is 0 for the record of the identity's domain and for records it
	// redirects to. Each "include" adds 1. The steps of an included record come
	// before the step of the "include" itself.
	Depth int
	// Domain is the domain whose record is evaluated.
	Domain string
	// Record is the text of the record. Only the step that finds the record has
	// it, and nothing else but Depth and Domain.
	Record string
	// Term is the term evaluated; "" if the step concerns the record as a whole.
	Term string
	// Target is the name that the term refers to, with macros expanded.
	Target string
	// Outcome is "match", "no match", "redirect", or the final status of the
	// record.
	Outcome string
	// Reason explains an error or the status "none".
	Reason string
}

func (e *evaluation) trace(s Step) {
	if e.args.Trace != nil {
		e.args.Trace(s)
	}
}

// traceTerm traces s, the step of a mechanism, with its outcome.
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
