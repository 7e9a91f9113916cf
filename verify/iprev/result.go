package iprev

import "authmilter/verify/fault"

// Status is the result for a client, in the words of RFC 8601 section 2.7.3.
type Status string

// The statuses.
const (
	Pass      Status = "pass"      // a name of the address has the address
	Fail      Status = "fail"      // the address has names, and none of them has it
	TempError Status = "temperror" // a look-up did not finish
	PermError Status = "permerror" // the address has no names, or there is no address
)

// Statuses returns every Status.
func Statuses() []Status { return []Status{Pass, Fail, TempError, PermError} }

// Reason names why a client did not pass, from a fixed set, for counting.
type Reason string

// The reasons, by the status they lead to.
const (
	ReasonNoMatch   Reason = "no_match"   // Fail
	ReasonDNS       Reason = "dns"        // TempError
	ReasonNoAddress Reason = "no_address" // PermError
	ReasonNoName    Reason = "no_name"    // PermError
)

// Outcome is a status with a reason for it.
type Outcome struct {
	Status Status
	Reason Reason
}

// Outcomes returns every Outcome there is.
func Outcomes() []Outcome {
	return []Outcome{
		{Pass, ""},
		{Fail, ReasonNoMatch},
		{TempError, ReasonDNS},
		{PermError, ReasonNoAddress},
		{PermError, ReasonNoName},
	}
}

// Result is what was found about a client.
type Result struct {
	Status Status
	// Reason is empty for a pass.
	Reason Reason
	// Name is the verified host name, as lower-case A-labels; "" where there is
	// none.
	Name string
	// Err explains each status but pass to a person.
	Err error
}

// Error is why a client did not pass.
type Error = fault.Error[Status, Reason]

// because returns r with the status and the reason of err, which explains them.
func (r Result) because(err *Error) Result {
	r.Status, r.Reason, r.Err = err.Status, err.Reason, err
	return r
}
