package dmarc

import (
	"slices"

	"authmilter/verify/domain"
	"authmilter/verify/fault"
)

const (
	// MaxAuthors is the maximum number of author domains. A message with more is a
	// permerror, but up to maxJudged of its author domains are still judged, if
	// their look-ups fit in maxReserved: a sender cannot escape a policy by adding
	// authors to the one that readers see.
	MaxAuthors  = 5
	maxJudged   = 20
	maxReserved = 60
	// MaxCandidates is how many candidates are looked up for each author domain.
	// Any others count as look-ups that did not finish.
	MaxCandidates = 32
)

var (
	errNotLookedUp      = fault.New(TempError, ReasonPolicyLookup, "not looked up")
	errIdentifier       = fault.New(TempError, ReasonIdentifier, "check of an identifier that aligns did not finish")
	errNotAuthenticated = fault.New(Fail, ReasonNotAuthenticated, "no authenticated identifier")
	errNotAligned       = fault.New(Fail, ReasonNotAligned, "no authenticated identifier aligns with the author domain")
	errNoAuthor         = fault.New(PermError, ReasonNoAuthor, "no author domain")
	errAuthorSyntax     = fault.New(PermError, ReasonAuthorSyntax, "author domain is not a valid domain name")
	errUnjudged         = fault.New(PermError, ReasonAuthorSyntax, "an author that cannot be judged")
	errTooManyAuthors   = fault.New(PermError, ReasonTooManyAuthors, "too many author domains")
)

// Query describes the message whose policy and alignment are to be looked up.
type Query struct {
	// Authors are the author domains of the message, distinct, in any form.
	Authors []string
	// Unjudged is set if the message has, or may have, another author whose
	// domain is not known.
	Unjudged bool
	// Candidates are the identifiers that may turn out to be authenticated. Only
	// their Method and Domain are used.
	Candidates []Identifier
	Mode       Mode
	// Each is set if the result of each author domain matters, and not only the
	// strictest.
	Each bool
}

// Evaluation holds a message's author domains and everything that their
// evaluation needs from the DNS.
type Evaluation struct {
	// names are the author domains, "" for invalid names. They do not change.
	names []string
	// authors holds what was found for each of names.
	authors    []author
	candidates []Identifier
	unjudged   bool
	// tooMany reports whether there are more author domains than MaxAuthors.
	tooMany  bool
	exceeded bool
	// each is set if no result settles the others.
	each bool
	mode Mode
	// spare is how many look-ups each author domain has for its candidates.
	spare int
}

// author is one author domain.
type author struct {
	name   string  // "" if it is not a valid domain name
	policy *Policy // nil until it is looked up, and for an invalid name
	err    *Error  // why the policy is not known
	orgs   orgDomains
	stage  stage
}

// stage is the progress of the look-ups for an author domain.
type stage uint8

const (
	stageNothing stage = iota // nothing is known yet
	stagePolicy               // policy and err are known
	stageAll                  // orgs is known too
)

func (a *author) applies() bool { return a.err == nil && a.policy.Applies() }

// Prepare returns an Evaluation that has made no look-ups yet. For each author
// domain, call LookupPolicy, then LookupAlignment, and pass what they find to Add.
// Author domains can be looked up concurrently. Anything not looked up is a
// temporary error of the evaluation.
func Prepare(q Query) *Evaluation {
	e := &Evaluation{
		candidates: q.Candidates[:min(len(q.Candidates), MaxCandidates)],
		unjudged:   q.Unjudged,
		tooMany:    len(q.Authors) > MaxAuthors,
		each:       q.Each,
	}
	names, reserved := judged(q.Authors)
	e.mode = q.Mode
	// Candidates cannot use up the look-ups that an author's fail depends on.
	e.spare = (MaxLookups - reserved) / max(1, len(names))
	e.names = make([]string, len(names))
	e.authors = make([]author, len(names))
	for i, name := range names {
		a := &e.authors[i]
		var err error
		if a.name, err = domain.ToASCII(name); err != nil {
			a.err = errAuthorSyntax
			a.stage = stageAll
			continue
		}
		e.names[i] = a.name
		a.err = errNotLookedUp
	}
	return e
}

// judged returns the author domains to judge, in their original order, and the
// maximum number of look-ups they need. If there are too many, it prefers names
// with few labels: they cost least, and organizations have short names.
func judged(authors []string) (names []string, lookups int) {
	// One for each record of the walk, and one to see if the domain exists.
	cost := func(name string) int { return min(domain.Labels(name), MaxWalk) + 1 }
	if len(authors) <= MaxAuthors {
		for _, name := range authors {
			lookups += cost(name)
		}
		return authors, lookups
	}
	order := make([]int, len(authors))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cost(authors[a]) - cost(authors[b]) })
	n := 0
	for n < min(len(order), maxJudged) && lookups+cost(authors[order[n]]) <= maxReserved {
		lookups += cost(authors[order[n]])
		n++
	}
	slices.Sort(order[:n])
	for _, i := range order[:n] {
		names = append(names, authors[i])
	}
	return names, lookups
}

// Authors returns the number of author domains that are judged.
func (e *Evaluation) Authors() int { return len(e.names) }

// Exceeded reports whether the message needed more than MaxLookups look-ups.
func (e *Evaluation) Exceeded() bool { return e.exceeded }

// Evaluate returns the result for the message, given the verified identifiers: the
// strictest result of its author domains. It makes no look-ups.
func (e *Evaluation) Evaluate(ids []Identifier) Result {
	return Strictest(e.EvaluateEach(ids))
}

// EvaluateEach returns a result for each author domain, in order. There is always
// at least one: a result without an Author stands for author domains that are
// missing, unknown or too many.
func (e *Evaluation) EvaluateEach(ids []Identifier) []Result {
	results := make([]Result, 0, len(e.authors)+1)
	for i := range e.authors {
		results = append(results, e.evaluate(&e.authors[i], ids))
	}
	// RFC 9989 section 11.5: such messages must not escape.
	switch {
	case len(e.authors) == 0:
		results = append(results, Result{}.because(errNoAuthor))
	case e.unjudged:
		results = append(results, Result{}.because(errUnjudged))
	}
	if e.tooMany {
		results = append(results, Result{}.because(errTooManyAuthors))
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

// evaluate returns the result for one author domain from what is known so far.
func (e *Evaluation) evaluate(a *author, ids []Identifier) Result {
	if a.name == "" {
		return Result{}.because(a.err)
	}
	if a.stage == stageNothing {
		res := Result{Author: a.name, Policy: &Policy{AuthorDomain: a.name, Percent: DefaultPercent}}
		return res.because(errNotLookedUp)
	}
	res := Result{Author: a.name, Policy: a.policy, Pending: a.policy.pending}
	switch {
	case a.err != nil:
		if a.vouched(ids) {
			res.Pending = DispositionNone
		}
		return res.because(a.err)
	case !a.policy.Applies():
		return res.because(a.policy.none())
	}
	// open is the result if nothing aligns but the message still might pass.
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
			open = res.because(err)
		case aligned && id.Pass:
			res.Aligned = append(res.Aligned, id)
		case aligned:
			open = res.because(fault.New(TempError, ReasonIdentifier, id.Method+" of "+id.Domain).Because(errIdentifier))
		}
	}
	switch {
	case len(res.Aligned) > 0:
		res.Status, res.Pending = Pass, DispositionNone
		return res
	case open.Status != "":
		// Whether the domain exists decides the disposition of a fail, not
		// whether the message fails.
		if open.Pending = a.policy.Effective(); stricter(a.policy.pending, open.Pending) {
			open.Pending = a.policy.pending
		}
		return open
	case a.policy.existence != nil:
		return res.because(a.policy.existence)
	}
	res.Disposition = a.policy.Effective()
	if !authenticated {
		return res.because(errNotAuthenticated)
	}
	return res.because(errNotAligned)
}

// vouched reports whether an identifier passed that is the author domain itself.
// It aligns under every policy, so the message cannot fail.
func (a *author) vouched(ids []Identifier) bool {
	return slices.ContainsFunc(ids, func(id Identifier) bool {
		name, err := domain.ToASCII(id.Domain)
		return id.Pass && (id.Method == MethodDKIM || id.Method == MethodSPF) && err == nil && name == a.name
	})
}

// Settled reports whether the result is final whatever is still to be added, given
// the best possible outcome of the identifiers, ids. If it is, there is no need to
// wait for look-ups that have not finished.
func (e *Evaluation) Settled(ids []Identifier) bool {
	settled := true
	for i := range e.authors {
		a := &e.authors[i]
		res := e.evaluate(a, ids)
		if !e.each && res.Status == Fail && res.Disposition == DispositionReject && a.policy.Percent >= DefaultPercent {
			// Nothing is stricter: see [Strictest]. If pct is below 100, the
			// policy is milder for the rest of the mail.
			return true
		}
		settled = settled && a.settled(ids)
	}
	return settled
}

// settled reports whether everything that the result for a depends on is known.
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
