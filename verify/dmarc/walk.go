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
	// MaxWalk is how many look-ups one DNS Tree Walk makes at most (RFC 9989
	// section 4.10).
	MaxWalk = 8
	// MaxLookups is how many look-ups are made for one message at most. What
	// remains unknown then is a temporary error.
	MaxLookups = 50
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

// finder makes the look-ups for one message, each once, and as many as
// MaxLookups. It is used by one goroutine.
type finder struct {
	ctx     context.Context
	dns     dns.Resolver
	mode    Mode
	steps   []*Step
	lookups int
	// exceeded tells that MaxLookups were not enough.
	exceeded bool
}

// ask counts a look-up, and returns an error where it must not be made.
func (f *finder) ask() error {
	if f.lookups == MaxLookups {
		f.exceeded = true
		return errTooManyLookups
	}
	f.lookups++
	return nil
}

// at returns the step for one domain.
func (f *finder) at(name string) *Step {
	for _, s := range f.steps {
		if s.Domain == name {
			return s
		}
	}
	s := &Step{Domain: name, Name: prefix + name}
	f.steps = append(f.steps, s)
	if s.Err = f.ask(); s.Err != nil {
		return s
	}
	var answer dns.Answer[string]
	answer, s.Err = f.dns.TXT(f.ctx, s.Name)
	s.CNAMEs = answer.CNAMEs
	if s.Err != nil {
		return s
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
	return s
}

// exists tells whether the domain of an author exists (RFC 9989 section
// 3.2.13), given the step that looked for its record.
func (f *finder) exists(s *Step) (bool, error) {
	// A name exists if one below it does, or is an alias (RFC 8020 section 2).
	if s.Err == nil || len(s.CNAMEs) > 0 {
		return true, nil
	}
	if err := f.ask(); err != nil {
		return false, err
	}
	// The type does not matter, but servers that wrongly deny names for types
	// they do not know, know this one.
	answer, err := f.dns.A(f.ctx, s.Domain)
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
// made. Where err is not nil, a look-up did not finish and the walk ended there.
func (f *finder) treeWalk(start string) (steps []*Step, err error) {
	steps = make([]*Step, 0, MaxWalk)
	for name := start; name != ""; name = nextTarget(name) {
		s := f.at(name)
		steps = append(steps, s)
		if dns.IsTemporary(s.Err) {
			return steps, s.Err
		}
		if s.Record != nil && s.Record.PSD != PSDUnknown {
			break
		}
	}
	return steps, nil
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
// list, with the suffixes that private parties registered (RFC 7489 section
// 3.2). A name that is a public suffix is its own.
func registered(name string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return org
}
