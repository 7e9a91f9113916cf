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
	errNoAddress = fault.New(PermError, ReasonNoAddress, "the address of the client is not known")
	errNoMatch   = fault.New(Fail, ReasonNoMatch, "no name of the address has the address")
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
