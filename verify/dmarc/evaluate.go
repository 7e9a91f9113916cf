package dmarc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
)

const (
	// MaxAuthors is how many author domains a message may have. One with more is a
	// permerror, but those of its authors whose look-ups are within maxReserved are
	// judged all the same, maxJudged at most: nobody escapes a policy by naming
	// others beside the author that readers are to see.
	MaxAuthors  = 5
	maxJudged   = 20
	maxReserved = 60
	// MaxCandidates is how many candidates are looked up, those of each author
	// domain counted alone. The rest are as if their look-ups did not finish.
	MaxCandidates = 32
)

var (
	errNotLookedUp = errors.New("not looked up")
	errNoOrgDomain = errors.New("organizational domain was not looked up")
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
	authors    []author
	candidates []Identifier
	unjudged   bool
	// tooMany reports that there are more author domains than MaxAuthors.
	tooMany bool
	finder  finder
}

// author is one author domain.
type author struct {
	name   string  // "" for what is not a domain name
	policy *Policy // nil before it is looked up, and for what is not a domain name
	err    error   // why the policy is not known
	orgs   orgDomains
	// stage is how far the look-ups have come. What they found may be read once
	// it says so.
	stage atomic.Int32
}

// Stages of the look-ups for an author domain.
const (
	stageNothing = iota // nothing is known yet
	stagePolicy         // policy and err are known
	stageAll            // so is orgs
)

func (a *author) applies() bool { return a.err == nil && a.policy.Applies() }

// Prepare returns an Evaluation without any look-up made. For each author domain
// LookupPolicy is to be called, and LookupAlignment after it; author domains may
// be looked up at the same time. What is not looked up is a temporary error of
// the evaluation.
func Prepare(q Query) *Evaluation {
	e := &Evaluation{
		candidates: q.Candidates[:min(len(q.Candidates), MaxCandidates)],
		unjudged:   q.Unjudged,
		tooMany:    len(q.Authors) > MaxAuthors,
	}
	names, reserved := judged(q.Authors)
	e.finder.mode = q.Mode
	// No candidate can use up the look-ups that a fail of an author depends on.
	e.finder.spare = MaxLookups - reserved
	e.authors = make([]author, len(names))
	for i, name := range names {
		a := &e.authors[i]
		var err error
		if a.name, err = domain.ToASCII(name); err != nil {
			a.err = errAuthorSyntax
			a.stage.Store(stageAll)
			continue
		}
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

// Lookup is [Prepare] with every look-up made, one after the other. It makes
// [MaxLookups] at most.
func Lookup(ctx context.Context, r dns.Resolver, q Query) *Evaluation {
	e := Prepare(q)
	for i := range e.authors {
		e.LookupPolicy(ctx, r, i)
	}
	for i := range e.authors {
		e.LookupAlignment(ctx, r, i)
	}
	return e
}

// Authors returns the number of author domains that are judged.
func (e *Evaluation) Authors() int { return len(e.authors) }

// LookupPolicy finds the policy of an author domain, by its number. It returns
// promptly once ctx ends.
func (e *Evaluation) LookupPolicy(ctx context.Context, r dns.Resolver, number int) {
	a := &e.authors[number]
	if a.name == "" {
		return
	}
	a.policy, a.err = e.finder.policy(ctx, r, a.name)
	a.stage.Store(stagePolicy)
}

// LookupAlignment finds the Organizational Domains by which candidates may align
// with an author domain whose policy has been looked up. It returns promptly once
// ctx ends.
func (e *Evaluation) LookupAlignment(ctx context.Context, r dns.Resolver, number int) {
	a := &e.authors[number]
	if a.name == "" {
		return
	}
	defer a.stage.Store(stageAll)
	if !a.applies() {
		return
	}
	a.orgs.find = func(name string, c claim) (string, error) { return e.finder.orgDomain(ctx, r, name, c) }
	if p := a.policy; p.OrgDomain != "" {
		a.orgs.set(p.AuthorDomain, p.OrgDomain, nil)
	}
	for _, c := range e.candidates {
		// What an alignment needs, it asks for. The answers are kept.
		_, _ = a.orgs.aligned(a.policy, c)
	}
	a.orgs.find = nil
	a.policy.OrgDomain, _ = a.orgs.of(a.name, reserved)
}

// Targets returns the domains whose records the policy of an author domain may
// depend on, by the number of that domain, in the order in which LookupPolicy
// asks for them.
func (e *Evaluation) Targets(number int) []string {
	author := e.authors[number].name
	if author == "" {
		return nil
	}
	if e.finder.mode == PSL {
		return []string{author, registered(author)}
	}
	names := make([]string, 0, MaxWalk)
	for name := author; name != ""; name = nextTarget(name) {
		names = append(names, name)
	}
	return names
}

// LookupAhead looks up the record of one of the Targets, so that it need not be
// waited for when its turn comes.
func (e *Evaluation) LookupAhead(ctx context.Context, r dns.Resolver, target string) {
	e.finder.at(ctx, r, target, reserved)
}

// Exceeded reports whether MaxLookups look-ups were not enough.
func (e *Evaluation) Exceeded() bool {
	e.finder.mu.Lock()
	defer e.finder.mu.Unlock()
	return e.finder.exceeded
}

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
	stage := a.stage.Load()
	if stage == stageNothing {
		res := Result{Author: a.name, Policy: &Policy{AuthorDomain: a.name, Percent: DefaultPercent}}
		return res.because(TempError, ReasonPolicyLookup, errNotLookedUp)
	}
	res := Result{Author: a.name, Policy: a.policy, Pending: a.policy.pending}
	switch {
	case a.err != nil:
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
		orgs := &a.orgs
		if stage < stageAll {
			orgs = &orgDomains{}
		}
		aligned, err := orgs.aligned(a.policy, id)
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

// Settled reports whether no look-up can change the result any more, if ids are
// what the identifiers turn out to be at best: those that have not ended need not
// be waited for. It may be called while they are made.
func (e *Evaluation) Settled(ids []Identifier) bool {
	settled := true
	for i := range e.authors {
		a := &e.authors[i]
		res := e.evaluate(a, ids)
		if res.Status == Fail && res.Disposition == DispositionReject {
			// Nothing is stricter: see [Strictest].
			return true
		}
		settled = settled && a.settled(ids)
	}
	return settled
}

// settled reports whether all is known that the result for a depends on.
func (a *author) settled(ids []Identifier) bool {
	switch a.stage.Load() {
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

// orgDomains are the Organizational Domains known.
type orgDomains struct {
	known []orgDomain
	// find finds more; nil before and after the look-ups.
	find func(name string, c claim) (string, error)
}

type orgDomain struct {
	name, org string
	err       error
}

func (o *orgDomains) set(name, org string, err error) {
	o.known = append(o.known, orgDomain{name, org, err})
}

// of returns the Organizational Domain of name.
func (o *orgDomains) of(name string, c claim) (string, error) {
	i := slices.IndexFunc(o.known, func(k orgDomain) bool { return k.name == name })
	if i >= 0 {
		return o.known[i].org, o.known[i].err
	}
	if o.find == nil {
		return "", errNoOrgDomain
	}
	org, err := o.find(name, c)
	o.set(name, org, err)
	return org, err
}

func (f *finder) orgDomain(ctx context.Context, r dns.Resolver, name string, c claim) (string, error) {
	if f.mode == PSL {
		return registered(name), nil
	}
	steps, err := f.treeWalk(ctx, r, name, c)
	if err != nil {
		return "", fmt.Errorf("organizational domain of %s: %w", name, err)
	}
	return organizational(name, steps), nil
}

// aligned reports whether id, authenticated or not, aligns with the author domain
// of p (RFC 9989 section 4.10.2). An error says that this is not known. No more
// is looked up than decides.
func (o *orgDomains) aligned(p *Policy, id Identifier) (bool, error) {
	name, m := p.compare(id)
	if m != matchOrg {
		return m == matchEqual, nil
	}
	org, err := o.of(p.AuthorDomain, reserved)
	if err != nil {
		return false, err
	}
	// A domain is its Organizational Domain or lies below it.
	if !domain.IsSubdomain(name, org) {
		return false, nil
	}
	other, err := o.of(name, spare)
	return err == nil && other == org, err
}

// match is how two domains compare before anything is looked up.
type match uint8

const (
	matchNever match = iota
	matchEqual
	matchOrg // where they have the same Organizational Domain
)

// compare compares id, whose domain name it returns, with the author domain.
func (p *Policy) compare(id Identifier) (name string, m match) {
	mode, ok := p.Record.For(id.Method)
	if !ok {
		return "", matchNever
	}
	name, err := domain.ToASCII(id.Domain)
	switch {
	case err != nil:
		return "", matchNever
	case name == p.AuthorDomain:
		return name, matchEqual
	case mode == Strict || topLevel(name) != topLevel(p.AuthorDomain):
		// Names without a common top-level domain share no other either.
		return name, matchNever
	}
	return name, matchOrg
}

func topLevel(name string) string {
	return name[strings.LastIndexByte(name, '.')+1:]
}
