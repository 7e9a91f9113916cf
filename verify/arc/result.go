package arc

import "authmilter/verify/fault"

// Status is the state of a chain (RFC 8617 section 4.4), as written in a cv= tag
// and in the arc method of Authentication-Results.
type Status string

// The statuses.
const (
	None Status = "none" // the message has no chain
	Pass Status = "pass" // the chain verified
	Fail Status = "fail" // the chain did not verify, for whatever reason (RFC 8617 section 5.2.1)
)

// Statuses returns every Status.
func Statuses() []Status { return []Status{None, Pass, Fail} }

// Reason names why a chain failed, from a fixed set, for counting.
type Reason string

// The reasons, in the order in which they are checked.
const (
	ReasonHeaderTooLarge   Reason = "header_too_large"
	ReasonTooMany          Reason = "too_many_sets"
	ReasonStructure        Reason = "structure"
	ReasonBroken           Reason = "broken_before"
	ReasonSyntax           Reason = "syntax"
	ReasonMessageSignature Reason = "message_signature"
	ReasonSeal             Reason = "seal"
	// ReasonDNS means that a key could not be fetched now. The chain fails all the
	// same: RFC 8617 section 5.2.1 has no temporary error.
	ReasonDNS Reason = "dns"
)

// Outcome is a status with a reason for it.
type Outcome struct {
	Status Status
	Reason Reason
}

// Outcomes returns every possible Outcome.
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

// Result is the result of verifying the chain of a message.
type Result struct {
	// Status is empty if the chain was not verified because of an internal error.
	Status Status
	// Reason is empty unless the chain failed.
	Reason Reason
	// Chain holds what could be parsed of the chain, nil if there is none.
	Chain *Chain
	// OldestPass is the lowest instance whose message signature verifies together
	// with every one above it, or 0 if all of them verify
	// (RFC 8617 section 5.2). It is Absent if the chain did not pass.
	OldestPass int
	// Err explains a failure to a person.
	Err error
}

// Absent is the OldestPass of a chain that did not pass.
const Absent = -1

// Error explains why a chain failed.
type Error = fault.Error[Status, Reason]

// because returns r with the status and reason of err, and err as its explanation.
func (r Result) because(err *Error) Result {
	r.Status, r.Reason, r.Err = err.Status, err.Reason, err
	return r
}
