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
	PermError Status = "permerror" // no author domain, an unknown or invalid one, or too many
)

// Statuses returns every Status.
func Statuses() []Status {
	return []Status{None, Pass, Fail, TempError, PermError}
}

// Reason is why a message did not pass: one of a fixed set of words, for use in
// metrics.
type Reason string

// The reasons, grouped by status.
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
	// ReasonNotEvaluated is for a message whose header was not examined. This
	// package never returns it.
	ReasonNotEvaluated   Reason = "not_evaluated"
	ReasonAuthorSyntax   Reason = "author_syntax"
	ReasonTooManyAuthors Reason = "too_many_authors"
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

// Result is the DMARC result for a message and one of its author domains.
type Result struct {
	Status Status
	// Reason is empty for a pass.
	Reason Reason
	// Err explains every status but pass, for people to read.
	Err error
	// Author is the author domain judged, or "" if there is none.
	Author string
	// Policy is what was found for Author, nil if nothing was looked up. See
	// [Policy.Applies].
	Policy *Policy
	// Aligned are the identifiers that passed and align.
	Aligned []Identifier
	// Disposition is what the domain owner asks for this message, after applying
	// the test flag. It is DispositionNone for every status but [Fail]. The policy
	// in the record itself is Policy.Published.
	Disposition Disposition
	// Pending is, as far as known, what the domain owner would ask for if the
	// unfinished checks turned out against the message. It comes from the policy of
	// the author domain, or from an ancestor's record if the author's own is
	// unknown. It is DispositionReject if a record could not be looked up in time
	// because of too many other look-ups ([dns.ErrBusy]). It is DispositionNone for
	// every status but [TempError], and [PermError] if the message was not evaluated.
	Pending Disposition
}

// Error explains why a message did not pass. Every error of this package's parser
// and look-ups is an Error.
type Error = fault.Error[Status, Reason]

// because returns r with the status and reason of err, and err as its cause.
func (r Result) because(err *Error) Result {
	r.Status, r.Reason, r.Err = err.Status, err.Reason, err
	return r
}
