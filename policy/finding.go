package policy

import (
	"slices"
)

// finding is what the facts, without overrides, ask for.
type finding struct {
	disposition Disposition
	reason      Reason
	// code is the enhanced status code without its class that says so to the
	// client (RFC 7372), and text what does.
	code, text string
	// override is why it is less than what reason asks for.
	override OverrideReason
}

// findings returns all that the facts ask for. Of several that are alike, the first
// counts. Something that is known, and something graver that may turn out, are told
// apart: an override can ask for more if something is known.
func (r *Rules) findings(m *Message) []finding {
	list := make([]finding, 0, 4)
	list = r.dmarc(list, m)
	if len(list) == 0 || list[0].reason != ReasonDMARC {
		// A policy that asks for nothing is a reason to name, unlike an oddity
		// that is accepted.
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

// with returns list with f, unless f is about nothing or is there already.
func with(list []finding, f finding) []finding {
	if f.reason == NoReason || slices.Contains(list, f) {
		return list
	}
	return append(list, f)
}

// gravest returns the gravest of list, which is not empty; of several alike, the
// first.
func (r *Rules) gravest(list ...finding) finding {
	best := list[0]
	for _, f := range list[1:] {
		if r.means(f.disposition).severity() > r.means(best.disposition).severity() {
			best = f
		}
	}
	return best
}

// means returns what is done for d: a quarantine may be a rejection.
func (r *Rules) means(d Disposition) Disposition {
	if d == Quarantine && r.QuarantineBy == ByReject {
		return Reject
	}
	return d
}
