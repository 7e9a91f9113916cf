// Package policy turns the facts that package verify found about a message
// into a decision, and into the text that says so.
//
// It is pure: no input or output, no clock, no state.
package policy

import (
	"authmilter/verify"
	"authmilter/verify/dmarc"
)

// Disposition is what happens to a message.
type Disposition string

// The dispositions: those of RFC 9989 section 3.2.8, with None the message
// passes on; and Defer, to have it sent again later.
const (
	None       Disposition = Disposition(dmarc.DispositionNone)
	Quarantine Disposition = Disposition(dmarc.DispositionQuarantine)
	Reject     Disposition = Disposition(dmarc.DispositionReject)
	Defer      Disposition = "defer"
)

// Dispositions returns every Disposition.
func Dispositions() []Disposition { return []Disposition{None, Quarantine, Reject, Defer} }

// severity orders dispositions: of several that apply, the gravest counts.
// A message to be quarantined is rather taken later than marked for ever for
// what may not last.
func (d Disposition) severity() int {
	switch d {
	case Quarantine:
		return 1
	case Defer:
		return 2
	case Reject:
		return 3
	}
	return 0
}

// Mode says whether decisions are carried out.
type Mode string

// The modes.
const (
	Report  Mode = "report"  // they are told, and every message passes on
	Enforce Mode = "enforce" // they are carried out
)

// QuarantineBy is how messages are quarantined.
type QuarantineBy string

// The ways to quarantine.
const (
	ByHeader QuarantineBy = "header" // a header field, for delivery to sort by
	ByHold   QuarantineBy = "hold"   // in the MTA's own quarantine
	ByReject QuarantineBy = "reject" // by rejecting instead
)

// Rules are the receiver's rules. The zero value reports only: whatever the
// facts, the message passes on.
type Rules struct {
	// Mode is Report where it is empty.
	Mode Mode
	// Overrides are tried in their order; the first that matches in full decides.
	Overrides []Override
	// TrustedSealers are the domains whose ARC-Authentication-Results are
	// believed, as lower-case A-labels.
	TrustedSealers []string
	// QuarantineBy is ByHeader where it is empty.
	QuarantineBy QuarantineBy
	// Reply is how DMARC rejections are told.
	Reply ReplyTemplate
	// Grounds are what may be done with a message for other reasons than the
	// policy of its author domain.
	Grounds Grounds
}

// Message is what is judged.
type Message struct {
	Envelope   verify.Envelope
	Recipients Recipients
	// Listener is the address of ours that the MTA connected to.
	Listener string
	Result   *verify.Result
	// Sample is a number from 0 to 99, drawn for the message, by which it
	// belongs to the share that the tag pct of RFC 7489 means.
	Sample int
}

// Decision is the judgement on one message.
type Decision struct {
	// Disposition is what is done with the message.
	Disposition Disposition
	// Intended is what would be done if the Mode were Enforce.
	Intended Disposition
	// Requested is what the author domain's DMARC policy asks for, its test flag
	// considered; None where the message did not fail.
	Requested Disposition
	// Ground is why Intended is not None, or would not be without Reason.
	Ground Ground
	// Reason is why it is not what it would be by Ground, its zero value where
	// it is.
	Reason Reason
	// Skip reports that an override wants the message to be left alone: no results
	// are written into it.
	Skip bool
	// Reply is the reply to the client, its zero value where the message is
	// accepted.
	Reply Reply
	// Hold is what the MTA is told to hold the message for, and Mark what the
	// field says that quarantines it; both are "" where that is not done.
	Hold, Mark string
}

// Reason is a reason of ours not to do what there is a ground for.
type Reason struct {
	Type ReasonType
	// Detail explains it to a person.
	Detail string
}

// ReasonType is a reason as aggregate reports name it (RFC 9990, "Policy
// Override Reason").
type ReasonType string

// The types of reasons.
const (
	NoReason ReasonType = ""
	// LocalPolicy: an override of ours matches.
	LocalPolicy ReasonType = "local_policy"
	// MailingList: an override for a mailing list matches.
	MailingList ReasonType = "mailing_list"
	// TestMode: the domain owner tests his policy, by the tag t.
	TestMode ReasonType = "policy_test_mode"
	// SampledOut: the message is not in the share that the tag pct of RFC 7489
	// asks for.
	SampledOut ReasonType = "sampled_out"
	// TrustedForwarder: an intermediary that is trusted, by its ARC seal, says
	// that the message was authentic when it came to him.
	TrustedForwarder ReasonType = "trusted_forwarder"
)

// ReasonTypes returns every ReasonType but NoReason.
func ReasonTypes() []ReasonType {
	return []ReasonType{LocalPolicy, MailingList, TestMode, SampledOut, TrustedForwarder}
}

// Decide judges a message.
func (r *Rules) Decide(m *Message) Decision {
	f, skip := r.override(r.findings(m), m)
	d := Decision{Requested: requested(&m.Result.DMARC), Ground: f.ground, Reason: f.reason, Skip: skip}
	d.Intended, d.Disposition = r.means(f.disposition), None
	if r.Mode == Enforce {
		d.Disposition = d.Intended
		r.carryOut(&d, f, m)
	}
	return d
}

// carryOut says how the disposition of d, which f led to, is brought about.
func (r *Rules) carryOut(d *Decision, f finding, m *Message) {
	switch d.Disposition {
	case Reject, Defer:
		d.Reply = r.reply(d, f, m)
	case Quarantine:
		text := quarantineText(d, m)
		if r.QuarantineBy == ByHold {
			d.Hold = text
		} else {
			d.Mark = text
		}
	}
}

// requested returns what the author domain asks to be done with a message that
// failed DMARC.
func requested(d *dmarc.Result) Disposition {
	if d.Disposition == "" {
		return None
	}
	return Disposition(d.Disposition)
}
