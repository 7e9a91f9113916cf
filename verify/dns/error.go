package dns

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Error is a look-up without an answer.
type Error struct {
	// Type and Name are what was asked.
	Type, Name string
	// NotFound reports that there is nothing at the name: it does not exist, or
	// its aliases lead in a circle. Otherwise that is unknown.
	NotFound bool
	// Err is the cause.
	Err error
}

// Causes of an [Error] that callers may want to tell apart.
var (
	// ErrNoSuchName is the answer NXDOMAIN.
	ErrNoSuchName = errors.New("NXDOMAIN")
	// ErrNotEncodable is a name that no packet can hold, which therefore cannot
	// exist: an empty label, a label over 63 octets, a name over 255.
	ErrNotEncodable = errors.New("not a possible domain name")
	// ErrBudget ends a look-up beyond the limit of a [Meter].
	ErrBudget = errors.New("too many DNS queries for one message")
	// ErrBusy is a look-up that had to wait for others, [Config].MaxExchanges at a
	// time, and then had too little time left for an answer. The name may be in
	// order.
	ErrBusy = errors.New("too many DNS queries at once")
	// ErrLoop is a chain of aliases that leads back to itself. Whoever asks again
	// finds the loop again, so that nothing is to be found at such a name.
	ErrLoop = errors.New("CNAME loop")
	// ErrChain is a chain of aliases that is too long.
	ErrChain = errors.New("CNAME chain too long")
)

// Error returns what was asked and why there is no answer.
func (e *Error) Error() string {
	return e.Type + " " + e.Name + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// IsNotFound reports whether err says that there is nothing at a name.
func IsNotFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.NotFound
}

// IsTemporary reports whether err leaves open what the answer is. Any error that
// is not known to be an answer does.
func IsTemporary(err error) bool {
	return err != nil && !IsNotFound(err)
}

// IsBudget reports whether err comes from the limit of a [Meter].
func IsBudget(err error) bool { return errors.Is(err, ErrBudget) }

// rcodeError is an answer that says why there is none.
type rcodeError string

func (e rcodeError) Error() string { return string(e) }

// errPanicked is the end of a look-up that panicked, for those who waited for it.
var errPanicked = errors.New("internal error")

// errMalformed is a response that cannot be read whole.
var errMalformed = errors.New("malformed answer")

// endedError is the end of a caller's context before there was an answer.
type endedError struct{ cause error }

func (e endedError) Error() string {
	if errors.Is(e.cause, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return "look-up cancelled"
}

func (e endedError) Unwrap() error { return e.cause }

// timeoutError replaces the errors of contexts and sockets by what happened.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string        { return fmt.Sprintf("no answer within %v", e.after) }
func (e timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
