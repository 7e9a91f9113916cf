// Package iprev checks whether the address of a client has a host name that has
// that address (RFC 8601 section 3).
package iprev

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
)

// Status is the result for a client, in the words of RFC 8601 section 2.7.3.
type Status string

// The statuses.
const (
	Pass      Status = "pass"      // a name of the address has the address
	Fail      Status = "fail"      // the address has names, and none of them has it
	TempError Status = "temperror" // a look-up did not finish
	PermError Status = "permerror" // the address has no names, or there is no address
)

// Statuses returns every Status.
func Statuses() []Status { return []Status{Pass, Fail, TempError, PermError} }

// Reason names why a client did not pass, from a fixed set, for counting.
type Reason string

// The reasons, by the status they lead to.
const (
	ReasonNoMatch   Reason = "no_match"   // Fail
	ReasonDNS       Reason = "dns"        // TempError
	ReasonNoAddress Reason = "no_address" // PermError
	ReasonNoName    Reason = "no_name"    // PermError
)

// Outcome is a status with a reason for it.
type Outcome struct {
	Status Status
	Reason Reason
}

// Outcomes returns every Outcome there is.
func Outcomes() []Outcome {
	return []Outcome{
		{Pass, ""},
		{Fail, ReasonNoMatch},
		{TempError, ReasonDNS},
		{PermError, ReasonNoAddress},
		{PermError, ReasonNoName},
	}
}

// Result is what was found about a client.
type Result struct {
	Status Status
	// Reason is empty for a pass.
	Reason Reason
	// Name is the verified host name, as lower-case A-labels; "" where there is
	// none.
	Name string
	// Err explains each status but pass to a person.
	Err error
}

// maxNames is how many names are looked up (RFC 8601 section 3): whoever
// controls the address decides how many there are.
const maxNames = 10

// MaxLookups is how many look-ups Check makes at most.
const MaxLookups = 1 + maxNames

var (
	errNoAddress = errors.New("the address of the client is not known")
	errNoName    = errors.New("the address has no name")
	errNoMatch   = errors.New("no name of the address has the address")
)

// Check looks up the names of ip and their addresses.
func Check(ctx context.Context, r dns.Resolver, ip netip.Addr) Result {
	if !ip.IsValid() {
		return Result{Status: PermError, Reason: ReasonNoAddress, Err: errNoAddress}
	}
	ip = ip.Unmap()
	names, err := r.PTR(ctx, ip)
	switch {
	case dns.IsNotFound(err), err == nil && len(names.Values) == 0:
		return Result{Status: PermError, Reason: ReasonNoName, Err: errNoName}
	case err != nil:
		return Result{Status: TempError, Reason: ReasonDNS, Err: err}
	}
	addresses := r.AAAA
	if ip.Is4() {
		addresses = r.A
	}
	result := Result{Status: Fail, Reason: ReasonNoMatch, Err: errNoMatch}
	for _, text := range names.Values[:min(len(names.Values), maxNames)] {
		name, err := domain.ToASCII(text)
		if err != nil {
			continue // no host has such a name
		}
		a, err := addresses(ctx, name)
		switch {
		case err == nil && slices.Contains(a.Values, ip):
			return Result{Status: Pass, Name: name}
		case err != nil && !dns.IsNotFound(err):
			// Another name may still pass.
			result = Result{Status: TempError, Reason: ReasonDNS, Err: fmt.Errorf("address of %s: %w", name, err)}
		}
	}
	return result
}
