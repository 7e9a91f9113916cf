package dmarc

import (
	"fmt"
	"slices"

	"authmilter/verify/domain"
)

// Evaluate judges the message by the identifiers as they turned out: the
// strictest result over its author domains. It looks nothing up.
func (e *Evaluation) Evaluate(ids []Identifier) Result {
	return Strictest(e.EvaluateEach(ids))
}

// EvaluateEach judges each author domain, in their order. There is always a
// result: one without an Author stands for author domains that are missing,
// unknown or too many.
func (e *Evaluation) EvaluateEach(ids []Identifier) []Result {
	results := make([]Result, 0, len(e.authors)+1)
	for i := range e.authors {
		results = append(results, e.evaluate(&e.authors[i], ids))
	}
	// RFC 9989 section 11.5: none of these may escape.
	switch {
	case len(e.authors) == 0:
		results = append(results, Result{Status: PermError, Reason: ReasonNoAuthor, Err: errNoAuthor})
	case e.unjudged:
		results = append(results, Result{Status: PermError, Reason: ReasonAuthorSyntax, Err: errUnjudged})
	}
	if e.tooMany {
		results = append(results, Result{Status: PermError, Reason: ReasonTooManyAuthors, Err: errTooManyAuthors})
	}
	for i := range results {
		r := &results[i]
		if r.Disposition == "" {
			r.Disposition = DispositionNone
		}
		if r.Pending == "" {
			r.Pending = DispositionNone
		}
	}
	return results
}

// evaluate judges one author domain by what is known of it.
func (e *Evaluation) evaluate(a *author, ids []Identifier) Result {
	if a.name == "" {
		return Result{}.because(PermError, ReasonAuthorSyntax, a.err)
	}
	if a.stage == stageNothing {
		res := Result{Author: a.name, Policy: &Policy{AuthorDomain: a.name, Percent: DefaultPercent}}
		return res.because(TempError, ReasonPolicyLookup, errNotLookedUp)
	}
	res := Result{Author: a.name, Policy: a.policy, Pending: a.policy.pending}
	switch {
	case a.err != nil:
		if a.vouched(ids) {
			res.Pending = DispositionNone
		}
		return res.because(TempError, ReasonPolicyLookup, a.err)
	case !a.policy.Applies():
		reason, err := a.policy.noneReason()
		return res.because(None, reason, err)
	}
	// open is why the message cannot fail, although nothing aligns.
	var open Result
	authenticated := false
	for _, id := range ids {
		if !id.Pass && !id.TempError {
			continue
		}
		authenticated = authenticated || id.Pass
		aligned, err := a.orgs.aligned(a.policy, id)
		switch {
		case err != nil:
			open = res.because(TempError, ReasonAlignmentLookup, err)
		case aligned && id.Pass:
			res.Aligned = append(res.Aligned, id)
		case aligned:
			open = res.because(TempError, ReasonIdentifier, fmt.Errorf("%s of %s: %w", id.Method, id.Domain, errIdentifier))
		}
	}
	switch {
	case len(res.Aligned) > 0:
		res.Status, res.Pending = Pass, DispositionNone
		return res
	case open.Status != "":
		// Existence decides what a fail asks for, not whether it is one.
		if open.Pending = a.policy.Effective(); stricter(a.policy.pending, open.Pending) {
			open.Pending = a.policy.pending
		}
		return open
	case a.policy.existence != nil:
		return res.because(TempError, ReasonExistenceLookup, a.policy.existence)
	}
	res.Disposition = a.policy.Effective()
	if !authenticated {
		return res.because(Fail, ReasonNotAuthenticated, errNotAuthenticated)
	}
	return res.because(Fail, ReasonNotAligned, errNotAligned)
}

// vouched reports whether an identifier passed that is the author domain itself: it
// aligns under every policy, so that the message cannot fail.
func (a *author) vouched(ids []Identifier) bool {
	return slices.ContainsFunc(ids, func(id Identifier) bool {
		name, err := domain.ToASCII(id.Domain)
		return id.Pass && (id.Method == MethodDKIM || id.Method == MethodSPF) && err == nil && name == a.name
	})
}

// Settled reports whether nothing that is still to be added can change the result,
// if ids are what the identifiers turn out to be at best: look-ups that have not
// ended then need not be waited for.
func (e *Evaluation) Settled(ids []Identifier) bool {
	settled := true
	for i := range e.authors {
		a := &e.authors[i]
		res := e.evaluate(a, ids)
		if res.Status == Fail && res.Disposition == DispositionReject && a.policy.Percent >= DefaultPercent {
			// Nothing is stricter: see [Strictest]. A rejection that the domain
			// asks for only some of its mail is milder for the rest.
			return true
		}
		settled = settled && a.settled(ids)
	}
	return settled
}

// settled reports whether all is known that the result for a depends on.
func (a *author) settled(ids []Identifier) bool {
	switch a.stage {
	case stageNothing:
		return false
	case stagePolicy:
		return !a.applies() || !slices.ContainsFunc(ids, func(id Identifier) bool {
			_, m := a.policy.compare(id)
			return (id.Pass || id.TempError) && m == matchOrg
		})
	}
	return true
}

// because returns r with a status that is explained.
func (r Result) because(s Status, reason Reason, err error) Result {
	r.Status, r.Reason, r.Err = s, reason, err
	return r
}
