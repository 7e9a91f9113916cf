package spf

import "authmilter/verify/fault"

// Status is the outcome of an evaluation, in the words of RFC 7208 section 2.6.
type Status string

// The statuses of RFC 7208 section 2.6.
const (
	None      Status = "none"      // no domain to ask, or no record
	Neutral   Status = "neutral"   // the domain says nothing of the client
	Pass      Status = "pass"      // the client may use the domain
	Fail      Status = "fail"      // the client may not use the domain
	SoftFail  Status = "softfail"  // the client probably may not use the domain
	TempError Status = "temperror" // a look-up did not finish
	PermError Status = "permerror" // the published records cannot be used
)

// Identity is what an evaluation is about.
type Identity string

// The identities of RFC 7208 sections 2.3 and 2.4, as its section 9.1 writes
// them.
const (
	MailFrom Identity = "mailfrom"
	Helo     Identity = "helo"
)

// Statuses returns all statuses.
func Statuses() []Status {
	return []Status{None, Neutral, Pass, Fail, SoftFail, TempError, PermError}
}

// Reason names why an evaluation came to [None], [TempError] or [PermError],
// from a fixed set, for counting.
type Reason string

// The reasons, by the status they lead to.
const (
	// None.
	ReasonNoAddress Reason = "no_address"
	ReasonNoDomain  Reason = "no_domain"
	ReasonNotFound  Reason = "domain_not_found"
	ReasonNoRecord  Reason = "no_record"
	// TempError.
	ReasonDNS Reason = "dns"
	// PermError.
	ReasonSeveralRecords Reason = "several_records"
	ReasonSyntax         Reason = "syntax"
	ReasonTarget         Reason = "target"
	ReasonLookups        Reason = "too_many_lookups"
	ReasonVoidLookups    Reason = "too_many_void_lookups"
	ReasonNames          Reason = "too_many_names"
	ReasonInclude        Reason = "include_without_record"
)

// Outcome is a status with a reason for it.
type Outcome struct {
	Status Status
	Reason Reason
}

// Outcomes returns every Outcome there is.
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
		{TempError, ReasonDNS},
		{PermError, ReasonSeveralRecords},
		{PermError, ReasonSyntax},
		{PermError, ReasonTarget},
		{PermError, ReasonLookups},
		{PermError, ReasonVoidLookups},
		{PermError, ReasonNames},
		{PermError, ReasonInclude},
	}
}

// Default is the Mechanism of a [Result] where no mechanism of the record
// matched (RFC 7208 sections 4.7 and 9.1).
const Default = "default"

// Result is the outcome of an evaluation. Its texts may hold anything that the
// client or a domain owner wrote: clean them before they are shown.
type Result struct {
	Status Status
	// Reason is empty for the statuses that the record itself gives.
	Reason   Reason
	Identity Identity
	// Domain is the identity's domain in A-labels; "" where it has none that is
	// valid.
	Domain string
	// Record is the domain whose record decided: Domain, unless that redirects;
	// "" where no record was found.
	Record string
	// Mechanism is the term of that record that matched or could not be
	// evaluated, such as "-all" or "include:_spf.example.com"; [Default] where
	// none matched; "" where no term was reached.
	Mechanism string
	// Explanation is what the domain says about a [Fail], if [Args] asks for it:
	// printable US-ASCII, chosen by the domain owner.
	Explanation string
	// Err is the cause of [None], [TempError] and [PermError], and otherwise
	// nil.
	Err error
	// Lookups is how many terms with look-ups were met, and Void how many of
	// those found nothing (RFC 7208 section 4.6.4).
	Lookups, Void int
}

// Error is why an evaluation came to [None], [TempError] or [PermError]. Every
// error of this package is one.
type Error = fault.Error[Status, Reason]

// because returns r with the status and the reason of err, which explains them.
func (r Result) because(err *Error) Result {
	r.Status, r.Reason, r.Err = err.Status, err.Reason, err
	return r
}

// Text says in a few words why the result is what it is.
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

// where names the record that decided, where it is another domain's.
func (r Result) where() string {
	if r.Record == r.Domain || r.Record == "" {
		return ""
	}
	return " in the record of " + r.Record
}
