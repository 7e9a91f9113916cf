package spf

import "errors"

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

// byError are the errors that stand for one reason each.
var byError = map[Status][]struct {
	err    error
	reason Reason
}{
	None: {
		{errNoAddress, ReasonNoAddress},
		{errNotFound, ReasonNotFound},
		{errNoRecord, ReasonNoRecord},
	},
	PermError: {
		{errManyRecords, ReasonSeveralRecords},
		{errTarget, ReasonTarget},
		{errOneLabel, ReasonTarget},
		{errLookups, ReasonLookups},
		{errVoid, ReasonVoidLookups},
		{errNames, ReasonNames},
		// RFC 7208 sections 5.2 and 6.1: of an include or a redirect.
		{errNotFound, ReasonInclude},
		{errNoRecord, ReasonInclude},
	},
}

// Reason returns why r is what it is; "" where the record itself says it.
func (r Result) Reason() Reason {
	for _, known := range byError[r.Status] {
		if errors.Is(r.Err, known.err) {
			return known.reason
		}
	}
	switch r.Status {
	case None:
		return ReasonNoDomain
	case TempError:
		return ReasonDNS
	case PermError:
		return ReasonSyntax
	}
	return ""
}
