// Package fault defines the error type that the protocol packages use to explain
// why something did not pass. It carries a status, a reason from a fixed set of
// words for counting, and a text for people. Each package instantiates it with its
// own types:
//
//	type Error = fault.Error[Status, Reason]
package fault

// Error explains why something did not pass.
type Error[S, R ~string] struct {
	// Status and Reason are copied into the result that the error leads to.
	Status S
	Reason R

	text  string // "" if the cause is explanation enough
	cause error
}

// New returns an error explained by text.
func New[S, R ~string](s S, r R, text string) *Error[S, R] {
	return &Error[S, R]{Status: s, Reason: r, text: text}
}

// Wrap returns an error explained by cause.
func Wrap[S, R ~string](s S, r R, cause error) *Error[S, R] {
	return &Error[S, R]{Status: s, Reason: r, cause: cause}
}

// Because returns a copy of e with the given cause.
func (e *Error[S, R]) Because(cause error) *Error[S, R] {
	c := *e
	c.cause = cause
	return &c
}

// Error returns what is wrong, followed by the cause if there is one.
func (e *Error[S, R]) Error() string {
	switch {
	case e.cause == nil:
		return e.text
	case e.text == "":
		return e.cause.Error()
	}
	return e.text + ": " + e.cause.Error()
}

// Unwrap returns the cause, or nil if there is none.
func (e *Error[S, R]) Unwrap() error { return e.cause }
