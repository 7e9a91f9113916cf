package dmarc

import (
	"context"
	"errors"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
	"authmilter/verify/fault"
)

// MaxLookups is the maximum number of look-ups for one message. Anything still
// unknown after them is a temporary error.
const MaxLookups = 70

// prefix is the label under which records are published, with its dot.
const prefix = "_dmarc."

var errTooManyLookups = errors.New("too many DMARC look-ups for one message")

// Step is one look-up of a DMARC Policy Record.
type Step struct {
	// Domain is the domain whose record was looked up; Name is the name of that
	// record.
	Domain, Name string
	// CNAMEs are the aliases that led to the answer.
	CNAMEs []string
	// Values are all TXT records found, not only DMARC records. They belong to
	// the resolver: do not modify them.
	Values []string
	// Found is how many of Values are DMARC Policy Records. If there is more than
	// one, none of them counts.
	Found int
	// Record is the policy record, if there is exactly one.
	Record *Record
	// Err is the error of the look-up: either the name does not exist, or the
	// look-up did not finish; see [dns.IsTemporary].
	Err error
}

// finder makes the look-ups for one author domain, each only once. It is not safe
// for concurrent use.
type finder struct {
	dns   dns.Resolver
	mode  Mode
	steps []*Step
	// spare is how many unreserved look-ups are left; exceeded reports whether
	// they were not enough.
	spare    int
	exceeded bool
}

// claim says which of a message's budgets a look-up is counted against.
type claim uint8

const (
	// reserved is for the policies of the authors; [Prepare] reserves enough.
	reserved claim = iota
	// spare is for everything else.
	spare
)

// at returns the step for one domain. The first call for it makes the look-up.
func (f *finder) at(ctx context.Context, name string, c claim) *Step {
	for _, s := range f.steps {
		if s.Domain == name {
			return s
		}
	}
	s := &Step{Domain: name, Name: prefix + name}
	if c == spare {
		if f.spare == 0 {
			f.exceeded = true
			s.Err = errTooManyLookups
			return s
		}
		f.spare--
	}
	f.steps = append(f.steps, s)
	s.look(ctx, f.dns)
	return s
}

// look makes the look-up of s.
func (s *Step) look(ctx context.Context, r dns.Resolver) {
	answer, err := r.TXT(ctx, s.Name)
	s.CNAMEs, s.Err = answer.CNAMEs, err
	if err != nil {
		return
	}
	s.Values = answer.Values
	var text string
	for _, v := range s.Values {
		if IsRecord(v) {
			s.Found++
			text = v
		}
	}
	// RFC 9989 section 4.10 steps 2 and 6: if there are several, all are discarded.
	if s.Found == 1 {
		s.Record, _ = ParseRecord(text) // cannot fail: it is a record
	}
}

// exists reports whether the domain of an author exists
// (RFC 9989 section 3.2.13), given the step that looked for its record.
func (f *finder) exists(ctx context.Context, s *Step) (bool, error) {
	// A name exists if a name below it exists or is an alias (RFC 8020 section 2).
	if s.Err == nil || len(s.CNAMEs) > 0 {
		return true, nil
	}
	// Any type would do, but some servers wrongly deny that a name exists if they
	// do not know the type. They all know A.
	answer, err := f.dns.A(ctx, s.Domain)
	switch {
	case err == nil:
		return true, nil
	case dns.IsTemporary(err):
		return false, err
	}
	// After an alias, NXDOMAIN refers to its target (RFC 8020 section 2).
	return len(answer.CNAMEs) > 0, nil
}

// Lookup is like [Prepare], but also makes every look-up, one after the other. It
// makes at most [MaxLookups].
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

// Discover finds the policy for an author domain and its Organizational Domain.
// It makes at most [MaxWalk]+1 look-ups. A domain without a policy is not an
// error. If author is not a valid domain name, the error wraps
// [domain.ErrInvalid] and the Policy is nil. Any other error means that a look-up
// did not finish, and the Policy holds what is known.
func Discover(ctx context.Context, r dns.Resolver, author string, mode Mode) (*Policy, error) {
	name, err := domain.ToASCII(author)
	if err != nil {
		return nil, fault.New(PermError, ReasonAuthorSyntax, "author domain").Because(err)
	}
	f := &finder{dns: r, mode: mode}
	p, unknown := f.policy(ctx, name)
	if unknown != nil {
		return p, unknown
	}
	if p.OrgDomain == "" {
		steps, err := f.treeWalk(ctx, name, reserved)
		p.Walk = steps
		if err != nil {
			return p, fault.New(TempError, ReasonAlignmentLookup, "organizational domain").Because(err)
		}
		p.OrgDomain = organizational(name, steps)
	}
	if p.existence != nil {
		return p, p.existence
	}
	return p, nil
}

// Found holds the results of look-ups for an author domain.
type Found struct {
	number int
	author author
	finder *finder // nil if the author domain is not a valid name
}

// LookupPolicy finds the policy of the author domain with the given number. It
// returns promptly once ctx ends. Author domains have records in common, so r
// should make each look-up only once, as [dns.Once] does.
func (e *Evaluation) LookupPolicy(ctx context.Context, r dns.Resolver, number int) Found {
	f := Found{number: number, author: author{name: e.names[number], stage: stagePolicy}}
	if f.author.name == "" {
		f.author.err = errAuthorSyntax
		return f
	}
	const usual = 4 // records looked up for an ordinary message
	f.finder = &finder{dns: r, mode: e.mode, spare: e.spare, steps: make([]*Step, 0, usual)}
	f.author.policy, f.author.err = f.finder.policy(ctx, f.author.name)
	return f
}

// LookupAlignment continues from what LookupPolicy found: it finds the
// Organizational Domains that decide whether candidates align with the author
// domain. It returns promptly once ctx ends.
func (e *Evaluation) LookupAlignment(ctx context.Context, f Found) Found {
	f.author.stage = stageAll
	if f.finder == nil || !f.author.applies() {
		return f
	}
	p, orgs := f.author.policy, &f.author.orgs
	orgs.find = func(name string, c claim) (string, *Error) { return f.finder.orgDomain(ctx, name, c) }
	if p.OrgDomain != "" {
		orgs.set(p.AuthorDomain, p.OrgDomain, nil)
	}
	for _, c := range e.candidates {
		// This looks up what the alignment depends on. orgs keeps the answers.
		_, _ = orgs.aligned(p, c)
	}
	orgs.find = nil
	// No other goroutine reads p before it is added.
	p.OrgDomain, _ = orgs.of(p.AuthorDomain, reserved)
	return f
}

// Add adds the results of look-ups to the evaluation. Unlike the look-ups, it must
// not run concurrently with any other method.
func (e *Evaluation) Add(f Found) {
	e.authors[f.number] = f.author
	e.exceeded = e.exceeded || f.finder != nil && f.finder.exceeded
}

// Records returns the names of the records that the policy of the author domain
// with the given number may depend on, in the order in which LookupPolicy looks
// them up.
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
