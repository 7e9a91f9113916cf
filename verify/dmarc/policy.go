package dmarc

import (
	"context"
	"fmt"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
)

// Policy is what was found out about the policy for an author domain.
type Policy struct {
	// AuthorDomain is the author domain, as [domain.ToASCII] returns it.
	AuthorDomain string
	// RecordDomain is the DMARC Policy Domain (RFC 9989 section 3.2.5), where
	// Record was found; "" where there is none.
	RecordDomain string
	// OrgDomain is the Organizational Domain of the author domain; "" where it
	// is not known, be it that nothing depended on it.
	OrgDomain string
	// Record is the policy record for the author domain, nil where there is
	// none. It may be unusable: see Applies.
	Record *Record
	// Published is the policy that the record gives for the author domain, and
	// Tag the tag it is taken from: "p", "sp" or "np". Both are "" where no
	// policy applies. Published is a guess where it is unknown whether the
	// author domain exists: such a message is never judged to fail.
	Published Disposition
	Tag       string
	// Testing tells that Published is to be applied one level below (RFC 9989
	// section 4.7, tag t). It is false where no policy applies. See Effective.
	Testing bool
	// Percent is the tag pct of RFC 7489, for which share of messages Published
	// is to be applied: 100 in the mode TreeWalk. Nothing here depends on it.
	Percent int
	// Walk are the look-ups of records made for the author domain, in order.
	Walk []*Step

	// existence is why it is unknown whether the author domain exists, where
	// Published depends on it.
	existence error
}

// Applies tells whether DMARC applies to mail of the author domain: whether a
// record was found and is usable.
func (p *Policy) Applies() bool { return p.Published != "" }

// Effective returns what is to be done with a message that fails: Published after
// the test flag, "" where no policy applies. It is what policy.dmarc reports (RFC
// 9989 section 9.1).
func (p *Policy) Effective() Disposition {
	if p.Testing {
		return p.Published.oneLevelBelow()
	}
	return p.Published
}

// Discover finds the policy for an author domain and its Organizational Domain.
// It makes at most [MaxWalk]+1 look-ups. A domain without a policy is not an
// error. An error either wraps [domain.ErrInvalid], and there is no Policy, or
// says that a look-up did not finish, and the Policy holds what is known.
func Discover(ctx context.Context, r dns.Resolver, author string, mode Mode) (*Policy, error) {
	name, err := domain.ToASCII(author)
	if err != nil {
		return nil, fmt.Errorf("author domain: %w", err)
	}
	f := &finder{ctx: ctx, dns: r, mode: mode}
	p, err := f.policy(name)
	if err != nil {
		return p, err
	}
	if p.OrgDomain == "" {
		steps, err := f.treeWalk(name)
		p.Walk = steps
		if err != nil {
			return p, fmt.Errorf("organizational domain: %w", err)
		}
		p.OrgDomain = organizational(name, steps)
	}
	return p, p.existence
}

// policy finds the policy for author. Where err is not nil, a look-up that it
// depends on did not finish.
func (f *finder) policy(author string) (p *Policy, err error) {
	p = &Policy{AuthorDomain: author, Percent: DefaultPercent}
	if f.mode == PSL {
		err = f.policyByList(p)
	} else {
		err = f.policyByWalk(p)
	}
	if err != nil {
		return p, err
	}
	f.apply(p)
	return p, nil
}

// policyByWalk sets the record by RFC 9989 section 4.10.1: that of the author
// domain, of its Organizational Domain, or of its public suffix. The author
// domain's own ends the search.
func (f *finder) policyByWalk(p *Policy) error {
	first := f.at(p.AuthorDomain)
	p.Walk = []*Step{first}
	if first.Record != nil {
		p.found(first)
		return nil
	}
	steps, err := f.treeWalk(p.AuthorDomain)
	p.Walk = steps
	if err != nil {
		return err
	}
	// The walk for the policy starts above the author domain, the one for the
	// Organizational Domain at it. They are one walk: the first step found
	// nothing. To start above would hide "psd=y" of the parent from rule 2 of
	// section 4.10.2, and only there.
	p.OrgDomain = organizational(p.AuthorDomain, steps)
	for _, s := range steps {
		if s.Record == nil {
			continue
		}
		// The last record is the public suffix's where the Organizational Domain
		// has none.
		p.found(s)
		if s.Domain == p.OrgDomain {
			break
		}
	}
	return nil
}

// policyByList sets the record by RFC 7489 section 6.6.3: that of the author
// domain, or of its Organizational Domain. Several records end the search.
func (f *finder) policyByList(p *Policy) error {
	p.OrgDomain = registered(p.AuthorDomain)
	for _, name := range [...]string{p.AuthorDomain, p.OrgDomain} {
		s := f.at(name)
		p.Walk = append(p.Walk, s)
		if dns.IsTemporary(s.Err) {
			return s.Err
		}
		if s.Record != nil {
			p.found(s)
		}
		if s.Found > 0 || name == p.OrgDomain {
			break
		}
	}
	return nil
}

func (p *Policy) found(s *Step) {
	p.Record, p.RecordDomain = s.Record, s.Domain
}

// apply derives from the record the policy for the author domain (RFC 9989
// section 4.10.1).
func (f *finder) apply(p *Policy) {
	r := p.Record
	if r == nil || !r.Usable() {
		return
	}
	p.Testing = r.Testing
	if f.mode == PSL {
		p.Percent = r.Percent
	}
	if p.RecordDomain == p.AuthorDomain {
		p.Published, p.Tag = r.domainPolicy()
		return
	}
	p.Published, p.Tag = r.subdomainPolicy()
	if r.NP == "" || r.NP == p.Published {
		return
	}
	// Only now it matters whether the author domain exists.
	exists, err := f.exists(p.Walk[0])
	if err != nil {
		p.existence = fmt.Errorf("existence of %s: %w", p.AuthorDomain, err)
	} else if !exists {
		p.Published, p.Tag = r.NP, "np"
	}
}

// noneReason returns why no policy applies, though every look-up finished.
func (p *Policy) noneReason() (Reason, error) {
	if p.Record != nil {
		return ReasonUnusablePolicy, errUnusablePolicy
	}
	for _, s := range p.Walk {
		if s.Found > 1 {
			return ReasonSeveralPolicies, errSeveralPolicies
		}
	}
	return ReasonNoPolicy, errNoPolicy
}
