package iprev

import "authmilter/verify/fault"

// Status is the result for a client, in the words of RFC 8601 section 2.7.3.
type Status string

// The statuses.
const (
	Pass      Status = "pass"      // a name of the address has the address
	Fail      Status = "fail"      // the address has names, but none of them has the address
	TempError Status = "temperror" // a look-up did not finish
	PermError Status = "permerror" // the address has no names, or there is no address
)

// Statuses returns every Status.
func Statuses() []Status { return []Status{Pass, Fail, TempError, PermError} }

// Reason is why a client did not pass: one of a fixed set of words, for use in
// metrics.
type Reason string

// The reasons and their statuses.
const (
	ReasonNoMatch   Reason = "no_match"   // Fail
	ReasonDNS       Reason = "dns"        // TempError
	ReasonNoAddress Reason = "no_address" // PermError
	ReasonNoName    Reason = "no_name"    // PermError
	ReasonNoOrigin  Reason = "no_origin"  // TempError or PermError
)

// Outcome is a status and its reason.
type Outcome struct {
	Status Status
	Reason Reason
}

// Outcomes returns every possible Outcome.
func Outcomes() []Outcome {
	return []Outcome{
		{Pass, ""},
		{Fail, ReasonNoMatch},
		{TempError, ReasonDNS},
		{TempError, ReasonNoOrigin},
		{PermError, ReasonNoAddress},
		{PermError, ReasonNoName},
		{PermError, ReasonNoOrigin},
	}
}

// Result is the result of a check.
type Result struct {
	Status Status
	// Reason is empty for a pass.
	Reason Reason
	// Name is the verified host name, as lower-case A-labels; "" if there is none.
	Name string
	// Err explains every status but pass, for people to read.
	Err error
}

// Error explains why a client did not pass.
type Error = fault.Error[Status, Reason]

// because returns r with the status and reason of err, and err as its cause.
func (r Result) because(err *Error) Result {
	r.Status, r.Reason, r.Err = err.Status, err.Reason, err
	return r
}
