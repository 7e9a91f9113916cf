package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is the largest answer that queries allow over UDP. Packets of
	// this size pass nearly everywhere without being fragmented.
	udpSize = 1232
	// rounds is how often servers that do not answer are tried.
	rounds = 2
	// slowHold is how long a server that did not answer stays last in order.
	slowHold = 30 * time.Second
)

// slot waits until there is room for another look-up or ctx ends, and sets
// crowded if it has to wait. The caller must call free.
func (c *Client) slot(ctx context.Context, crowded *atomic.Bool) (free func()) {
	free = func() { <-c.slots }
	select {
	case c.slots <- struct{}{}:
		return free
	default:
		crowded.Store(true)
	}
	select {
	case c.slots <- struct{}{}:
		return free
	case <-ctx.Done():
		return func() {}
	}
}

// ask sends one question to the servers in turn until one of them answers.
// NOERROR and NXDOMAIN are answers; on anything else it moves on to the next
// server.
func (c *Client) ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	if ctx.Err() != nil {
		return nil, c.explain(ctx.Err())
	}
	servers := c.order()
	if len(servers) == 0 {
		return nil, errors.New("no DNS server configured")
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(c.timeout)
	}
	least := c.timeout / time.Duration(rounds*len(servers))
	var last error
	for round := range rounds {
		silent := servers[:0]
		for i, s := range servers {
			// A server that failed at once leaves its time to the tries still
			// to come: the other servers of this round, and in later rounds
			// these and the silent ones again. A look-up that waited long gets
			// fewer tries, not shorter ones.
			inRound := len(servers) - i
			tries := inRound + (rounds-1-round)*(len(silent)+inRound)
			share := max(least, time.Until(deadline)/time.Duration(tries))
			m, err := c.try(ctx, s, share, name, qtype)
			if err == nil {
				return m, nil
			}
			if ctx.Err() != nil {
				return nil, c.explain(ctx.Err())
			}
			last = err
			var said rcodeError
			if !errors.As(err, &said) {
				silent = append(silent, s)
			}
		}
		servers = silent
	}
	return nil, c.explain(last)
}

// explain describes what happened without the addresses of our sockets and
// servers, which are nobody else's business: the text may end up in a header
// field.
func (c *Client) explain(err error) error {
	if isTimeout(err) {
		return timeoutError{c.timeout}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		var call *os.SyscallError
		if errors.As(op.Err, &call) {
			return call.Err
		}
		return op.Err
	}
	return err
}

// order returns the servers in the configured order, except that servers that
// recently did not answer come last.
func (c *Client) order() []*server {
	now := c.now().UnixNano()
	servers := slices.Clone(c.servers)
	slices.SortStableFunc(servers, func(a, b *server) int {
		return slowness(a, now) - slowness(b, now)
	})
	return servers
}

func slowness(s *server, now int64) int {
	if slow := s.slow.Load(); slow != 0 && now-slow < int64(slowHold) {
		return 1
	}
	return 0
}

// try sends a question to one server and waits for the answer for the time
// given.
func (c *Client) try(ctx context.Context, s *server, within time.Duration, name string, qtype uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	edns := true
	m, err := c.exchange(ctx, "udp", s, query(name, qtype, edns))
	if err == nil && refusesEDNS(m.Rcode) {
		edns = false
		m, err = c.exchange(ctx, "udp", s, query(name, qtype, edns))
	}
	if err == nil && m.Truncated {
		m, err = c.exchange(ctx, "tcp", s, query(name, qtype, edns))
	}
	switch {
	case err != nil:
		return nil, err
	case m.Truncated:
		return nil, rcodeError("truncated answer over TCP")
	case m.Rcode == dns.RcodeServerFailure && loops(m, dns.Fqdn(name), qtype):
		return m, nil
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return nil, rcodeError(rcodeText(m.Rcode))
	case m.Rcode == dns.RcodeSuccess && isReferral(m):
		return nil, rcodeError("the server offers no recursion")
	}
	return m, nil
}

// refusesEDNS reports whether rcode is how servers answer that have no EDNS, or
// only other versions of it (RFC 6891 sections 6.1.3 and 7).
func refusesEDNS(rcode int) bool {
	return rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented || rcode == dns.RcodeBadVers
}

// isReferral reports whether m only names other servers to ask, and so says
// nothing about the name. An answer "no such record" would come with the SOA,
// or without NS records (RFC 2308 section 2.2).
func isReferral(m *dns.Msg) bool {
	if len(m.Answer) > 0 {
		return false
	}
	named := false
	for _, rr := range m.Ns {
		switch rr.(type) {
		case *dns.SOA:
			return false
		case *dns.NS:
			named = true
		}
	}
	return named
}

func query(name string, qtype uint16, edns bool) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	// AD in a query asks for AD in the answer (RFC 6840 section 5.7).
	q.AuthenticatedData = true
	if edns {
		q.SetEdns0(udpSize, false)
	}
	return q
}

// exchange sends q and returns the response to it.
func (c *Client) exchange(ctx context.Context, network string, s *server, q *dns.Msg) (*dns.Msg, error) {
	out, err := q.Pack()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotEncodable, err)
	}
	begun := time.Now()
	in, err := c.transport.Exchange(ctx, network, s.addr, out)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil, err // nobody waits any more; the server is not to blame
	}
	var m *dns.Msg
	if err == nil {
		m, err = unpack(in)
	}
	code := "malformed"
	switch {
	case err == nil:
		code = rcodeText(m.Rcode)
		s.slow.Store(0)
	case isTimeout(err):
		code = "timeout"
		s.slow.Store(c.now().UnixNano())
	case in == nil:
		code = "network"
		s.slow.Store(c.now().UnixNano())
	}
	c.observer.DNSQuery(dns.TypeToString[q.Question[0].Qtype], code, time.Since(begun))
	return m, err
}

// unpack reads a response, and accepts only a complete one. miekg/dns also
// accepts a message that ends early between two records, and records without
// data, which occur only in updates (RFC 2136 section 2.4). Either would pass
// for "no record". A TXT without strings does occur, and counts as an empty text,
// so that it does not hide the records beside it.
func unpack(in []byte) (*dns.Msg, error) {
	m := new(dns.Msg)
	err := m.Unpack(in)
	if m.Truncated {
		return m, nil // the part that arrived is of no use (RFC 2181 section 9)
	}
	count := func(at int) int { return int(binary.BigEndian.Uint16(in[at:])) }
	if err != nil || len(m.Answer) != count(6) || len(m.Ns) != count(8) || len(m.Extra) != count(10) {
		return nil, errMalformed
	}
	for _, rr := range m.Answer {
		if h := rr.Header(); h.Rdlength == 0 && h.Rrtype != dns.TypeTXT {
			return nil, errMalformed
		}
	}
	return m, nil
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

func rcodeText(rcode int) string {
	if rcode == dns.RcodeBadVers {
		return "BADVERS" // BADSIG, an error of signed messages, has the same number
	}
	if s, ok := dns.RcodeToString[rcode]; ok {
		return s
	}
	return "unassigned RCODE"
}
