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

// Policy is what was found about the policy for an author domain.
type Policy struct {
	// AuthorDomain is the author domain, as [domain.ToASCII] returns it.
	AuthorDomain string
	// RecordDomain is the DMARC Policy Domain (RFC 9989 section 3.2.5): the domain
	// at which Record was found, or "" if there is no record.
	RecordDomain string
	// OrgDomain is the Organizational Domain of the author domain. It is "" if it
	// is not known, possibly because nothing depended on it.
	OrgDomain string
	// Record is the policy record for the author domain, nil if there is none. It
	// may be unusable: see Applies.
	Record *Record
	// Published is the policy that the record gives for the author domain, and
	// Tag the tag it comes from: "p", "sp" or "np". Both are "" if no policy
	// applies. Published is a guess if it is unknown whether the author domain
	// exists: in that case a message never fails.
	Published Disposition
	Tag       string
	// Testing reports whether the domain wants Published applied one level lower
	// (RFC 9989 section 4.7, tag t). It is false if no policy applies. See
	// Effective.
	Testing bool
	// Percent is the percentage of messages to which Published applies, the tag
	// pct of RFC 7489. It is 100 in the mode TreeWalk. No Result depends on it.
	Percent int
	// Walk are the look-ups of records made for the author domain, in order.
	Walk []*Step

	// existence says why it is unknown whether the author domain exists, if
	// Published depends on it.
	existence *Error
	// pending is what to expect if the message fails, as long as that is not known
	// for sure; see [Result.Pending].
	pending Disposition
}

// Applies reports whether DMARC applies to mail of the author domain: whether a
// record was found and is usable.
func (p *Policy) Applies() bool { return p.Published != "" }

// Effective returns the disposition of a message that fails: Published after
// applying the test flag, or "" if no policy applies. It is the value reported as
// policy.dmarc (RFC 9989 section 9.1).
func (p *Policy) Effective() Disposition {
	if p.Testing {
		return p.Published.oneLevelBelow()
	}
	return p.Published
}

// policy finds the policy for author. An error means that a look-up that the
// policy depends on did not finish.
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

// policyByWalk sets the record by RFC 9989 section 4.10.1: the author domain's
// own, or else its Organizational Domain's, or else its public suffix's.
func (f *finder) policyByWalk(ctx context.Context, p *Policy) error {
	first := f.at(ctx, p.AuthorDomain, reserved)
	p.Walk = []*Step{first}
	if first.Record != nil {
		p.found(first)
		return nil
	}
	steps, err := f.treeWalk(ctx, p.AuthorDomain, reserved)
	p.Walk = steps
	// By the RFC, the walk for the policy starts above the author domain and the
	// walk for the Organizational Domain at the author domain. One walk does both,
	// since the first step found nothing. Starting above would only hide "psd=y" of
	// the parent from rule 2 of section 4.10.2.
	org := organizational(p.AuthorDomain, steps)
	for _, s := range steps {
		if s.Record == nil {
			continue
		}
		// If the Organizational Domain has no record, the last one found is the
		// public suffix's.
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

// policyByList sets the record by RFC 7489 section 6.6.3: the author domain's own,
// or else its Organizational Domain's. Several records at a domain end the search.
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

// withheld removes the record that was found, because err leaves open whether
// another record counts instead, and sets pending to what the record asks for. The
// error that it returns is err, extended to mention that.
func (p *Policy) withheld(err error) error {
	r, from := p.Record, p.RecordDomain
	p.Record, p.RecordDomain = nil, ""
	if slices.ContainsFunc(p.Walk, func(s *Step) bool { return errors.Is(s.Err, dns.ErrBusy) }) {
		// Not the domain's fault, and the sender may have caused it: the message
		// should be judged again when the resolver is less busy.
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

// worst returns the strictest disposition that r can ask for, after applying the
// test flag: for its own domain if own is set, or else for a subdomain, which may
// not exist.
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

// apply derives the policy for the author domain from the record
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
	// Only here does it matter whether the author domain exists.
	exists, err := f.exists(ctx, p.Walk[0])
	if err != nil {
		p.existence = fault.New(TempError, ReasonExistenceLookup, "existence of "+p.AuthorDomain).Because(err)
		p.pending = r.worst(false)
	} else if !exists {
		p.Published, p.Tag = r.NP, "np"
	}
}

// none returns why no policy applies. Every look-up must have finished.
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
