// Package verify turns one message, from MAIL FROM to its last octet, into the
// facts that mail authentication has to say about it: DKIM (RFC 6376), SPF
// (RFC 7208), DMARC (RFC 9989) and ARC (RFC 8617).
//
// A [Verifier] is shared; a [Check] is one message. Everything streams: SPF
// begins at [Verifier.Begin], every key and policy look-up at
// [Check.EndHeader], and the body goes through the digests that the signatures
// need as it arrives. Package verify owns the only goroutines that work for a
// message; the protocol packages below it are synchronous.
package verify

import (
	"context"
	"net/netip"
	"time"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
)

// Defaults of the bounds in [Options].
const (
	DefaultMaxQueries      = 220
	DefaultLookupTime      = 15 * time.Second
	DefaultMaxHeaderBytes  = 1 << 20
	DefaultMaxHeaderFields = 2000
)

// Options say how messages are verified. The zero value of a bound means its
// default.
type Options struct {
	// Resolver answers every look-up. It is required.
	Resolver dns.Resolver
	// Receiver is the name of the host that verifies, for the macro %{r} of
	// RFC 7208 section 7.3.
	Receiver string
	// DKIM bounds and limits of signature verification.
	DKIM dkim.Options
	// Discovery is how DMARC policies and Organizational Domains are found.
	Discovery dmarc.Mode
	// MaxVoid is how many look-ups of SPF may find nothing
	// (RFC 7208 section 4.6.4): 0 means 2, a negative number none.
	MaxVoid int
	// HeloResult asks for a second SPF result, for the HELO identity, also
	// where the sender is not null.
	HeloResult bool
	// IPRev asks for the result of iprev.
	IPRev bool
	// MaxQueries bounds the look-ups made for one message, cached ones
	// included, but for those of ARC and iprev, which are [arc.MaxLookups] and
	// [iprev.MaxLookups] at most. DKIM
	// takes one for each signature verified, DMARC [dmarc.MaxLookups] at most;
	// what that leaves, and 20 at least, is for SPF, whose look-ups past it end
	// as temporary errors.
	MaxQueries int
	// LookupTime bounds the time that the look-ups of one message may take,
	// once for those begun by the envelope and once for those begun by the
	// header.
	LookupTime time.Duration
	// MaxHeaderBytes and MaxHeaderFields bound the header. A message beyond
	// them is not verified: its Result says so.
	MaxHeaderBytes  int
	MaxHeaderFields int
	// Sealer makes the ARC Sets that Check.Seal returns; nil where no message is
	// sealed.
	Sealer *arc.Sealer
	// Explain records every look-up and every step of SPF in the Result. It changes
	// none of them: what a site logs is not for a sender to see in their DNS.
	Explain bool
	// SPFExplanation asks for the explanation of an SPF fail (RFC 7208 section 6.2),
	// which costs look-ups that the sender's domain can watch.
	SPFExplanation bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Envelope is what is known of a message before its header.
type Envelope struct {
	// ClientIP is the address that the message came from; the zero Addr where
	// the MTA did not tell.
	ClientIP netip.Addr
	// ClientName is the client's host name as verified by the MTA, forward and
	// reverse; "" where there is none.
	ClientName string
	// Helo is the argument of HELO or EHLO.
	Helo string
	// MailFrom is the reverse-path without its angle brackets; "" is the null
	// sender (RFC 5321 section 4.5.5).
	MailFrom string
}

// Verifier verifies messages. It is safe for concurrent use.
type Verifier struct {
	opts Options
}

// New returns a Verifier.
func New(o Options) *Verifier {
	if o.MaxQueries == 0 {
		o.MaxQueries = DefaultMaxQueries
	}
	if o.LookupTime == 0 {
		o.LookupTime = DefaultLookupTime
	}
	if o.MaxHeaderBytes == 0 {
		o.MaxHeaderBytes = DefaultMaxHeaderBytes
	}
	if o.MaxHeaderFields == 0 {
		o.MaxHeaderFields = DefaultMaxHeaderFields
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Verifier{opts: o}
}

// Begin starts the verification of a message with its envelope, and with it
// the evaluation of SPF. Ending ctx ends every look-up of the message. The
// caller must end the Check with Finish or Cancel.
func (v *Verifier) Begin(ctx context.Context, env Envelope) *Check {
	c := newCheck(ctx, v, env)
	c.beginSPF()
	c.beginIPRev()
	return c
}
