package dns

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Error is the error of a look-up that found no answer.
type Error struct {
	// Type and Name are what was looked up.
	Type, Name string
	// NotFound reports that nothing exists at the name: it does not exist, or
	// its aliases form a loop. If it is false, nothing is known about the name.
	NotFound bool
	// Err is the cause.
	Err error
}

// Causes of an [Error] that callers may want to distinguish.
var (
	// ErrNoSuchName is the answer NXDOMAIN.
	ErrNoSuchName = errors.New("NXDOMAIN")
	// ErrNotEncodable is a name that does not fit into a packet and therefore
	// cannot exist: it has an empty label, a label over 63 octets, or more than
	// 255 octets in all.
	ErrNotEncodable = errors.New("not a possible domain name")
	// ErrBudget ends a look-up that exceeds the limit of a [Meter].
	ErrBudget = errors.New("too many DNS queries for one message")
	// ErrBusy is a look-up that had to wait because [Config].MaxExchanges
	// others were under way, and then had too little time left for an answer.
	// Nothing need be wrong with the name.
	ErrBusy = errors.New("too many DNS queries at once")
	// ErrLoop is a chain of aliases that leads back to itself. Asking again
	// finds the same loop, so nothing can be found at such a name.
	ErrLoop = errors.New("CNAME loop")
	// ErrChain is a chain of aliases that is too long.
	ErrChain = errors.New("CNAME chain too long")
)

// Error returns what was looked up and why there is no answer.
func (e *Error) Error() string {
	return e.Type + " " + e.Name + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// IsNotFound reports whether err says that nothing exists at a name.
func IsNotFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.NotFound
}

// IsTemporary reports whether err leaves open what the answer is. It does
// unless it is known to be an answer.
func IsTemporary(err error) bool {
	return err != nil && !IsNotFound(err)
}

// IsBudget reports whether err comes from the limit of a [Meter].
func IsBudget(err error) bool { return errors.Is(err, ErrBudget) }

// rcodeError says why a server's response is not an answer.
type rcodeError string

func (e rcodeError) Error() string { return string(e) }

// errPanicked is what callers get that waited for a look-up that panicked.
var errPanicked = errors.New("internal error")

// errMalformed is a response that cannot be read to its end.
var errMalformed = errors.New("malformed answer")

// endedError reports that a caller's context ended before there was an answer.
type endedError struct{ cause error }

func (e endedError) Error() string {
	if errors.Is(e.cause, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return "look-up cancelled"
}

func (e endedError) Unwrap() error { return e.cause }

// timeoutError replaces the errors of contexts and sockets with what happened.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string        { return fmt.Sprintf("no answer within %v", e.after) }
func (e timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
