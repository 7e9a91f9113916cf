package dmarc

import (
	"slices"

	"authmilter/verify/domain"
	"authmilter/verify/fault"
)

const (
	// MaxAuthors is how many author domains a message may have. One with more is a
	// permerror, but those of its authors whose look-ups are within maxReserved are
	// judged all the same, maxJudged at most: nobody escapes a policy by naming
	// others beside the author that readers are to see.
	MaxAuthors  = 5
	maxJudged   = 20
	maxReserved = 60
	// MaxCandidates is how many candidates are looked up for each author domain.
	// The rest are as if their look-ups did not finish.
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

// Query is what the look-ups for a message are about.
type Query struct {
	// Authors are the author domains of the message, distinct, in any form.
	Authors []string
	// Unjudged is set if the message has, or may have, an author besides whose
	// domain is not known.
	Unjudged bool
	// Candidates are the identifiers that may turn out to be authenticated. Only
	// their Method and Domain count.
	Candidates []Identifier
	Mode       Mode
}

// Evaluation is a message's author domains with everything that their
// evaluation needs from the DNS.
type Evaluation struct {
	// names are the author domains, "" for what is not a domain name. They do not
	// change, unlike authors, which has what was found of each.
	names      []string
	authors    []author
	candidates []Identifier
	unjudged   bool
	// tooMany reports that there are more author domains than MaxAuthors.
	tooMany  bool
	exceeded bool
	mode     Mode
	// spare is how many look-ups each author domain has for its candidates.
	spare int
}

// author is one author domain.
type author struct {
	name   string  // "" for what is not a domain name
	policy *Policy // nil before it is looked up, and for what is not a domain name
	err    *Error  // why the policy is not known
	orgs   orgDomains
	stage  stage
}

// stage is how far the look-ups for an author domain have come.
type stage uint8

const (
	stageNothing stage = iota // nothing is known yet
	stagePolicy               // policy and err are known
	stageAll                  // so is orgs
)

func (a *author) applies() bool { return a.err == nil && a.policy.Applies() }

// Prepare returns an Evaluation without any look-up made. For each author domain
// LookupPolicy is to be called, and LookupAlignment after it, and what they find is
// to be added. Author domains may be looked up at the same time. What is not
// looked up is a temporary error of the evaluation.
func Prepare(q Query) *Evaluation {
	e := &Evaluation{
		candidates: q.Candidates[:min(len(q.Candidates), MaxCandidates)],
		unjudged:   q.Unjudged,
		tooMany:    len(q.Authors) > MaxAuthors,
	}
	names, reserved := judged(q.Authors)
	e.mode = q.Mode
	// No candidate can use up the look-ups that a fail of an author depends on.
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

// judged returns the author domains that are judged, in their order, and how many
// look-ups they need at most. Of too many, those with the fewest labels come first:
// they cost least, and organizations have short names.
func judged(authors []string) (names []string, lookups int) {
	// One for each record of the walk, and one for whether the domain exists.
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

// Exceeded reports whether MaxLookups look-ups were not enough.
func (e *Evaluation) Exceeded() bool { return e.exceeded }

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

// evaluate judges one author domain by what is known of it.
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
		// Existence decides what a fail asks for, not whether it is one.
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
