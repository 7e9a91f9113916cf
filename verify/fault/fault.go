// Package fault is how the protocol packages say why something did not pass: one
// error that carries the status, a reason from a fixed set of words for counting,
// and a text for people. Each package names it for its own words:
//
//	type Error = fault.Error[Status, Reason]
package fault

// Error is why something did not pass.
type Error[S, R ~string] struct {
	// Status and Reason are those of the result that the error leads to.
	Status S
	Reason R

	text  string // "" if the cause says it all
	cause error
}

// New returns an error that text explains.
func New[S, R ~string](s S, r R, text string) *Error[S, R] {
	return &Error[S, R]{Status: s, Reason: r, text: text}
}

// Wrap returns an error that cause explains.
func Wrap[S, R ~string](s S, r R, cause error) *Error[S, R] {
	return &Error[S, R]{Status: s, Reason: r, cause: cause}
}

// Because returns a copy of e with a cause.
func (e *Error[S, R]) Because(cause error) *Error[S, R] {
	c := *e
	c.cause = cause
	return &c
}

// Error returns what is wrong, and why if a cause is known.
func (e *Error[S, R]) Error() string {
	switch {
	case e.cause == nil:
		return e.text
	case e.text == "":
		return e.cause.Error()
	}
	return e.text + ": " + e.cause.Error()
}

// Unwrap returns the cause, nil if there is none.
func (e *Error[S, R]) Unwrap() error { return e.cause }
