package policy

import (
	"errors"
	"fmt"
	"slices"
)

// Action is what an [Override] has done.
type Action string

// The actions.
const (
	ActionAccept     Action = "accept"      // the message passes on, whatever was found
	ActionReportOnly Action = "report-only" // the same: as if the mode were "report" for it
	ActionQuarantine Action = "quarantine"  // a message that fails is quarantined, neither less nor more
	ActionReject     Action = "reject"      // a message that fails is rejected
	ActionSkip       Action = "skip"        // the message is left alone, and no results are written into it
)

// Actions returns every Action.
func Actions() []Action {
	return []Action{ActionAccept, ActionReportOnly, ActionQuarantine, ActionReject, ActionSkip}
}

// Loosens reports whether the action can make the disposition milder.
func (a Action) Loosens() bool { return a != ActionReject }

// Tightens reports whether the action can make the disposition stricter.
func (a Action) Tightens() bool { return a == ActionReject || a == ActionQuarantine }

// Override is a rule of the receiver's own. It asks for one or more of the
// [Conditions], and all of them must match; one item of a condition's list is
// enough.
//
// A message can have several author domains, recipients and list identifiers, and
// its sender chooses how many. An override that matches all of them matches in
// full. One that matches some, while others do not match or are not known,
// matches in part: then it only tightens.
//
// Domain names and list identifiers match what is below them too, except for those
// of a sealer.
type Override struct {
	// Name is what people call the rule; "" for none.
	Name   string
	Action Action

	// demands are in the order of the table.
	demands []demand
}

// Ask makes o ask that a condition, named by its key, match one of items, which
// are as the configuration writes them. The error names the first that cannot be
// asked for.
func (o *Override) Ask(key string, items ...string) error {
	i := slices.IndexFunc(conditions, func(c Condition) bool { return c.Name() == key })
	switch {
	case i < 0:
		return fmt.Errorf("%q is not a condition", key)
	case len(items) == 0:
		return errors.New("an empty list matches nothing")
	}
	d, err := conditions[i].ask(items)
	if err != nil {
		return err
	}
	asked := slices.DeleteFunc(slices.Clone(o.demands), func(d demand) bool { return d.condition() == conditions[i] })
	o.demands = append(asked, d)
	slices.SortFunc(o.demands, func(a, b demand) int {
		return slices.Index(conditions, a.condition()) - slices.Index(conditions, b.condition())
	})
	return nil
}

// Items returns what o asks of a condition, named by its key, normalized; nothing
// if o does not ask for it.
func (o *Override) Items(key string) []string {
	if d := o.demand(key); d != nil {
		return d.items()
	}
	return nil
}

// demand returns what o asks of a condition; nil if it does not ask for it.
func (o *Override) demand(key string) demand {
	for _, d := range o.demands {
		if d.condition().Name() == key {
			return d
		}
	}
	return nil
}

// match returns how far m matches o, and the first demand that keeps it from
// matching in full; nil if none does.
func (o *Override) match(m *Message) (extent, demand) {
	weakest, unmet := inFull, demand(nil)
	for _, d := range o.demands {
		if e := d.extent(m); e < weakest {
			weakest, unmet = e, d
		}
		if weakest == notAtAll {
			break
		}
	}
	return weakest, unmet
}

// match returns the position of the first override that m matches in full, or -1.
func (r *Rules) match(m *Message) int {
	return slices.IndexFunc(r.Overrides, func(o Override) bool {
		e, _ := o.match(m)
		return e == inFull
	})
}

// override returns the gravest of what was found as the overrides have it, and
// reports whether the message is to be left alone.
//
// The first override that m matches in full decides. Those before it that m
// matches in part only tighten, and the gravest of all counts. So an author, a
// recipient or a List-Id that a sender adds never makes the disposition milder:
// each override that the message matched in full it still matches in part, and
// what that override did then still is the least that is done.
func (r *Rules) override(found []finding, m *Message) (f finding, skip bool) {
	plain := r.gravest(found...)
	full := r.match(m)
	least := finding{disposition: None}
	for i := range r.Overrides {
		o := &r.Overrides[i]
		if i == full {
			break
		}
		if e, _ := o.match(m); e == inPart && o.Action.Tightens() {
			least = r.gravest(least, r.apply(i, found, m))
		}
	}
	f = plain
	if full >= 0 {
		f = r.apply(full, found, m)
		skip = r.Overrides[full].Action == ActionSkip && least.disposition == None
	}
	if f = r.gravest(f, least); f.disposition == plain.disposition && !skip {
		return plain, false
	}
	return f, skip
}

// apply returns what the i-th override makes of what was found.
//
// To quarantine or reject is for messages that fail. A temporary error is not a
// failure, and stays what it is. But unless temporary errors of DMARC are accepted,
// one defers a message that the override would stop if DMARC failed, because a
// sender can bring about the error.
func (r *Rules) apply(i int, found []finding, m *Message) finding {
	o := &r.Overrides[i]
	if !o.Action.Tightens() {
		f := r.gravest(found...)
		f.disposition, f.override = None, o.overrideReason(i)
		return f
	}
	failure, waiting := finding{disposition: None}, finding{disposition: None}
	for _, f := range found {
		switch {
		case f.reason == ReasonTempError:
			waiting = r.gravest(waiting, f)
		case !f.fails():
		case failure.reason == NoReason:
			failure = f
		default:
			failure = r.gravest(failure, f)
		}
	}
	if failure.reason != NoReason {
		failure.disposition = Reject
		if o.Action == ActionQuarantine && r.QuarantineBy != ByReject {
			failure.disposition = Quarantine
		}
	}
	if waiting.disposition == None && r.PerReason.TempErrors.DMARC != TempErrorAccept {
		if author, failed := methodDMARC.failed(m); failed {
			waiting = methodDMARC.deferral(author)
		}
	}
	f := r.gravest(failure, waiting)
	f.override = o.overrideReason(i)
	return f
}

// fails reports whether f is about a message that fails something: one that f does
// something with, one that fails DMARC though its domain asks for nothing, or one
// that DMARC cannot judge though that is accepted. Otherwise a sixth author would be
// a way around a rule for the others. A message that a trusted forwarder vouches for
// does not fail.
func (f *finding) fails() bool {
	switch f.reason {
	case ReasonDMARC:
		return f.disposition != None || f.override.Type != TrustedForwarder
	case ReasonAuthor:
		return true
	}
	return f.disposition != None
}

// title is what the i-th override, from 0, is called.
func (o *Override) title(i int) string {
	if o.Name != "" {
		return o.Name
	}
	return fmt.Sprintf("override %d", i+1)
}

func (o *Override) overrideReason(i int) OverrideReason {
	t := LocalPolicy
	if o.demand("list_id") != nil {
		t = MailingList
	}
	return OverrideReason{t, o.title(i) + ": " + string(o.Action)}
}

// Forgeable reports whether a sender can write all that the override asks for.
// One that names only authors or recipients is not meant: it says whose mail it
// is about, and gives up their protection knowingly.
func (o *Override) Forgeable() bool {
	isClaimed := false
	for _, d := range o.demands {
		switch d.condition().trust() {
		case proven:
			return false
		case claimed:
			isClaimed = true
		}
	}
	return isClaimed
}

// Covers reports whether every message that matches other in full matches o in
// full too, so that other never decides if it comes after o.
func (o *Override) Covers(other *Override) bool {
	for _, d := range o.demands {
		if same := other.demand(d.condition().Name()); same == nil || !d.covers(same) {
			return false
		}
	}
	return true
}
