// Package dmarc evaluates Domain-based Message Authentication, Reporting, and
// Conformance, RFC 9989: what policy the domain in the From field publishes,
// and whether an authenticated identifier of the message aligns with it.
//
// The work has two phases. The look-ups begin as soon as the author domains and
// the candidates for alignment are known: [Prepare] says what there is to do, and
// its parts may be done at the same time. [Evaluation.Evaluate] then judges,
// without any look-up, once the candidates have been verified. The package knows
// neither DKIM nor SPF.
package dmarc

import "errors"

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

// Disposition is a Domain Owner Assessment Policy (RFC 9989 section 3.2.8): what
// the domain owner prefers to be done with a message that fails.
type Disposition string

// The dispositions of RFC 9989 section 4.7, tag p.
const (
	DispositionNone       Disposition = "none"
	DispositionQuarantine Disposition = "quarantine"
	DispositionReject     Disposition = "reject"
)

// severity orders dispositions, the mildest first.
func (d Disposition) severity() int {
	switch d {
	case DispositionReject:
		return 2
	case DispositionQuarantine:
		return 1
	}
	return 0
}

// stricter reports whether a asks for more than b.
func stricter(a, b Disposition) bool { return a.severity() > b.severity() }

// oneLevelBelow returns the disposition that a domain in test mode expects
// (RFC 9989 section 4.7, tag t).
func (d Disposition) oneLevelBelow() Disposition {
	if d == DispositionReject {
		return DispositionQuarantine
	}
	return DispositionNone
}

// Mode is how policies and Organizational Domains are found.
type Mode uint8

const (
	// TreeWalk is the DNS Tree Walk of RFC 9989 section 4.10.
	TreeWalk Mode = iota
	// PSL is RFC 7489 sections 3.2 and 6.6.3, with the public suffix list that
	// is compiled in. It differs in discovery only: records are read as
	// RFC 9989 says. The look-up of a public suffix's own policy,
	// RFC 9091 section 3.3, is not made.
	PSL
)

// String returns "tree-walk" or "psl".
func (m Mode) String() string {
	if m == PSL {
		return "psl"
	}
	return "tree-walk"
}

// The methods that authenticate identifiers (RFC 9989 section 4.3).
const (
	MethodDKIM = "dkim"
	MethodSPF  = "spf"
)

// Identifier is a domain that a method vouches for, or could have vouched for:
// the d= domain of a signature, the domain of MAIL FROM.
type Identifier struct {
	// Method is MethodDKIM or MethodSPF; an Identifier of any other never
	// aligns.
	Method string
	// Domain is a domain name in any form. What is not one never aligns.
	Domain string
	// Pass reports that the method authenticated the domain; TempError that it
	// could not finish.
	Pass, TempError bool
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

var (
	errNoPolicy         = errors.New("no DMARC policy record")
	errSeveralPolicies  = errors.New("more than one DMARC policy record")
	errUnusablePolicy   = errors.New("DMARC policy record without a valid policy or reporting address")
	errNotAuthenticated = errors.New("no authenticated identifier")
	errNotAligned       = errors.New("no authenticated identifier aligns with the author domain")
	errIdentifier       = errors.New("check of an identifier that aligns did not finish")
	errNoAuthor         = errors.New("no author domain")
	errAuthorSyntax     = errors.New("author domain is not a valid domain name")
	errUnjudged         = errors.New("an author that cannot be judged")
	errTooManyAuthors   = errors.New("too many author domains")
)
