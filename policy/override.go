package policy

import (
	"errors"
	"fmt"
	"slices"
)

// Action is what an [Override] does.
type Action string

// The actions.
const (
	ActionAccept     Action = "accept"      // deliver the message, whatever was found
	ActionReportOnly Action = "report-only" // the same, and report what the other rules would do: as if the mode were "report" for it
	ActionQuarantine Action = "quarantine"  // quarantine a message that fails, no more and no less
	ActionReject     Action = "reject"      // reject a message that fails
	ActionSkip       Action = "skip"        // leave the message alone and add no results to it
)

// Actions returns every Action.
func Actions() []Action {
	return []Action{ActionAccept, ActionReportOnly, ActionQuarantine, ActionReject, ActionSkip}
}

// Loosens reports whether the action can make the disposition milder.
func (a Action) Loosens() bool { return a != ActionReject }

// Tightens reports whether the action can make the disposition stricter.
func (a Action) Tightens() bool { return a == ActionReject || a == ActionQuarantine }

// Override is one of the receiver's own rules. It has one or more of the
// [Conditions], and all of them must match. A condition matches if one item of its
// list does.
//
// A message can have several author domains, recipients and list identifiers, and
// its sender chooses how many. An override that matches all of them matches in
// full. One that matches some, while others do not match or are not known,
// matches in part: then it only tightens.
//
// Domain names and list identifiers also match everything below them. Only a
// sealer must match exactly.
type Override struct {
	// Name is shown to people; "" if there is none.
	Name   string
	Action Action

	// demands are in the order of conditions.
	demands []demand
}

// Ask makes o require that the condition with the given key match one of items,
// which are written as in the configuration. The error names the first invalid
// item.
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

// Items returns the items, normalized, that o lists for the condition with the
// given key, or nil if o does not have that condition.
func (o *Override) Items(key string) []string {
	if d := o.demand(key); d != nil {
		return d.items()
	}
	return nil
}

// demand returns o's demand for the condition with the given key, or nil if o does
// not have that condition.
func (o *Override) demand(key string) demand {
	for _, d := range o.demands {
		if d.condition().Name() == key {
			return d
		}
	}
	return nil
}

// match returns how far m matches o, and the first demand that keeps it from
// matching in full, or nil if there is none.
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

// override applies the overrides to what was found. It returns what that leads to,
// what it would lead to without the overrides that only report, and whether to leave
// the message alone.
func (r *Rules) override(found []finding, m *Message) (f, intended finding, skip bool) {
	plain := r.strictest(found...)
	f, decided := r.search(found, m, true)
	intended, skip = f, decided == ActionSkip && f.disposition == None
	if decided == ActionReportOnly {
		intended, _ = r.search(found, m, false)
	}
	if f.disposition == plain.disposition && intended.disposition == plain.disposition && !skip {
		return plain, plain, false
	}
	return f, intended, skip
}

// search applies the overrides, those that only report included or not, to what was
// found. It returns the strictest finding and the action of the override that decides,
// "" if none does.
//
// The first override that m matches in full decides. Earlier ones that m matches
// in part only tighten, and the strictest of all counts. So adding an author, a
// recipient or a List-Id never makes the disposition milder: the message still
// matches in part every override that it matched in full, and what that override
// asks for remains the minimum.
func (r *Rules) search(found []finding, m *Message, reporting bool) (finding, Action) {
	plain, least := r.strictest(found...), finding{disposition: None}
	for i := range r.Overrides {
		o := &r.Overrides[i]
		if o.Action == ActionReportOnly && !reporting {
			continue
		}
		switch e, _ := o.match(m); {
		case e == inFull:
			return r.strictest(r.apply(i, found, m), least), o.Action
		case e == inPart && o.Action.Tightens():
			least = r.strictest(least, r.apply(i, found, m))
		}
	}
	return r.strictest(plain, least), ""
}

// NeedsEveryAuthor reports whether the disposition can depend on the policies of
// other author domains although one domain asks for rejection. It can if an override
// turns that rejection into a quarantine: a policy that is not known then outranks it
// and defers the message.
func (r *Rules) NeedsEveryAuthor() bool {
	return r.QuarantineBy != ByReject &&
		slices.ContainsFunc(r.Overrides, func(o Override) bool { return o.Action == ActionQuarantine })
}

// apply returns the finding that results if the i-th override applies to found.
//
// Quarantine and reject apply only to messages that fail. A temporary error is not
// a failure and is left as it is. But a sender can cause one: unless temporary
// errors of DMARC are accepted, such an error defers a message that the override
// would stop if DMARC failed.
func (r *Rules) apply(i int, found []finding, m *Message) finding {
	o := &r.Overrides[i]
	if !o.Action.Tightens() {
		f := r.strictest(found...)
		f.disposition, f.override = None, o.overrideReason(i)
		return f
	}
	failure, waiting := finding{disposition: None}, finding{disposition: None}
	for _, f := range found {
		switch {
		case f.reason == ReasonTempError:
			waiting = r.strictest(waiting, f)
		case !f.fails():
		case failure.reason == NoReason:
			failure = f
		default:
			failure = r.strictest(failure, f)
		}
	}
	if failure.reason != NoReason {
		failure.disposition = Reject
		if o.Action == ActionQuarantine && r.QuarantineBy != ByReject {
			failure.disposition = Quarantine
		}
	}
	if waiting.disposition != Defer && r.PerReason.TempErrors.DMARC != TempErrorAccept {
		if author, failed := methodDMARC.failed(m); failed {
			waiting = methodDMARC.deferral(author)
		}
	}
	f := r.strictest(failure, waiting)
	f.override = o.overrideReason(i)
	return f
}

// fails reports whether f counts as a failure of the message. It does if f has a
// disposition. It also does if DMARC fails but the domain asks for nothing, or if
// DMARC cannot be evaluated but such mail is accepted: otherwise a sender could get
// around a rule for some authors by adding a sixth. A message that a trusted
// forwarder vouches for does not fail DMARC.
func (f *finding) fails() bool {
	switch f.reason {
	case ReasonDMARC:
		return f.disposition != None || f.override.Type != TrustedForwarder
	case ReasonAuthor:
		return true
	}
	return f.disposition != None
}

// title returns the name of o, the i-th override counted from 0, or its number.
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

// Forgeable reports whether a sender can forge everything that the override
// matches on. An override that names only authors or recipients does not count: it
// gives up protecting them on purpose.
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

// Covers reports whether every message that matches other in full also matches o
// in full, so that other never decides if it comes after o.
func (o *Override) Covers(other *Override) bool {
	for _, d := range o.demands {
		if same := other.demand(d.condition().Name()); same == nil || !d.covers(same) {
			return false
		}
	}
	return true
}
