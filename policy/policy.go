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
type Rules struct{}

// Decision is the judgement on one message.
type Decision struct {
	// Disposition is what is done with the message.
	Disposition Disposition
	// Requested is what the author domain's DMARC policy asks for, its test flag
	// considered; None where the message did not fail.
	Requested Disposition
}

// Decide judges the facts about a message.
func (r *Rules) Decide(_ verify.Envelope, res *verify.Result) Decision {
	return Decision{Disposition: None, Requested: requested(&res.DMARC)}
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
