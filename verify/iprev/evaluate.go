package iprev

import (
	"context"
	"net/netip"
	"slices"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
	"authmilter/verify/fault"
)

var (
	errNoAddress   = fault.New(PermError, ReasonNoAddress, "the address of the client is not known")
	errNoOrigin    = fault.New(PermError, ReasonNoOrigin, "the address of the client is not known")
	errNoOriginNow = fault.New(TempError, ReasonNoOrigin, "the address of the client is not known")
	errNoMatch     = fault.New(Fail, ReasonNoMatch, "no name of the address has the address")
)

// Check looks up the names of ip and their addresses. It passes if one of the
// names has the address ip.
func Check(ctx context.Context, r dns.Resolver, ip netip.Addr) Result {
	if !ip.IsValid() {
		return Result{}.because(errNoAddress)
	}
	ip = ip.Unmap()
	names, failure := lookupNames(ctx, r, ip)
	if failure != nil {
		return Result{}.because(failure)
	}
	failure = errNoMatch
	for _, text := range names {
		name, err := domain.ToASCII(text)
		if err != nil {
			continue // not a host name
		}
		addresses, unknown := lookupAddresses(ctx, r, name, ip)
		switch {
		case slices.Contains(addresses, ip):
			return Result{Status: Pass, Name: name}
		case unknown != nil:
			failure = unknown // another name may still pass
		}
	}
	return Result{}.because(failure)
}

// WithoutOrigin returns the result for a message that a relay of ours passed on if
// it is not known, because of why, which client gave it to the relay: [TempError]
// if temporary is set, otherwise [PermError].
func WithoutOrigin(temporary bool, why error) Result {
	if temporary {
		return Result{}.because(errNoOriginNow.Because(why))
	}
	return Result{}.because(errNoOrigin.Because(why))
}
