package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Defaults of [Config].
const (
	DefaultTimeout      = 5 * time.Second
	DefaultCacheEntries = 20_000
	DefaultCacheBytes   = 16 << 20
	DefaultMaxExchanges = 512
)

// failureHold is how long a look-up that failed on every try is not tried again.
// RFC 9520 section 3.2 asks for at least one second.
const failureHold = 2 * time.Second

// Config configures a [Client]. A zero or negative number means the default, unless
// the field says otherwise.
type Config struct {
	// Servers are recursive resolvers as host:port, in order of preference.
	Servers []string
	// Timeout bounds one look-up, including all its tries.
	Timeout time.Duration
	// CacheEntries and CacheBytes bound the cache. A negative CacheEntries turns it
	// off.
	CacheEntries int
	CacheBytes   int
	// MaxStale bounds how long an expired answer is used if no server has a newer
	// one. A negative number means not at all. No answer is used for longer after it
	// expired than its TTL was.
	MaxStale time.Duration
	// MaxExchanges bounds the queries that await an answer, and thereby the open
	// sockets. Further look-ups wait.
	MaxExchanges int
	// Observer, if set, is told of each exchange and each use of the cache.
	Observer Observer
	// Transport, if set, replaces UDP and TCP.
	Transport Transport
	// Now is the clock of the cache; nil means time.Now.
	Now func() time.Time
}

// Observer counts what a [Client] does. It must be quick and safe for concurrent
// use. Types and codes come from known sets: "TXT", "NOERROR", "timeout".
type Observer interface {
	DNSQuery(qtype, rcode string, took time.Duration)
	// Each look-up ends in exactly one of these: answered from the cache, sent to a
	// server, or answered by an expired entry because no server answered.
	DNSCacheHit()
	DNSCacheMiss()
	DNSCacheStale()
}

// Transport sends one query and returns a response to it. It checks only that the
// response carries the query's ID and question. network is "udp" or "tcp".
type Transport interface {
	Exchange(ctx context.Context, network, server string, query []byte) ([]byte, error)
}

// Client is a stub resolver: it queries recursive resolvers, caches their answers
// and joins identical look-ups in flight. It implements [Resolver].
type Client struct {
	timeout   time.Duration
	servers   []*server
	transport Transport
	observer  Observer
	now       func() time.Time
	slots     chan struct{}
	cache     *cache // nil: none
	maxStale  time.Duration
	flights   flights
}

var _ Resolver = (*Client)(nil)

// New returns a Client.
func New(c Config) *Client {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.CacheEntries == 0 {
		c.CacheEntries = DefaultCacheEntries
	}
	if c.CacheBytes <= 0 {
		c.CacheBytes = DefaultCacheBytes
	}
	if c.MaxStale == 0 {
		c.MaxStale = DefaultMaxStale
	}
	if c.MaxExchanges <= 0 {
		c.MaxExchanges = DefaultMaxExchanges
	}
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	if c.Transport == nil {
		c.Transport = packets{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	client := &Client{
		timeout:   c.Timeout,
		transport: c.Transport,
		observer:  c.Observer,
		now:       c.Now,
		maxStale:  c.MaxStale,
		slots:     make(chan struct{}, c.MaxExchanges),
	}
	for _, addr := range c.Servers {
		client.servers = append(client.servers, &server{addr: addr})
	}
	if c.CacheEntries > 0 {
		client.cache = newCache(c.CacheEntries, c.CacheBytes)
	}
	client.flights.open = map[key]*flight{}
	return client
}

// Uncached returns a client that queries the same servers within the same bounds but
// uses no cache, for callers that want to know what is published now.
func (c *Client) Uncached() *Client {
	client := &Client{
		timeout:   c.timeout,
		servers:   c.servers,
		transport: c.transport,
		observer:  c.observer,
		now:       c.now,
		slots:     c.slots,
	}
	client.flights.open = map[key]*flight{}
	return client
}

func (c *Client) TXT(ctx context.Context, name string) (Answer[string], error) {
	r := c.lookup(ctx, name, dns.TypeTXT)
	return answer(c, r, r.texts)
}

func (c *Client) MX(ctx context.Context, name string) (Answer[MX], error) {
	r := c.lookup(ctx, name, dns.TypeMX)
	return answer(c, r, r.hosts)
}

func (c *Client) A(ctx context.Context, name string) (Answer[netip.Addr], error) {
	r := c.lookup(ctx, name, dns.TypeA)
	return answer(c, r, r.addrs)
}

func (c *Client) AAAA(ctx context.Context, name string) (Answer[netip.Addr], error) {
	r := c.lookup(ctx, name, dns.TypeAAAA)
	return answer(c, r, r.addrs)
}

func (c *Client) PTR(ctx context.Context, addr netip.Addr) (Answer[string], error) {
	r := c.lookup(ctx, reverseName(addr), dns.TypePTR)
	return answer(c, r, r.texts)
}

// Ping returns nil if a resolver answers, and otherwise the reason why none does. It
// asks for the name servers of the root, and bypasses the cache.
func (c *Client) Ping(ctx context.Context) error {
	own, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	defer c.slot(own, new(atomic.Bool))()
	_, err := c.ask(own, ".", dns.TypeNS)
	if err != nil && ctx.Err() != nil {
		return endedError{ctx.Err()}
	}
	return err
}

// answer makes an Answer from r and values, the slice of r that holds the records.
func answer[T any](c *Client, r *result, values []T) (Answer[T], error) {
	a := Answer[T]{CNAMEs: r.cnames}
	if r.err != nil {
		return a, r.err
	}
	a.Values, a.Authentic, a.Stale, a.TTL = values, r.authentic, r.stale, r.ttl
	if !r.expires.IsZero() {
		a.TTL = max(0, r.expires.Sub(c.now()))
	}
	return a, nil
}

// lookup returns the result for name, from the cache or from the servers.
func (c *Client) lookup(ctx context.Context, name string, qtype uint16) *result {
	k := key{qtype, canonical(name)}
	if c.cache == nil {
		return c.join(ctx, k)
	}
	r := c.cache.get(k, c.now())
	hit := r != nil
	if !hit {
		r = c.join(ctx, k)
	}
	switch {
	case r.stale:
		c.observer.DNSCacheStale()
	case hit:
		c.observer.DNSCacheHit()
	default:
		c.observer.DNSCacheMiss()
	}
	return r
}

// join returns what the servers say about k. Callers that want to know it at the
// same time share one look-up.
func (c *Client) join(ctx context.Context, k key) *result {
	fqdn, ok := question(k.name)
	if !ok {
		return failed(k, ErrNotEncodable)
	}
	if err := ctx.Err(); err != nil {
		return failed(k, endedError{err})
	}
	r, err := c.flights.do(ctx, k, func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	}, func(ctx context.Context, f *flight) *result {
		r := c.resolve(ctx, k, fqdn, &f.crowded)
		if c.cache == nil || r.cancelled() {
			return r // nobody waits for it, and it says nothing about k
		}
		return c.keep(k, r)
	})
	if err != nil {
		return failed(k, endedError{err})
	}
	return r
}

// keep caches r, or the stale answer that replaces it, and returns what it cached.
func (c *Client) keep(k key, r *result) *result {
	now := c.now()
	if old := c.instead(k, r, now); old != nil {
		r = old
	} else if r.ttl > 0 {
		r.expires = now.Add(r.ttl)
		r.staleEnd = staleEnd(k, r, c.maxStale)
	}
	c.cache.put(k, r)
	return r
}

// failed returns the result of a failed look-up. It is not kept.
func failed(k key, err error) *result {
	return &result{err: &Error{
		Type:     dns.TypeToString[k.qtype],
		Name:     k.name,
		NotFound: errors.Is(err, ErrNoSuchName) || errors.Is(err, ErrNotEncodable) || errors.Is(err, ErrLoop),
		Err:      err,
	}}
}

// resolve looks up k, and follows an answer that ends in an alias. It sets crowded
// if it has to wait for other look-ups.
func (c *Client) resolve(ctx context.Context, k key, fqdn string, crowded *atomic.Bool) *result {
	defer c.slot(ctx, crowded)()
	r := &result{}
	for name := fqdn; name != ""; {
		m, err := c.ask(ctx, name, k.qtype)
		if err == nil {
			name, err = r.read(m, fqdn, name, k.qtype)
		}
		if err == nil {
			continue
		}
		if crowded.Load() && isTimeout(err) {
			err = fmt.Errorf("%w: %w", ErrBusy, err)
		}
		f := failed(k, err)
		f.cnames = r.cnames
		f.ttl = failureHold
		if f.err.NotFound {
			f.ttl = r.ttl
		}
		return f
	}
	return r
}

// unobserved is the Observer of a client that has none.
type unobserved struct{}

func (unobserved) DNSQuery(string, string, time.Duration) {}
func (unobserved) DNSCacheHit()                           {}
func (unobserved) DNSCacheMiss()                          {}
func (unobserved) DNSCacheStale()                         {}

// server is one recursive resolver.
type server struct {
	addr string
	// slow is when a query to it last went unanswered, in Unix nanoseconds.
	slow atomic.Int64
}
