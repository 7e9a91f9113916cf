// Package verify authenticates one message, from MAIL FROM to its last octet, with
// DKIM (RFC 6376), SPF (RFC 7208), DMARC (RFC 9989) and ARC (RFC 8617). It returns
// the facts and decides nothing.
//
// A [Verifier] is shared; a [Check] verifies one message. Everything streams: SPF
// begins at [Verifier.Begin], every key and policy look-up at [Check.EndHeader],
// and the body goes through the digests that the signatures need as it arrives.
// Package verify starts all goroutines that work for a message; the protocol
// packages below it are synchronous.
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
	// Receiver is the name of the verifying host, for the SPF macro %{r}
	// (RFC 7208 section 7.3).
	Receiver string
	// DKIM holds the options of signature verification.
	DKIM dkim.Options
	// Discovery is how DMARC policies and Organizational Domains are found.
	Discovery dmarc.Mode
	// EveryAuthor waits for the DMARC policy of every author domain. Otherwise the
	// look-ups of the others end, as temporary errors, once one domain is certain to
	// ask for rejection.
	EveryAuthor bool
	// MaxVoid is how many SPF look-ups may find nothing
	// (RFC 7208 section 4.6.4): 0 means 2, a negative number means none.
	MaxVoid int
	// HeloResult adds an SPF result for the HELO identity even if the sender is
	// not null.
	HeloResult bool
	// IPRev adds the iprev result.
	IPRev bool
	// MaxQueries bounds the look-ups for one message, including cached ones but
	// not those for ARC and iprev, which have their own limits, [arc.MaxLookups]
	// and [iprev.MaxLookups]. DKIM gets one for each signature verified, and DMARC
	// [dmarc.MaxLookups]. The rest, at least 20, is for SPF, whose look-ups past
	// it end as temporary errors.
	MaxQueries int
	// LookupTime bounds the time that look-ups for one message may take: once for
	// the look-ups begun by the envelope, and once for the look-ups begun by the
	// header.
	LookupTime time.Duration
	// MaxHeaderBytes and MaxHeaderFields bound the header. A message with a larger
	// header is not verified: its Result says so.
	MaxHeaderBytes  int
	MaxHeaderFields int
	// Sealer makes the ARC Sets that Check.Seal returns; nil if no message is
	// sealed.
	Sealer *arc.Sealer
	// Explain records every look-up and every step of SPF in the Result. It does
	// not change them, so that senders cannot see from their DNS what a site logs.
	Explain bool
	// SPFExplanation fetches the explanation of an SPF fail
	// (RFC 7208 section 6.2). That costs look-ups that the sender's domain can see.
	SPFExplanation bool
	// NoOriginIsTemporary makes the result of SPF and iprev a temporary error if
	// Envelope.NoOrigin is set. Otherwise there is no SPF result, and iprev is a
	// permanent error.
	NoOriginIsTemporary bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Envelope is what is known of a message before its header.
type Envelope struct {
	// ClientIP is the address that the message came from; the zero Addr if
	// unknown.
	ClientIP netip.Addr
	// NoOrigin is why ClientIP is unknown if a relay of ours passed the message on
	// and does not say where it came from; otherwise nil.
	NoOrigin error
	// ClientName is the client's host name, if the MTA has verified it forward
	// and reverse; otherwise "".
	ClientName string
	// Helo is the argument of HELO or EHLO.
	Helo string
	// MailFrom is the reverse-path without its angle brackets; "" is the null
	// sender (RFC 5321 section 4.5.5).
	MailFrom string
}

// Client returns ClientIP as text, "" if it is unknown.
func (e *Envelope) Client() string {
	if !e.ClientIP.IsValid() {
		return ""
	}
	return e.ClientIP.String()
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

// Begin starts the verification of a message, and at once the evaluation of SPF,
// which needs only the envelope. Canceling ctx ends every look-up for the message.
// The caller must end the Check with Finish or Cancel.
func (v *Verifier) Begin(ctx context.Context, env Envelope) *Check {
	c := newCheck(ctx, v, env)
	c.beginSPF()
	c.beginIPRev()
	return c
}

// BeginDKIM is like Begin, but the Check verifies only the DKIM signatures of the
// message, and evaluates no policy: of the methods, the Result has only DKIM. It
// needs nothing of the envelope.
func (v *Verifier) BeginDKIM(ctx context.Context) *Check {
	c := newCheck(ctx, v, Envelope{})
	c.dkimOnly = true
	return c
}
