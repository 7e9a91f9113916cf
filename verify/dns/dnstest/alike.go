package dnstest

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"authmilter/verify/dns"
)

// Alike fails t if z answers differently from memory than in packets. It asks
// for every type at every name that z knows anything about, at a name below
// each of them, and at a name that z does not know. It returns the number of
// questions.
func Alike(t testing.TB, z *Zone) (questions int) {
	t.Helper()
	c := dns.Config{Servers: []string{Serve(t, z)}, Timeout: 10 * time.Second, CacheEntries: -1, MaxExchanges: 64}
	patient := dns.New(c)
	// For names that are never answered, which take the whole timeout.
	c.Timeout = 300 * time.Millisecond
	hasty := dns.New(c)
	var wg sync.WaitGroup
	for _, name := range append(z.names(), "nothing.invalid") {
		for _, name := range []string{name, "below." + name} {
			for qtype, ask := range asks(name) {
				questions++
				wg.Go(func() {
					want, packets := ask(z), patient
					if want.temporary {
						packets = hasty
					}
					got := ask(packets)
					if !reflect.DeepEqual(got, want) {
						t.Errorf("%s %s: in packets %+v, from memory %+v", qtype, name, got, want)
					}
				})
			}
		}
	}
	wg.Wait()
	return questions
}

// said is an answer with the meaning of its error.
type said struct {
	answer              any
	notFound, temporary bool
}

func saying[T any](a dns.Answer[T], err error) said {
	return said{a, dns.IsNotFound(err), dns.IsTemporary(err)}
}

// asks returns the possible questions for name, by type.
func asks(name string) map[string]func(dns.Resolver) said {
	ctx := context.Background()
	all := map[string]func(dns.Resolver) said{
		"TXT":  func(r dns.Resolver) said { return saying(r.TXT(ctx, name)) },
		"MX":   func(r dns.Resolver) said { return saying(r.MX(ctx, name)) },
		"A":    func(r dns.Resolver) said { return saying(r.A(ctx, name)) },
		"AAAA": func(r dns.Resolver) said { return saying(r.AAAA(ctx, name)) },
	}
	if addr, ok := reversed(name); ok {
		all["PTR"] = func(r dns.Resolver) said { return saying(r.PTR(ctx, addr)) }
	}
	return all
}

// reversed returns the address that name stands for in the reverse tree.
func reversed(name string) (addr netip.Addr, ok bool) {
	if digits, found := strings.CutSuffix(name, ".in-addr.arpa"); found {
		labels := strings.Split(digits, ".")
		slices.Reverse(labels)
		addr, err := netip.ParseAddr(strings.Join(labels, "."))
		return addr, err == nil
	}
	digits, found := strings.CutSuffix(name, ".ip6.arpa")
	if !found || len(digits) != 63 {
		return netip.Addr{}, false
	}
	var octets [16]byte
	for i := range octets {
		low, high := digits[62-4*i-2:62-4*i-1], digits[62-4*i:63-4*i]
		n, err := strconv.ParseUint(high+low, 16, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		octets[i] = byte(n)
	}
	return netip.AddrFrom16(octets), true
}

// names returns the names that z has records or faults for, and the names above
// them, without a trailing dot.
func (z *Zone) names() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	known := map[string]bool{}
	for name := range z.exists {
		known[name] = true
	}
	for key := range z.faults {
		name, _, _ := strings.Cut(key, " ")
		known[name] = true
	}
	var names []string
	for name := range known {
		if name != "." {
			names = append(names, strings.TrimSuffix(name, "."))
		}
	}
	slices.Sort(names)
	return names
}
