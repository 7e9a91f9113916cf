package dmarc

import "authmilter/verify/fault"

// Status is the result for a message, in the words of RFC 9989 section 9.2.
type Status string

// The statuses, and when each is given.
const (
	None      Status = "none"      // no policy applies to the author domain
	Pass      Status = "pass"      // an authenticated identifier aligns
	Fail      Status = "fail"      // a policy applies, and no authenticated identifier aligns
	TempError Status = "temperror" // a look-up or a check that could decide did not finish
	PermError Status = "permerror" // there is no author domain, or one that cannot be known, or there are too many
)

// Statuses returns every Status.
func Statuses() []Status {
	return []Status{None, Pass, Fail, TempError, PermError}
}

// Reason names why a message did not pass, from a fixed set, for counting.
type Reason string

// The reasons, by the status they lead to.
const (
	// None.
	ReasonNoPolicy        Reason = "no_policy"
	ReasonSeveralPolicies Reason = "several_policies"
	ReasonUnusablePolicy  Reason = "unusable_policy"
	// Fail.
	ReasonNotAuthenticated Reason = "not_authenticated"
	ReasonNotAligned       Reason = "not_aligned"
	// TempError.
	ReasonPolicyLookup    Reason = "policy_lookup"
	ReasonExistenceLookup Reason = "existence_lookup"
	ReasonAlignmentLookup Reason = "alignment_lookup"
	ReasonIdentifier      Reason = "identifier_temperror"
	// PermError.
	ReasonNoAuthor Reason = "no_author"
	// ReasonNotEvaluated is for a message whose header was not looked at; no
	// result of this package has it.
	ReasonNotEvaluated   Reason = "not_evaluated"
	ReasonAuthorSyntax   Reason = "author_syntax"
	ReasonTooManyAuthors Reason = "too_many_authors"
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
		{None, ReasonNoPolicy},
		{None, ReasonSeveralPolicies},
		{None, ReasonUnusablePolicy},
		{Fail, ReasonNotAuthenticated},
		{Fail, ReasonNotAligned},
		{TempError, ReasonPolicyLookup},
		{TempError, ReasonExistenceLookup},
		{TempError, ReasonAlignmentLookup},
		{TempError, ReasonIdentifier},
		{TempError, ReasonNotEvaluated},
		{PermError, ReasonNoAuthor},
		{PermError, ReasonAuthorSyntax},
		{PermError, ReasonTooManyAuthors},
		{PermError, ReasonNotEvaluated},
	}
}

// Result is what DMARC says about a message and one author domain of it.
type Result struct {
	Status Status
	// Reason is empty for a pass.
	Reason Reason
	// Err explains each status but pass to a person.
	Err error
	// Author is the author domain judged; "" where there is none.
	Author string
	// Policy is what was found for it, nil where nothing was looked up. See
	// [Policy.Applies].
	Policy *Policy
	// Aligned are the identifiers that passed and align.
	Aligned []Identifier
	// Disposition is what the domain owner asks for this message, after the
	// test flag: DispositionNone for every status but [Fail]. What the record
	// itself says is Policy.Published.
	Disposition Disposition
	// Pending is what the domain owner would ask for if that which did not finish
	// turned out against the message, as far as it is known: by the policy of the
	// author domain, or by what an ancestor publishes if the author's own record is
	// unknown. It is DispositionReject if a record could not be asked for in time
	// because of too many other look-ups ([dns.ErrBusy]). It is DispositionNone for
	// every status but [TempError], and [PermError] if the message was not evaluated.
	Pending Disposition
}

// Error is why a message did not pass. Every error of this package's parser and
// look-ups is one.
type Error = fault.Error[Status, Reason]

// because returns r with the status and the reason of err, which explains them.
func (r Result) because(err *Error) Result {
	r.Status, r.Reason, r.Err = err.Status, err.Reason, err
	return r
}
