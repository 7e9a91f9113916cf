// Package policy turns the facts that package verify found about a message
// into a decision, and into the text that says so.
//
// It is pure: no input or output, no clock, no state.
package policy

import (
	"time"

	"authmilter/verify"
	"authmilter/verify/dmarc"
)

// Disposition is what happens to a message.
type Disposition string

// The dispositions (RFC 9989 section 3.2.8). With None the message passes on.
const (
	None       Disposition = Disposition(dmarc.DispositionNone)
	Quarantine Disposition = Disposition(dmarc.DispositionQuarantine)
	Reject     Disposition = Disposition(dmarc.DispositionReject)
)

// Rules are the receiver's rules. The zero value reports only: whatever the
// facts, the message passes on.
type Rules struct {
	// TrustedSealers are the domains whose ARC-Authentication-Results are
	// believed, as lower-case A-labels.
	TrustedSealers []string
}

// Decision is the judgement on one message.
type Decision struct {
	// Disposition is what is done with the message.
	Disposition Disposition
	// Requested is what the author domain's DMARC policy asks for, its test flag
	// considered; None where the message did not fail.
	Requested Disposition
	// Override is why Requested does not count, its zero value where it does.
	Override Override
}

// Override is a reason of ours not to do what an author domain asks for.
type Override struct {
	Type OverrideType
	// Detail explains it to a person.
	Detail string
}

// OverrideType is a reason as aggregate reports name it (RFC 9990, "Policy
// Override Reason").
type OverrideType string

// The types of overrides.
const (
	NoOverride OverrideType = ""
	// TrustedForwarder: an intermediary that is trusted, by its ARC seal, says
	// that the message was authentic when it came to him.
	TrustedForwarder OverrideType = "trusted_forwarder"
)

// OverrideTypes returns every OverrideType.
func OverrideTypes() []OverrideType { return []OverrideType{NoOverride, TrustedForwarder} }

// Decide judges the facts about a message.
func (r *Rules) Decide(_ verify.Envelope, res *verify.Result) Decision {
	d := Decision{Disposition: None, Requested: requested(&res.DMARC)}
	if res.DMARC.Status == dmarc.Fail {
		d.Override = r.trustedForwarder(res)
	}
	return d
}

// requested returns what the author domain asks to be done with a message that
// failed DMARC.
func requested(d *dmarc.Result) Disposition {
	if d.Disposition == "" {
		return None
	}
	return Disposition(d.Disposition)
}

// Skip says why a message was passed on without verification.
type Skip string

// The reasons to skip a message: it is not inbound.
const (
	NotSkipped    Skip = ""
	Authenticated Skip = "authenticated" // the client authenticated itself to the MTA
	LocalNetwork  Skip = "network"       // the client's address is in a network of ours
	Overload      Skip = "overload"      // more messages in flight than the limit allows
)

// Sealing is what became of adding an ARC Set to a message.
type Sealing struct {
	// Done tells that a set was added; Err why there is none though sets are
	// added here.
	Done bool
	Err  error
}

// Signing is what became of signing a message of our own. Its zero value says
// that there is no key for the message.
type Signing struct {
	// Domain and Selectors are those of the signatures added; Err is why there
	// are none though there is a key.
	Domain    string
	Selectors []string
	Err       error
}

// Verdict is all that is known about one finished message.
type Verdict struct {
	// At is when the message began.
	At time.Time
	// Listener is the address of ours that the MTA connected to.
	Listener string
	// QueueID is the MTA's name for the message; "" where it told none.
	QueueID    string
	Envelope   verify.Envelope
	Recipients []string
	// Skip tells why there is no Result; NotSkipped where there is one.
	Skip Skip
	// Result is nil for a skipped message.
	Result   *verify.Result
	Decision Decision
	// Seal tells what became of sealing it.
	Seal Sealing
	// Signing tells what became of signing a message that was skipped because it
	// is ours.
	Signing Signing
	// Removed counts the Authentication-Results fields that claimed to be ours
	// and were deleted.
	Removed int
	// Took is the time from MAIL FROM to the decision; EndOfMessage the part of
	// it that the MTA waited after the last octet of the body.
	Took         time.Duration
	EndOfMessage time.Duration
}

// Observer is told of each finished message. Nothing waits for what it makes
// of it: Observe returns quickly and does not block. It is called by several
// goroutines at once, and must not modify the Verdict.
type Observer interface {
	Observe(*Verdict)
}
