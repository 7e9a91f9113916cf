package iprev

import (
	"context"
	"net/netip"

	"authmilter/verify/dns"
	"authmilter/verify/fault"
)

// maxNames limits how many names are looked up (RFC 8601 section 3), since the
// owner of the address decides how many there are.
const maxNames = 10

// MaxLookups is the maximum number of look-ups that Check makes.
const MaxLookups = 1 + maxNames

var errNoName = fault.New(PermError, ReasonNoName, "the address has no name")

// lookupNames returns the names of ip. If there is no error, there is at least
// one.
func lookupNames(ctx context.Context, r dns.Resolver, ip netip.Addr) ([]string, *Error) {
	names, err := r.PTR(ctx, ip)
	switch {
	case dns.IsTemporary(err):
		return nil, fault.Wrap(TempError, ReasonDNS, err)
	case err != nil, len(names.Values) == 0:
		return nil, errNoName
	}
	return names.Values[:min(len(names.Values), maxNames)], nil
}

// lookupAddresses returns the addresses of name in the address family of ip. There
// are none if the name does not exist.
func lookupAddresses(ctx context.Context, r dns.Resolver, name string, ip netip.Addr) ([]netip.Addr, *Error) {
	look := r.AAAA
	if ip.Is4() {
		look = r.A
	}
	a, err := look(ctx, name)
	switch {
	case dns.IsTemporary(err):
		return nil, fault.New(TempError, ReasonDNS, "address of "+name).Because(err)
	case err != nil:
		return nil, nil
	}
	return a.Values, nil
}
