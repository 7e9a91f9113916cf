package dmarc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"authmilter/verify/dns"
	"authmilter/verify/fault"
)

var (
	errNoPolicy        = fault.New(None, ReasonNoPolicy, "no DMARC policy record")
	errSeveralPolicies = fault.New(None, ReasonSeveralPolicies, "more than one DMARC policy record")
	errUnusablePolicy  = fault.New(None, ReasonUnusablePolicy, "DMARC policy record without a valid policy or reporting address")
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
	// Testing reports that Published is to be applied one level below
	// (RFC 9989 section 4.7, tag t). It is false where no policy applies. See
	// Effective.
	Testing bool
	// Percent is the tag pct of RFC 7489, for which share of messages Published
	// is to be applied: 100 in the mode TreeWalk. Nothing here depends on it.
	Percent int
	// Walk are the look-ups of records made for the author domain, in order.
	Walk []*Step

	// existence is why it is unknown whether the author domain exists, where
	// Published depends on it.
	existence *Error
	// pending is what to expect if the message fails, where that is not known for
	// sure; see [Result.Pending].
	pending Disposition
}

// Applies reports whether DMARC applies to mail of the author domain: whether a
// record was found and is usable.
func (p *Policy) Applies() bool { return p.Published != "" }

// Effective returns what is to be done with a message that fails: Published after
// the test flag, "" where no policy applies. It is what policy.dmarc reports
// (RFC 9989 section 9.1).
func (p *Policy) Effective() Disposition {
	if p.Testing {
		return p.Published.oneLevelBelow()
	}
	return p.Published
}

// policy finds the policy for author. An error says that a look-up that it
// depends on did not finish.
func (f *finder) policy(ctx context.Context, author string) (*Policy, *Error) {
	p := &Policy{AuthorDomain: author, Percent: DefaultPercent, pending: DispositionNone}
	var err error
	if f.mode == PSL {
		err = f.policyByList(ctx, p)
	} else {
		err = f.policyByWalk(ctx, p)
	}
	if err != nil {
		return p, fault.Wrap(TempError, ReasonPolicyLookup, p.withheld(err))
	}
	f.apply(ctx, p)
	return p, nil
}

// policyByWalk sets the record by RFC 9989 section 4.10.1: that of the author
// domain, of its Organizational Domain, or of its public suffix. The author
// domain's own ends the search.
func (f *finder) policyByWalk(ctx context.Context, p *Policy) error {
	first := f.at(ctx, p.AuthorDomain, reserved)
	p.Walk = []*Step{first}
	if first.Record != nil {
		p.found(first)
		return nil
	}
	steps, err := f.treeWalk(ctx, p.AuthorDomain, reserved)
	p.Walk = steps
	// The walk for the policy starts above the author domain, the one for the
	// Organizational Domain at it. They are one walk: the first step found
	// nothing. To start above would hide "psd=y" of the parent from rule 2 of
	// section 4.10.2, and only there.
	org := organizational(p.AuthorDomain, steps)
	for _, s := range steps {
		if s.Record == nil {
			continue
		}
		// The last record is the public suffix's where the Organizational Domain
		// has none.
		p.found(s)
		if s.Domain == org {
			break
		}
	}
	if err == nil {
		p.OrgDomain = org
	}
	return err
}

// policyByList sets the record by RFC 7489 section 6.6.3: that of the author
// domain, or of its Organizational Domain. Several records end the search.
func (f *finder) policyByList(ctx context.Context, p *Policy) (err error) {
	p.OrgDomain = registered(p.AuthorDomain)
	for _, name := range [...]string{p.AuthorDomain, p.OrgDomain} {
		s := f.at(ctx, name, reserved)
		p.Walk = append(p.Walk, s)
		if err == nil && dns.IsTemporary(s.Err) {
			err = s.Err
		}
		if s.Record != nil {
			p.found(s)
		}
		if s.Found > 0 || name == p.OrgDomain {
			break
		}
	}
	return err
}

// withheld takes the record back that was found although err left open whether
// another one counts, and keeps what it asks for. It returns err, which then says
// so.
func (p *Policy) withheld(err error) error {
	r, from := p.Record, p.RecordDomain
	p.Record, p.RecordDomain = nil, ""
	if slices.ContainsFunc(p.Walk, func(s *Step) bool { return errors.Is(s.Err, dns.ErrBusy) }) {
		// The domain cannot help it, and a sender may have brought it about: the
		// message is to be judged when there is time for it.
		p.pending = DispositionReject
		return err
	}
	if r == nil || !r.Usable() {
		return err
	}
	if p.pending = r.worst(from == p.AuthorDomain); p.pending == DispositionNone {
		return err
	}
	return fmt.Errorf("%w; %s asks for %s", err, from, p.pending)
}

// worst returns the strictest disposition that r can ask for a message of its own
// domain, or of one below it that may not exist, after the test flag.
func (r *Record) worst(own bool) Disposition {
	d, _ := r.domainPolicy()
	if !own {
		d, _ = r.subdomainPolicy()
		if stricter(r.NP, d) {
			d = r.NP
		}
	}
	if r.Testing {
		return d.oneLevelBelow()
	}
	return d
}

func (p *Policy) found(s *Step) {
	p.Record, p.RecordDomain = s.Record, s.Domain
}

// apply derives from the record the policy for the author domain
// (RFC 9989 section 4.10.1).
func (f *finder) apply(ctx context.Context, p *Policy) {
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
	exists, err := f.exists(ctx, p.Walk[0])
	if err != nil {
		p.existence = fault.New(TempError, ReasonExistenceLookup, "existence of "+p.AuthorDomain).Because(err)
		p.pending = r.worst(false)
	} else if !exists {
		p.Published, p.Tag = r.NP, "np"
	}
}

// none returns why no policy applies, though every look-up finished.
func (p *Policy) none() *Error {
	if p.Record != nil {
		return errUnusablePolicy
	}
	for _, s := range p.Walk {
		if s.Found > 1 {
			return errSeveralPolicies
		}
	}
	return errNoPolicy
}
