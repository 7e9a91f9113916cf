// Package policy decides what happens to a message from the facts that package
// verify found, and writes the header fields and replies that report it.
//
// It is pure: no input or output, no clock, no state.
package policy

import (
	"authmilter/verify"
	"authmilter/verify/dmarc"
)

// Disposition is what happens to a message.
type Disposition string

// The dispositions of RFC 9989 section 3.2.8, of which None delivers the message
// as usual, and Defer, which has the client send it again later.
const (
	None       Disposition = Disposition(dmarc.DispositionNone)
	Quarantine Disposition = Disposition(dmarc.DispositionQuarantine)
	Reject     Disposition = Disposition(dmarc.DispositionReject)
	Defer      Disposition = "defer"
)

// Dispositions returns every Disposition.
func Dispositions() []Disposition { return []Disposition{None, Quarantine, Reject, Defer} }

// severity orders dispositions: if several apply, the strictest wins. Defer
// outranks Quarantine, so that a temporary problem does not mark a message
// permanently.
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
	ModeReport  Mode = "report"  // decisions are only reported; every message is delivered
	ModeEnforce Mode = "enforce" // decisions are carried out
)

// QuarantineBy is how messages are quarantined.
type QuarantineBy string

// The ways to quarantine.
const (
	ByHeader QuarantineBy = "header" // add a header field that delivery can sort by
	ByHold   QuarantineBy = "hold"   // hold it in the MTA's own quarantine
	ByReject QuarantineBy = "reject" // reject it instead
)

// Rules are the receiver's rules. The zero value only reports: every message is
// delivered.
type Rules struct {
	// Mode defaults to ModeReport.
	Mode Mode
	// Overrides are tried in order; the first that matches in full decides.
	Overrides []Override
	// TrustedSealers are the domains whose ARC-Authentication-Results fields are
	// trusted, as lower-case A-labels.
	TrustedSealers []string
	// QuarantineBy defaults to ByHeader.
	QuarantineBy QuarantineBy
	// Reply is the reply to messages rejected by DMARC.
	Reply ReplyTemplate
	// PerReason says what happens for reasons other than the author domain's
	// policy.
	PerReason PerReason
}

// Message is a message to decide about.
type Message struct {
	Envelope   verify.Envelope
	Recipients Recipients
	// Listener is our address that the MTA connected to.
	Listener string
	Result   *verify.Result
	// Sample is a random number from 0 to 99. The pct tag of RFC 7489 applies to
	// the messages whose Sample is lower.
	Sample int
}

// Decision is the decision about one message.
type Decision struct {
	// Disposition is what happens to the message.
	Disposition Disposition
	// Intended is what would happen to it in ModeEnforce and without overrides that
	// have the action ActionReportOnly: these make its mode ModeReport.
	Intended Disposition
	// Requested is what the author domain's DMARC policy asks for, after its test
	// flag; None if the message did not fail.
	Requested Disposition
	// Reason is why Intended is not None, or would not be but for Override.
	Reason Reason
	// Override is why less or more is done in ModeEnforce than Reason asks for; zero
	// if it is just that.
	Override OverrideReason
	// Skip reports that an override leaves the message alone: no results are
	// added to it.
	Skip bool
	// Reply is the reply to the client, the zero value if the message is accepted.
	Reply Reply
	// HoldReason is why the MTA should hold the message, and QuarantineText the
	// value of the field that quarantines it; "" if that does not happen.
	HoldReason, QuarantineText string
}

// OverrideReason says why the disposition differs from what the Reason asks for.
type OverrideReason struct {
	Type OverrideType
	// Detail explains it to a person.
	Detail string
}

// OverrideType is the type of an override, as named in aggregate reports
// (RFC 9990, "Policy Override Reason").
type OverrideType string

// The types of overrides.
const (
	NotOverridden OverrideType = ""
	// LocalPolicy: one of our overrides matches.
	LocalPolicy OverrideType = "local_policy"
	// MailingList: an override for a mailing list matches.
	MailingList OverrideType = "mailing_list"
	// TestMode: the domain owner is testing the policy, with the t tag.
	TestMode OverrideType = "policy_test_mode"
	// SampledOut: the pct tag of RFC 7489 exempts the message.
	SampledOut OverrideType = "sampled_out"
	// TrustedForwarder: a trusted ARC sealer reports that the message was
	// authentic when it received it.
	TrustedForwarder OverrideType = "trusted_forwarder"
)

// OverrideTypes returns every OverrideType except NotOverridden.
func OverrideTypes() []OverrideType {
	return []OverrideType{LocalPolicy, MailingList, TestMode, SampledOut, TrustedForwarder}
}

// Decide returns the decision about a message.
func (r *Rules) Decide(m *Message) Decision {
	f, intended, skip := r.override(r.findings(m), m)
	d := Decision{Requested: requested(&m.Result.DMARC), Reason: intended.reason, Override: f.override, Skip: skip}
	d.Intended, d.Disposition = r.means(intended.disposition), None
	if r.Mode == ModeEnforce {
		d.Disposition = r.means(f.disposition)
		r.carryOut(&d, f, m)
	}
	return d
}

// carryOut sets in d how its disposition, which f led to, is carried out.
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

// requested returns the disposition that the author domain asks for if the message
// failed DMARC.
func requested(d *dmarc.Result) Disposition {
	if d.Disposition == "" {
		return None
	}
	return Disposition(d.Disposition)
}
