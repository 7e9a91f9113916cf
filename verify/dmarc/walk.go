package dmarc

import (
	"context"
	"strings"

	"golang.org/x/net/publicsuffix"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
)

// Mode is how policies and Organizational Domains are found.
type Mode uint8

const (
	// TreeWalk is the DNS Tree Walk of RFC 9989 section 4.10.
	TreeWalk Mode = iota
	// PSL is the method of RFC 7489 sections 3.2 and 6.6.3, with the public suffix
	// list that is compiled in. Only discovery differs: records are parsed by
	// RFC 9989. A public suffix's own policy, RFC 9091 section 3.3, is not looked
	// up.
	PSL
)

// String returns "tree-walk" or "psl".
func (m Mode) String() string {
	if m == PSL {
		return "psl"
	}
	return "tree-walk"
}

// MaxWalk is the maximum number of look-ups of one DNS Tree Walk
// (RFC 9989 section 4.10).
const MaxWalk = 8

// treeWalk walks up from start (RFC 9989 section 4.10) and returns the steps it
// made. The error comes from the first look-up that did not finish. A walk with
// reserved look-ups continues after such an error: records further up may still
// count.
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

// nextTarget returns the domain that the walk visits after name, or "" if there is
// none (RFC 9989 section 4.10 steps 3, 4 and 7).
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
// list, including its private section (RFC 7489 section 3.2). A name that is a
// public suffix is its own Organizational Domain.
func registered(name string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return org
}
