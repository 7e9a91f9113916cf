package policy

import (
	"time"

	"authmilter/verify"
)

// Skip says why a message was passed on without verification.
type Skip string

// The reasons to skip a message.
const (
	NotSkipped    Skip = ""
	Authenticated Skip = "authenticated" // the client authenticated itself to the MTA
	LocalNetwork  Skip = "network"       // the client's address is in a network of ours
	Overload      Skip = "overload"      // more messages in flight than the limit allows
	ByOverride    Skip = "override"      // an override says so
)

// Skips returns every Skip but NotSkipped.
func Skips() []Skip { return []Skip{Authenticated, LocalNetwork, Overload, ByOverride} }

// Sealing is what became of adding an ARC Set to a message.
type Sealing struct {
	// Done reports that a set was added; Err why there is none though sets are
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
	Recipients Recipients
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
	// Removed counts the fields that claimed to be ours and were deleted.
	Removed Removed
	// Took is the time from MAIL FROM to the reply; EndOfMessage the part of it
	// that the MTA waited after the last octet of the body, and Stages what it
	// was spent on.
	Took         time.Duration
	EndOfMessage time.Duration
	Stages       Stages
	// Rules are those tried and what became of each, where that is asked for.
	Rules []Step
}

// Stages are what the time for a message was spent on. All but Receive are parts
// of the end of the message.
type Stages struct {
	// Receive is the time from MAIL FROM to the last octet of the body.
	Receive time.Duration
	// Wait is the time for look-ups that were still missing.
	Wait time.Duration
	// Verify is that for public-key operations and the evaluation, Decide for
	// judging and writing down the results, Seal for the ARC Set.
	Verify, Decide, Seal time.Duration
	// Write is the time for telling the MTA.
	Write time.Duration
}

// Observer is told of each finished message. Nothing waits for what it makes
// of it: Observe returns quickly and does not block. It is called by several
// goroutines at once, and must not modify the Verdict.
type Observer interface {
	Observe(*Verdict)
}
