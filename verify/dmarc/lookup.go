package dmarc

import (
	"context"
	"errors"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
	"authmilter/verify/fault"
)

// MaxLookups is how many look-ups are made for one message at most. What remains
// unknown then is a temporary error.
const MaxLookups = 70

// prefix is the label under which records are published, with its dot.
const prefix = "_dmarc."

var errTooManyLookups = errors.New("too many DMARC look-ups for one message")

// Step is one look-up of a DMARC Policy Record.
type Step struct {
	// Domain is the domain whose record was asked for; Name is the name of that
	// record.
	Domain, Name string
	// CNAMEs are the aliases that led to the answer.
	CNAMEs []string
	// Values are the TXT records found, whatever they are. They belong to the
	// resolver: do not modify them.
	Values []string
	// Found is how many of Values are DMARC Policy Records. More than one count
	// as none, but are told.
	Found int
	// Record is the policy record, where there is exactly one.
	Record *Record
	// Err is the error of the look-up. It may say that the name does not exist,
	// or leave everything open: see [dns.IsTemporary].
	Err error
}

// finder makes the look-ups for one author domain, each once. It is used by one
// goroutine.
type finder struct {
	dns   dns.Resolver
	mode  Mode
	steps []*Step
	// spare is how many look-ups are left for those that have none reserved, and
	// exceeded reports that they were not enough.
	spare    int
	exceeded bool
}

// claim says out of which look-ups of a message one is made.
type claim uint8

const (
	// reserved is for the policies of the authors: [Prepare] keeps what they need.
	reserved claim = iota
	// spare is for the rest.
	spare
)

// at returns the step for one domain.
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
	// RFC 9989 section 4.10 steps 2 and 6: several are all discarded.
	if s.Found == 1 {
		s.Record, _ = ParseRecord(text) // cannot fail: it is a record
	}
}

// exists reports whether the domain of an author exists
// (RFC 9989 section 3.2.13), given the step that looked for its record.
func (f *finder) exists(ctx context.Context, s *Step) (bool, error) {
	// A name exists if one below it does, or is an alias (RFC 8020 section 2).
	if s.Err == nil || len(s.CNAMEs) > 0 {
		return true, nil
	}
	// The type does not matter, but servers that wrongly deny names for types
	// they do not know, know this one.
	answer, err := f.dns.A(ctx, s.Domain)
	switch {
	case err == nil:
		return true, nil
	case dns.IsTemporary(err):
		return false, err
	}
	// Behind an alias, NXDOMAIN is about its target (RFC 8020 section 2).
	return len(answer.CNAMEs) > 0, nil
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

// Discover finds the policy for an author domain and its Organizational Domain.
// It makes at most [MaxWalk]+1 look-ups. A domain without a policy is not an
// error. An error either wraps [domain.ErrInvalid], and there is no Policy, or
// says that a look-up did not finish, and the Policy holds what is known.
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
	orgs.find = func(name string, c claim) (string, *Error) { return f.finder.orgDomain(ctx, name, c) }
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
