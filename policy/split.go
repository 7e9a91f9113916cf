package policy

import (
	"slices"

	"authmilter/verify"
	"authmilter/verify/dmarc"
)

// splitAuthor returns the author domain that most readers show, if its mail passes
// DMARC and the message's other author domains are shown by some readers only
// ([message.Author.Bracketed]). Otherwise, and if an author cannot be judged, it
// returns "".
func splitAuthor(res *verify.Result) string {
	name := res.Author.Bracketed
	if name == "" || slices.ContainsFunc(res.Authors, func(d dmarc.Result) bool { return d.Status == dmarc.PermError }) {
		return ""
	}
	if !slices.ContainsFunc(res.Authors, func(d dmarc.Result) bool { return d.Status == dmarc.Pass && d.Author == name }) {
		return ""
	}
	return name
}

// soften returns f, which an author domain asks for, as a quarantine if it is
// stricter and the readers of the message are split: most show the author in split,
// for whom it passes. Without the punctuation that splits them, the rest would be a
// display name, which proves nothing, and the message would be accepted.
//
// A deferral stays if quarantine means rejection, because a temporary error must
// not reject a message.
func (r *Rules) soften(f finding, split string) finding {
	if split == "" || f.disposition.severity() <= Quarantine.severity() || f.disposition == Defer && r.QuarantineBy == ByReject {
		return f
	}
	f.disposition = Quarantine
	f.override = OverrideReason{LocalPolicy, "readers are split: most show " + split + ", which passes"}
	return f
}
