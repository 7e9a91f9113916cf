package dnstest

import (
	"context"
	"errors"
	"net/netip"

	mdns "github.com/miekg/dns"

	"authmilter/verify/dns"
)

// errUnanswered is the cause of a look-up of a name that times out.
var errUnanswered = errors.New("no answer, as the zone asks")

// Zone is a [dns.Resolver] that answers from memory, through the same code that
// reads packets. A name that times out fails at once, and delays are skipped.
var _ dns.Resolver = (*Zone)(nil)

// Exchange implements [dns.Transport].
func (z *Zone) Exchange(ctx context.Context, _, _ string, query []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q := new(mdns.Msg)
	if err := q.Unpack(query); err != nil {
		return nil, err
	}
	a := z.ask(q.Question[0].Name, q.Question[0].Qtype)
	if a.timeout {
		return nil, errUnanswered
	}
	return a.reply(q).Pack()
}

// reply returns the answer as the message that answers q.
func (a *answer) reply(q *mdns.Msg) *mdns.Msg {
	m := new(mdns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	m.Compress = true
	m.Rcode = a.rcode
	m.Answer = a.records
	if a.soa != nil {
		m.Ns = append(m.Ns, a.soa)
	}
	return m
}

// resolver returns an uncached client that asks the zone itself.
func (z *Zone) resolver() *dns.Client {
	z.once.Do(func() {
		z.client = dns.New(dns.Config{Servers: []string{"zone"}, Transport: z, CacheEntries: -1})
	})
	return z.client
}

func (z *Zone) TXT(ctx context.Context, name string) (dns.Answer[string], error) {
	return z.resolver().TXT(ctx, name)
}

func (z *Zone) MX(ctx context.Context, name string) (dns.Answer[dns.MX], error) {
	return z.resolver().MX(ctx, name)
}

func (z *Zone) A(ctx context.Context, name string) (dns.Answer[netip.Addr], error) {
	return z.resolver().A(ctx, name)
}

func (z *Zone) AAAA(ctx context.Context, name string) (dns.Answer[netip.Addr], error) {
	return z.resolver().AAAA(ctx, name)
}

func (z *Zone) PTR(ctx context.Context, addr netip.Addr) (dns.Answer[string], error) {
	return z.resolver().PTR(ctx, addr)
}
