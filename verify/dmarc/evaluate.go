package dmarc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
)

const (
	// MaxAuthors is how many author domains of a message are judged.
	MaxAuthors = 5
	// MaxCandidates is how many candidates are looked up, those of each author
	// domain counted alone. The rest are as if their look-ups did not finish.
	MaxCandidates = 32
)

var errNotLookedUp = errors.New("organizational domain was not looked up")

// Query is what a [Lookup] is about.
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
// evaluation needs from the DNS. It may be used by several goroutines.
type Evaluation struct {
	authors []author
	// dropped tells that there are more author domains than are judged, unjudged
	// that there is an author without one.
	dropped  bool
	unjudged bool
	exceeded bool
	orgs     orgDomains
}

// author is one author domain.
type author struct {
	policy *Policy // nil for what is not a domain name
	err    error   // why the policy is not known
}

func (a *author) applies() bool { return a.err == nil && a.policy.Applies() }

// Lookup makes every look-up that evaluating the message can need, [MaxLookups]
// at most. It returns promptly once ctx ends; what is not known by then is a
// temporary error of the evaluation.
func Lookup(ctx context.Context, r dns.Resolver, q Query) *Evaluation {
	f := &finder{ctx: ctx, dns: r, mode: q.Mode}
	e := &Evaluation{unjudged: q.Unjudged, orgs: orgDomains{finder: f}}
	for _, name := range q.Authors {
		if len(e.authors) == MaxAuthors {
			e.dropped = true
			break
		}
		e.authors = append(e.authors, f.author(name))
	}
	candidates := q.Candidates[:min(len(q.Candidates), MaxCandidates)]
	// The Organizational Domains of all authors come first: no candidate can use
	// up the look-ups that a fail of another author depends on.
	for i := range e.authors {
		e.lookupAuthor(&e.authors[i], candidates)
	}
	for i := range e.authors {
		if a := &e.authors[i]; a.applies() {
			// What an alignment needs, it asks for. The answers are kept.
			for _, c := range candidates {
				_, _ = e.orgs.aligned(a.policy, c)
			}
		}
	}
	e.exceeded = f.exceeded
	e.orgs.finder = nil
	return e
}

// Exceeded tells whether MaxLookups look-ups were not enough.
func (e *Evaluation) Exceeded() bool { return e.exceeded }

func (f *finder) author(text string) author {
	name, err := domain.ToASCII(text)
	if err != nil {
		return author{err: errAuthorSyntax}
	}
	p, err := f.policy(name)
	return author{policy: p, err: err}
}

// lookupAuthor finds the Organizational Domain of a, if the alignment of a
// candidate depends on it.
func (e *Evaluation) lookupAuthor(a *author, candidates []Identifier) {
	if !a.applies() {
		return
	}
	p := a.policy
	if p.OrgDomain != "" {
		e.orgs.set(p.AuthorDomain, p.OrgDomain, nil)
		return
	}
	if slices.ContainsFunc(candidates, func(c Identifier) bool { _, m := p.compare(c); return m == matchOrg }) {
		p.OrgDomain, _ = e.orgs.of(p.AuthorDomain)
	}
}

// Policies returns what was found for each author domain, in their order, nil
// for what is not a domain name.
func (e *Evaluation) Policies() []*Policy {
	list := make([]*Policy, len(e.authors))
	for i := range e.authors {
		list[i] = e.authors[i].policy
	}
	return list
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
	// RFC 9989 section 11.5: neither may escape.
	switch {
	case len(e.authors) == 0:
		results = append(results, Result{Status: PermError, Reason: ReasonNoAuthor, Err: errNoAuthor})
	case e.unjudged:
		results = append(results, Result{Status: PermError, Reason: ReasonAuthorSyntax, Err: errUnjudged})
	}
	if e.dropped {
		results = append(results, Result{Status: PermError, Reason: ReasonTooManyAuthors, Err: errTooManyAuthors})
	}
	for i := range results {
		if results[i].Disposition == "" {
			results[i].Disposition = DispositionNone
		}
	}
	return results
}

func (e *Evaluation) evaluate(a *author, ids []Identifier) Result {
	if a.policy == nil {
		return Result{}.because(PermError, ReasonAuthorSyntax, a.err)
	}
	res := Result{Author: a.policy.AuthorDomain, Policy: a.policy}
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
		aligned, err := e.orgs.aligned(a.policy, id)
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
		res.Status = Pass
		return res
	case open.Status != "":
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

// because returns r with a status that is explained.
func (r Result) because(s Status, reason Reason, err error) Result {
	r.Status, r.Reason, r.Err = s, reason, err
	return r
}

// orgDomains are the Organizational Domains known.
type orgDomains struct {
	known []orgDomain
	// finder finds more; nil once the look-ups have ended.
	finder *finder
}

type orgDomain struct {
	name, org string
	err       error
}

func (o *orgDomains) set(name, org string, err error) {
	o.known = append(o.known, orgDomain{name, org, err})
}

// of returns the Organizational Domain of name.
func (o *orgDomains) of(name string) (string, error) {
	i := slices.IndexFunc(o.known, func(k orgDomain) bool { return k.name == name })
	if i >= 0 {
		return o.known[i].org, o.known[i].err
	}
	if o.finder == nil {
		return "", errNotLookedUp
	}
	org, err := o.finder.orgDomain(name)
	o.set(name, org, err)
	return org, err
}

func (f *finder) orgDomain(name string) (string, error) {
	if f.mode == PSL {
		return registered(name), nil
	}
	steps, err := f.treeWalk(name)
	if err != nil {
		return "", fmt.Errorf("organizational domain of %s: %w", name, err)
	}
	return organizational(name, steps), nil
}

// aligned tells whether id, authenticated or not, aligns with the author domain
// of p (RFC 9989 section 4.10.2). An error says that this is not known. No more
// is looked up than decides.
func (o *orgDomains) aligned(p *Policy, id Identifier) (bool, error) {
	name, m := p.compare(id)
	if m != matchOrg {
		return m == matchEqual, nil
	}
	org, err := o.of(p.AuthorDomain)
	if err != nil {
		return false, err
	}
	// A domain is its Organizational Domain or lies below it.
	if !domain.IsSubdomain(name, org) {
		return false, nil
	}
	other, err := o.of(name)
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
