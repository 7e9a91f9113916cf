package dmarc

import (
	"context"
	"errors"
	"slices"

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
	// MaxCandidates is how many candidates are looked up for each author domain.
	// The rest are as if their look-ups did not finish.
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
	err    error   // why the policy is not known
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

// Lookup is [Prepare] with every look-up made, one after the other. It makes
// [MaxLookups] at most.
func Lookup(ctx context.Context, r dns.Resolver, q Query) *Evaluation {
	e := Prepare(q)
	r = dns.NewOnce(r)
	found := make([]Found, len(e.authors))
	for i := range found {
		found[i] = e.LookupPolicy(ctx, r, i)
	}
	for _, f := range found {
		e.Add(e.LookupAlignment(ctx, f))
	}
	return e
}

// Authors returns the number of author domains that are judged.
func (e *Evaluation) Authors() int { return len(e.names) }

// Found is what look-ups have found out about an author domain.
type Found struct {
	number int
	author author
	finder *finder // nil for what is not a domain name
}

// LookupPolicy finds the policy of an author domain, by its number. It returns
// promptly once ctx ends. Author domains have records in common: r makes each
// look-up once, as [dns.Once] does.
func (e *Evaluation) LookupPolicy(ctx context.Context, r dns.Resolver, number int) Found {
	f := Found{number: number, author: author{name: e.names[number], stage: stagePolicy}}
	if f.author.name == "" {
		f.author.err = errAuthorSyntax
		return f
	}
	const usual = 4 // records that are looked up for an ordinary message
	f.finder = &finder{dns: r, mode: e.mode, spare: e.spare, steps: make([]*Step, 0, usual)}
	f.author.policy, f.author.err = f.finder.policy(ctx, f.author.name)
	return f
}

// LookupAlignment goes on from what LookupPolicy found: it finds the Organizational
// Domains by which candidates may align with the author domain. It returns promptly
// once ctx ends.
func (e *Evaluation) LookupAlignment(ctx context.Context, f Found) Found {
	f.author.stage = stageAll
	if f.finder == nil || !f.author.applies() {
		return f
	}
	p, orgs := f.author.policy, &f.author.orgs
	orgs.find = func(name string, c claim) (string, error) { return f.finder.orgDomain(ctx, name, c) }
	if p.OrgDomain != "" {
		orgs.set(p.AuthorDomain, p.OrgDomain, nil)
	}
	for _, c := range e.candidates {
		// What an alignment needs, it asks for. The answers are kept.
		_, _ = orgs.aligned(p, c)
	}
	orgs.find = nil
	// Nobody else reads it before it is added.
	p.OrgDomain, _ = orgs.of(p.AuthorDomain, reserved)
	return f
}

// Add has the evaluation take account of what was found. Unlike the look-ups it
// must not run at the same time as any other method.
func (e *Evaluation) Add(f Found) {
	e.authors[f.number] = f.author
	e.exceeded = e.exceeded || f.finder != nil && f.finder.exceeded
}

// Records returns the names of the records that the policy of an author domain may
// depend on, by its number, in the order in which LookupPolicy asks for them.
func (e *Evaluation) Records(number int) []string {
	author := e.names[number]
	if author == "" {
		return nil
	}
	if e.mode == PSL {
		return []string{prefix + author, prefix + registered(author)}
	}
	names := make([]string, 0, MaxWalk)
	for name := author; name != ""; name = nextTarget(name) {
		names = append(names, prefix+name)
	}
	return names
}

// Exceeded reports whether MaxLookups look-ups were not enough.
func (e *Evaluation) Exceeded() bool { return e.exceeded }
