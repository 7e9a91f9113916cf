package policy

import (
	"slices"
)

// finding is a reason found in the facts and the disposition it asks for.
type finding struct {
	disposition Disposition
	reason      Reason
	// code and text are the reply to the client: an enhanced status code without
	// its class (RFC 7372), and the text.
	code, text string
	// override is why the disposition is milder than what reason asks for.
	override OverrideReason
}

// findings returns everything that the facts ask for, without overrides. Of equal
// findings, the first counts. Facts that are known and stricter ones that may turn
// up later are separate findings: an override can ask for more if something is
// known.
func (r *Rules) findings(m *Message) []finding {
	list := make([]finding, 0, 4)
	list = r.dmarc(list, m)
	if len(list) == 0 || list[0].reason != ReasonDMARC {
		// A policy that asks for nothing is still a reason to report; an oddity
		// that is accepted is not.
		list = slices.Insert(list, 0, finding{disposition: None})
	}
	list = r.author(list, m)
	list = r.severalFrom(list, m)
	list = r.severalAuthors(list, m)
	list = r.spf(list, m)
	list = r.dkim(list, m)
	list = r.iprev(list, m)
	return r.tempError(list, m)
}

// with returns list with f added, unless f has no reason or is already there.
func with(list []finding, f finding) []finding {
	if f.reason == NoReason || slices.Contains(list, f) {
		return list
	}
	return append(list, f)
}

// strictest returns the strictest finding of list, which is not empty; the first, if
// there are several.
func (r *Rules) strictest(list ...finding) finding {
	best := list[0]
	for _, f := range list[1:] {
		if r.means(f.disposition).severity() > r.means(best.disposition).severity() {
			best = f
		}
	}
	return best
}

// means returns what d amounts to: a quarantine can be a rejection.
func (r *Rules) means(d Disposition) Disposition {
	if d == Quarantine && r.QuarantineBy == ByReject {
		return Reject
	}
	return d
}
