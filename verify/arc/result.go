package arc

import "authmilter/verify/fault"

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
type Error = fault.Error[Status, Reason]

// because returns r with the status and the reason of err, which explains them.
func (r Result) because(err *Error) Result {
	r.Status, r.Reason, r.Err = err.Status, err.Reason, err
	return r
}
