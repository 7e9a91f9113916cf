package policy

import (
	"net/netip"
	"time"

	"authmilter/verify"
)

// Skip is why a message was delivered without verification.
type Skip string

// The reasons to skip a message.
const (
	NotSkipped    Skip = ""
	Authenticated Skip = "authenticated" // the client authenticated itself to the MTA
	LocalNetwork  Skip = "network"       // the client's address is in one of our networks
	Overload      Skip = "overload"      // more messages in flight than the limit allows
	ByOverride    Skip = "override"      // an override with the action "skip" matched
)

// Skips returns every Skip except NotSkipped.
func Skips() []Skip { return []Skip{Authenticated, LocalNetwork, Overload, ByOverride} }

// Refusal is why a message is refused whatever the policy: a field that claims to be
// ours would stay in it, and readers behind us would believe it.
type Refusal string

// The reasons to refuse a message.
const (
	NotRefused    Refusal = ""
	OddFieldName  Refusal = "field_name"    // no MTA could be asked to remove a field of this name
	TooManyForged Refusal = "forged_fields" // removing them all would keep the MTA busy for too long
)

// Refusals returns every Refusal except NotRefused.
func Refusals() []Refusal { return []Refusal{OddFieldName, TooManyForged} }

// Sealing is the outcome of adding an ARC Set to a message.
type Sealing struct {
	// Done reports that a set was added. Err is why there is none although
	// sealing is configured.
	Done bool
	Err  error
}

// Signing is the outcome of signing one of our own messages. The zero value means
// that there is no key for the message.
type Signing struct {
	// Domain and Selectors describe the signatures added. Err is why there are
	// none although there is a key.
	Domain    string
	Selectors []string
	Err       error
}

// Verdict is everything known about a finished message.
type Verdict struct {
	// At is when the message began.
	At time.Time
	// Listener is our address that the MTA connected to.
	Listener string
	// QueueID is the MTA's name for the message, "" if it sent none.
	QueueID    string
	Envelope   verify.Envelope
	Recipients Recipients
	// Relay is the relay of ours that passed the message on, as the client of the
	// MTA; the zero Addr if there is none. The Envelope has the client that gave
	// the message to the first relay.
	Relay netip.Addr
	// Skip is why there is no Result; NotSkipped if there is one.
	Skip Skip
	// Result is nil for a skipped message.
	Result *verify.Result
	// DKIMOnly has the DKIM results of a message skipped because it is ours; nil
	// unless the configuration asks for them. No other method was evaluated.
	DKIMOnly *verify.Result
	Decision Decision
	// Seal is the outcome of sealing the message.
	Seal Sealing
	// Signing is the outcome of signing a message that was skipped because it is
	// ours.
	Signing Signing
	// Refused is why the message is refused whatever the policy; Decision has the
	// reply.
	Refused Refusal
	// Removed counts the fields that claimed to be ours and were deleted, and
	// HarmlessRemoved those among them that are [Harmless]. The others are forged.
	Removed         Removed
	HarmlessRemoved int
	// Took is the time from MAIL FROM to the reply. EndOfMessage is the part of it
	// that the MTA waited after the last octet of the body. Stages are what the
	// time was spent on.
	Took         time.Duration
	EndOfMessage time.Duration
	Stages       Stages
	// Rules are the rules that were tried, if the configuration asks for them.
	Rules []Step
}

// Forged returns the number of forged fields that were deleted.
func (v *Verdict) Forged() int { return v.Removed.Total() - v.HarmlessRemoved }

// Stages divide up the time that a message took. All except Receive are part of
// EndOfMessage.
type Stages struct {
	// Receive is the time from MAIL FROM to the last octet of the body.
	Receive time.Duration
	// Wait is the time for look-ups that were still missing.
	Wait time.Duration
	// Verify is the time for public-key operations and evaluation, Decide for the
	// decision and the text of the results, and Seal for the ARC Set.
	Verify, Decide, Seal time.Duration
	// Write is the time for the answer to the MTA.
	Write time.Duration
}

// Observer is notified of each finished message. Observe must return quickly,
// without blocking, and must not modify the Verdict. Several goroutines call it at
// once.
type Observer interface {
	Observe(*Verdict)
}
