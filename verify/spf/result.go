package spf

import "authmilter/verify/fault"

// Status is the outcome of an evaluation, in the words of RFC 7208 section 2.6.
type Status string

// The statuses of RFC 7208 section 2.6.
const (
	None      Status = "none"      // no domain to check, or no record
	Neutral   Status = "neutral"   // the domain says nothing about the client
	Pass      Status = "pass"      // the client may use the domain
	Fail      Status = "fail"      // the client may not use the domain
	SoftFail  Status = "softfail"  // the client probably may not use the domain
	TempError Status = "temperror" // a look-up did not finish
	PermError Status = "permerror" // the published records cannot be used
)

// Identity is the identity that is checked.
type Identity string

// The identities of RFC 7208 sections 2.3 and 2.4, as section 9.1 spells them.
const (
	MailFrom Identity = "mailfrom"
	Helo     Identity = "helo"
)

// Statuses returns every Status.
func Statuses() []Status {
	return []Status{None, Neutral, Pass, Fail, SoftFail, TempError, PermError}
}

// Reason is why the result is [None], [TempError] or [PermError]: one of a fixed
// set of words, for use in metrics.
type Reason string

// The reasons, grouped by status.
const (
	// None.
	ReasonNoAddress Reason = "no_address"
	ReasonNoDomain  Reason = "no_domain"
	ReasonNotFound  Reason = "domain_not_found"
	ReasonNoRecord  Reason = "no_record"
	// TempError.
	ReasonDNS Reason = "dns"
	// None or TempError.
	ReasonNoOrigin Reason = "no_origin"
	// PermError.
	ReasonSeveralRecords Reason = "several_records"
	ReasonSyntax         Reason = "syntax"
	ReasonTarget         Reason = "target"
	ReasonLookups        Reason = "too_many_lookups"
	ReasonVoidLookups    Reason = "too_many_void_lookups"
	ReasonNames          Reason = "too_many_names"
	ReasonInclude        Reason = "include_without_record"
)

// Outcome is a status and its reason.
type Outcome struct {
	Status Status
	Reason Reason
}

// Outcomes returns every possible Outcome.
func Outcomes() []Outcome {
	return []Outcome{
		{Neutral, ""},
		{Pass, ""},
		{Fail, ""},
		{SoftFail, ""},
		{None, ReasonNoAddress},
		{None, ReasonNoDomain},
		{None, ReasonNotFound},
		{None, ReasonNoRecord},
		{None, ReasonNoOrigin},
		{TempError, ReasonDNS},
		{TempError, ReasonNoOrigin},
		{PermError, ReasonSeveralRecords},
		{PermError, ReasonSyntax},
		{PermError, ReasonTarget},
		{PermError, ReasonLookups},
		{PermError, ReasonVoidLookups},
		{PermError, ReasonNames},
		{PermError, ReasonInclude},
	}
}

// Default is the Mechanism of a [Result] if no mechanism of the record matched
// (RFC 7208 sections 4.7 and 9.1).
const Default = "default"

// Result is the result of an evaluation. Its strings can contain anything that
// the client or a domain owner wrote: clean them before showing them.
type Result struct {
	Status Status
	// Reason is empty for the statuses that a record asks for.
	Reason   Reason
	Identity Identity
	// Domain is the identity's domain in A-labels; "" if it has no valid domain.
	Domain string
	// Record is the domain whose record decided: Domain, unless its record
	// redirects. It is "" if no record was found.
	Record string
	// Mechanism is the term of that record that matched or could not be
	// evaluated, such as "-all" or "include:_spf.example.com". It is [Default] if
	// none matched, and "" if no term was reached.
	Mechanism string
	// Explanation is the domain's explanation of a [Fail], if [Args] asks for it:
	// printable US-ASCII, chosen by the domain owner.
	Explanation string
	// Err is the cause of [None], [TempError] and [PermError]; otherwise it is
	// nil.
	Err error
	// Lookups is how many terms caused look-ups, and Void how many of them found
	// nothing (RFC 7208 section 4.6.4).
	Lookups, Void int
}

// Error explains [None], [TempError] or [PermError]. Every error of this package
// is an Error.
type Error = fault.Error[Status, Reason]

// because returns r with the status and reason of err, and err as its cause.
func (r Result) because(err *Error) Result {
	r.Status, r.Reason, r.Err = err.Status, err.Reason, err
	return r
}

// Text explains the result in a few words.
func (r Result) Text() string {
	switch {
	case r.Err != nil:
		return r.Err.Error() + r.where()
	case r.Mechanism == Default:
		return "no mechanism matched" + r.where()
	case r.Mechanism != "":
		return "matched " + r.Mechanism + r.where()
	default:
		return ""
	}
}

// where names the record that decided if it is another domain's.
func (r Result) where() string {
	if r.Record == r.Domain || r.Record == "" {
		return ""
	}
	return " in the record of " + r.Record
}
