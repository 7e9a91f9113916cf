// Package dns looks up the records that mail authentication needs.
//
// Protocol packages see only [Resolver], [Answer] and the two questions to ask
// about an error, [IsNotFound] and [IsTemporary]. [Client] is the resolver that
// sends packets, keeps a cache and joins identical look-ups. [Meter] wraps it
// for one message.
package dns

import (
	"context"
	"net/netip"
	"time"
)

// Resolver looks up records. Names are domain names with or without a trailing
// dot, in A-label form, in any case.
//
// A name that exists but has no record of the requested type (NODATA) gives an
// Answer without values and no error. A name that does not exist (NXDOMAIN), or
// cannot exist because it is not encodable, gives an error for which
// [IsNotFound] is true. A look-up that did not finish for any reason (timeout,
// SERVFAIL, REFUSED, network, budget, ctx) gives an error for which
// [IsTemporary] is true. There is no third kind. Answer.CNAMEs is set as far as
// it is known, even if an error is returned.
//
// Implementations are safe for concurrent use, and return promptly once ctx
// ends. Callers must not modify the values of an Answer: a cache shares them.
type Resolver interface {
	// TXT returns each TXT record of name with its character-strings joined
	// without a separator (RFC 7208 section 3.3, RFC 6376 section 3.6.2.2).
	TXT(ctx context.Context, name string) (Answer[string], error)
	// MX returns the mail exchangers of name, most preferred first.
	MX(ctx context.Context, name string) (Answer[MX], error)
	// A returns the IPv4 addresses of name.
	A(ctx context.Context, name string) (Answer[netip.Addr], error)
	// AAAA returns the IPv6 addresses of name.
	AAAA(ctx context.Context, name string) (Answer[netip.Addr], error)
	// PTR returns the names that addr has in the reverse tree, without trailing
	// dots.
	PTR(ctx context.Context, addr netip.Addr) (Answer[string], error)
}

// Answer is what a look-up found.
type Answer[T any] struct {
	// Values are the records at the end of the CNAME chain.
	Values []T
	// CNAMEs are the targets passed on the way, in order and without trailing
	// dots. It is empty if the name itself had the records.
	CNAMEs []string
	// Authentic reports whether the resolver vouched for the answer with the AD
	// bit (RFC 4035 section 3.2.3).
	Authentic bool
	// Stale reports that the answer had expired and is used because no server
	// had a newer one (RFC 8767).
	Stale bool
	// TTL is how long the answer may be kept.
	TTL time.Duration
}

// MX is one mail exchanger.
type MX struct {
	Preference uint16
	Host       string // without a trailing dot; "" is the null MX (RFC 7505)
}
