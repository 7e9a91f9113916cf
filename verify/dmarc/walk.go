package dmarc

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/net/publicsuffix"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
)

const (
	// MaxWalk is how many look-ups one DNS Tree Walk makes at most
	// (RFC 9989 section 4.10).
	MaxWalk = 8
	// MaxLookups is how many look-ups are made for one message at most. What
	// remains unknown then is a temporary error.
	MaxLookups = 70
)

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

// treeWalk walks up from start (RFC 9989 section 4.10), and returns the steps
// made. The error is that of the first look-up that did not finish. A walk with
// look-ups reserved for it goes on above that one: what is published there may
// count all the same.
func (f *finder) treeWalk(ctx context.Context, start string, c claim) (steps []*Step, err error) {
	steps = make([]*Step, 0, MaxWalk)
	for name := start; name != ""; name = nextTarget(name) {
		s := f.at(ctx, name, c)
		steps = append(steps, s)
		if err == nil && dns.IsTemporary(s.Err) {
			err = s.Err
		}
		if err != nil && c == spare || s.Record != nil && s.Record.PSD != PSDUnknown {
			break
		}
	}
	return steps, err
}

// nextTarget returns the domain to ask after name, or "" where there is none
// (RFC 9989 section 4.10 steps 3, 4 and 7).
func nextTarget(name string) string {
	name = domain.Parent(name)
	for n := domain.Labels(name); n >= MaxWalk; n-- {
		name = domain.Parent(name)
	}
	return name
}

// organizational returns the Organizational Domain that a finished walk from
// start leads to (RFC 9989 section 4.10.2).
func organizational(start string, steps []*Step) string {
	org := start
	for _, s := range steps {
		switch {
		case s.Record == nil:
			continue
		case s.Record.PSD == PSDNo:
			return s.Domain
		case s.Record.PSD == PSDYes && s.Domain != start:
			return childToward(s.Domain, start)
		}
		org = s.Domain
	}
	return org
}

// childToward returns the domain one label below parent on the way to name,
// which lies below parent.
func childToward(parent, name string) string {
	above := name[:len(name)-len(parent)-1]
	return name[strings.LastIndexByte(above, '.')+1:]
}

// registered returns the Organizational Domain of name by the public suffix
// list, with the suffixes that private parties registered
// (RFC 7489 section 3.2). A name that is a public suffix is its own.
func registered(name string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return org
}
