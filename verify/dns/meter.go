package dns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Meter is the [Resolver] of one message: it counts the look-ups, ends those
// beyond a limit with [ErrBudget], and records them where asked to. It is safe
// for concurrent use.
type Meter struct {
	resolver Resolver
	limit    int64
	count    atomic.Int64
	record   bool

	mu     sync.Mutex
	events []Event
}

// Event is one look-up and how it ended.
type Event struct {
	Type, Name string
	Values     []string
	CNAMEs     []string
	Authentic  bool
	TTL        time.Duration
	Took       time.Duration
	Err        error
}

// NewMeter returns a Meter that passes limit look-ups on to r.
func NewMeter(r Resolver, limit int) *Meter {
	return &Meter{resolver: r, limit: int64(limit)}
}

// Record makes the Meter keep an Event for each look-up from now on.
func (m *Meter) Record() { m.record = true }

// Count returns how many look-ups were passed on.
func (m *Meter) Count() int { return int(min(m.count.Load(), m.limit)) }

// Events returns the look-ups recorded so far, in the order of their ends.
func (m *Meter) Events() []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

func (m *Meter) TXT(ctx context.Context, name string) (Answer[string], error) {
	return metered(ctx, m, "TXT", name, m.resolver.TXT)
}

func (m *Meter) MX(ctx context.Context, name string) (Answer[MX], error) {
	return metered(ctx, m, "MX", name, m.resolver.MX)
}

func (m *Meter) A(ctx context.Context, name string) (Answer[netip.Addr], error) {
	return metered(ctx, m, "A", name, m.resolver.A)
}

func (m *Meter) AAAA(ctx context.Context, name string) (Answer[netip.Addr], error) {
	return metered(ctx, m, "AAAA", name, m.resolver.AAAA)
}

func (m *Meter) PTR(ctx context.Context, addr netip.Addr) (Answer[string], error) {
	return metered(ctx, m, "PTR", reverseName(addr), func(ctx context.Context, _ string) (Answer[string], error) {
		return m.resolver.PTR(ctx, addr)
	})
}

// metered passes one look-up on through m.
func metered[T any](ctx context.Context, m *Meter, qtype, name string, ask func(context.Context, string) (Answer[T], error)) (Answer[T], error) {
	if m.count.Add(1) > m.limit {
		return Answer[T]{}, &Error{Type: qtype, Name: name, Err: ErrBudget}
	}
	if !m.record {
		return ask(ctx, name)
	}
	begun := time.Now()
	a, err := ask(ctx, name)
	e := Event{
		Type: qtype, Name: name, CNAMEs: a.CNAMEs, Authentic: a.Authentic,
		TTL: a.TTL, Took: time.Since(begun), Err: err,
	}
	for _, v := range a.Values {
		if mx, ok := any(v).(MX); ok {
			e.Values = append(e.Values, fmt.Sprintf("%d %s", mx.Preference, mx.Host))
		} else {
			e.Values = append(e.Values, fmt.Sprint(v))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	return a, err
}
