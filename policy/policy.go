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
	ModeReport  Mode = "report"  // they are told, and every message passes on
	ModeEnforce Mode = "enforce" // they are carried out
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
	// PerReason says what is done for reasons other than the policy of the author
	// domain.
	PerReason PerReason
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
	// Reason is why Intended is not None, or would not be without Override.
	Reason Reason
	// Override is why Intended is not what Reason asks for; zero if it is.
	Override OverrideReason
	// Skip reports that an override wants the message to be left alone: no results
	// are written into it.
	Skip bool
	// Reply is the reply to the client, its zero value where the message is
	// accepted.
	Reply Reply
	// HoldReason is why the MTA shall hold the message, and QuarantineText the value
	// of the field that quarantines it; "" if that is not done.
	HoldReason, QuarantineText string
}

// OverrideReason says why the disposition differs from what Reason asked for.
type OverrideReason struct {
	Type OverrideType
	// Detail explains it to a person.
	Detail string
}

// OverrideType is a reason as aggregate reports name it (RFC 9990, "Policy
// Override Reason").
type OverrideType string

// The types of reasons.
const (
	NotOverridden OverrideType = ""
	// LocalPolicy: an override of ours matches.
	LocalPolicy OverrideType = "local_policy"
	// MailingList: an override for a mailing list matches.
	MailingList OverrideType = "mailing_list"
	// TestMode: the domain owner tests his policy, by the tag t.
	TestMode OverrideType = "policy_test_mode"
	// SampledOut: the message is not in the share that the tag pct of RFC 7489
	// asks for.
	SampledOut OverrideType = "sampled_out"
	// TrustedForwarder: an intermediary that is trusted, by its ARC seal, says
	// that the message was authentic when it came to him.
	TrustedForwarder OverrideType = "trusted_forwarder"
)

// OverrideTypes returns every ReasonType but NoReason.
func OverrideTypes() []OverrideType {
	return []OverrideType{LocalPolicy, MailingList, TestMode, SampledOut, TrustedForwarder}
}

// Decide judges a message.
func (r *Rules) Decide(m *Message) Decision {
	f, skip := r.override(r.findings(m), m)
	d := Decision{Requested: requested(&m.Result.DMARC), Reason: f.reason, Override: f.override, Skip: skip}
	d.Intended, d.Disposition = r.means(f.disposition), None
	if r.Mode == ModeEnforce {
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
			d.HoldReason = text
		} else {
			d.QuarantineText = text
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
