// Package arc verifies Authenticated Received Chains and adds to them
// (RFC 8617).
//
// [Begin] reads the chain of a message whose body is still arriving;
// [Verification] is that chain on its way to a [Result]; a [Sealer] makes the
// next set. Signatures, keys and digests are those of package dkim, so that one
// pass over the body serves both. Nothing here starts a goroutine or reads a
// clock.
package arc

// Status is the state of a chain (RFC 8617 section 4.4), as a cv= tag and as
// the arc method of Authentication-Results have it.
type Status string

// The statuses.
const (
	None Status = "none" // the message has no chain
	Pass Status = "pass" // the chain verified
	Fail Status = "fail" // it did not, for whatever reason (RFC 8617 section 5.2.1)
)

// Statuses returns every Status.
func Statuses() []Status { return []Status{None, Pass, Fail} }

// Reason names why a chain failed, from a fixed set, for counting.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	ReasonHeaderTooLarge   Reason = "header_too_large"
	ReasonTooMany          Reason = "too_many_sets"
	ReasonStructure        Reason = "structure"
	ReasonBroken           Reason = "broken_before"
	ReasonSyntax           Reason = "syntax"
	ReasonMessageSignature Reason = "message_signature"
	ReasonSeal             Reason = "seal"
	// ReasonDNS is a key that could not be fetched now. The chain fails all the
	// same: RFC 8617 section 5.2.1 knows no temporary error.
	ReasonDNS Reason = "dns"
)

// Outcome is a status with a reason for it.
type Outcome struct {
	Status Status
	Reason Reason
}

// Outcomes returns every Outcome there is.
func Outcomes() []Outcome {
	return []Outcome{
		{None, ""},
		{Pass, ""},
		{Fail, ReasonHeaderTooLarge},
		{Fail, ReasonTooMany},
		{Fail, ReasonStructure},
		{Fail, ReasonBroken},
		{Fail, ReasonSyntax},
		{Fail, ReasonMessageSignature},
		{Fail, ReasonSeal},
		{Fail, ReasonDNS},
	}
}

// Result is what became of the chain of a message.
type Result struct {
	// Status is empty where the chain was not looked at, because of a fault of
	// ours.
	Status Status
	// Reason is empty unless the chain failed.
	Reason Reason
	// Chain is what was read of it; nil where there is none.
	Chain *Chain
	// OldestPass is, in a chain that passed, the lowest instance of which the
	// message signature still verifies with all above it, 0 where those of all
	// instances do (RFC 8617 section 5.2), and Absent in any other.
	OldestPass int
	// Err explains a failure to a person.
	Err error
}

// Absent is the OldestPass of a chain that did not pass.
const Absent = -1

// Error is why a chain failed.
type Error struct {
	Reason Reason
	text   string
	cause  error
}

// Error returns what is wrong, and why where a cause is known.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.text + ": " + e.cause.Error()
	}
	return e.text
}

func (e *Error) Unwrap() error { return e.cause }
