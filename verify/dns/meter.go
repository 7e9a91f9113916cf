package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Meter is the [Resolver] of one message. It counts the look-ups, fails those
// over a limit with [ErrBudget], and records them if asked to. It is safe for
// concurrent use.
type Meter struct {
	resolver Resolver
	limit    int64
	count    atomic.Int64
	late     atomic.Bool
	log      *eventLog // nil: nothing is recorded
}

// Budget names what look-ups can use up.
type Budget string

const (
	// BudgetNone means that no budget was exceeded.
	BudgetNone Budget = ""
	// BudgetQueries is the limit on the number of look-ups.
	BudgetQueries Budget = "queries"
	// BudgetTime is the time that a caller has for its look-ups.
	BudgetTime Budget = "time"
)

// eventLog holds the events that meters record.
type eventLog struct {
	mu     sync.Mutex
	events []Event
}

// Event is one look-up and how it ended.
type Event struct {
	Type, Name string
	Values     []string
	CNAMEs     []string
	Authentic  bool
	Stale      bool
	TTL        time.Duration
	Took       time.Duration
	Err        error
}

// NewMeter returns a Meter that passes limit look-ups on to r.
func NewMeter(r Resolver, limit int) *Meter {
	return &Meter{resolver: r, limit: int64(limit)}
}

// Record makes the Meter, and Meters split off after the call, keep an Event
// for each look-up. Call it before the first look-up.
func (m *Meter) Record() { m.log = &eventLog{} }

// Split returns a Meter for a part of the message with its own limit, so that
// no part can use up what another needs. It records into the same list.
func (m *Meter) Split(limit int) *Meter {
	return &Meter{resolver: m.resolver, limit: int64(limit), log: m.log}
}

// Count returns how many look-ups were passed on.
func (m *Meter) Count() int { return int(min(m.count.Load(), m.limit)) }

// Exceeded returns the budget that was too small so far: the number of
// look-ups, or the time if a context's deadline came before an answer. A
// look-up that a caller cancelled exceeds nothing. Meters that were split off
// do not count.
func (m *Meter) Exceeded() Budget {
	switch {
	case m.count.Load() > m.limit:
		return BudgetQueries
	case m.late.Load():
		return BudgetTime
	}
	return BudgetNone
}

// Events returns the look-ups recorded so far, in the order in which they
// ended.
func (m *Meter) Events() []Event {
	if m.log == nil {
		return nil
	}
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	return slices.Clone(m.log.events)
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

// metered passes a look-up on, counting and recording it in m.
func metered[T any](ctx context.Context, m *Meter, qtype, name string, ask func(context.Context, string) (Answer[T], error)) (Answer[T], error) {
	if m.count.Add(1) > m.limit {
		return Answer[T]{}, &Error{Type: qtype, Name: name, Err: ErrBudget}
	}
	begun := time.Now()
	a, err := ask(ctx, name)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		m.late.Store(true)
	}
	if m.log == nil {
		return a, err
	}
	e := Event{
		Type: qtype, Name: name, CNAMEs: a.CNAMEs, Authentic: a.Authentic, Stale: a.Stale,
		TTL: a.TTL, Took: time.Since(begun), Err: err,
	}
	for _, v := range a.Values {
		if mx, ok := any(v).(MX); ok {
			e.Values = append(e.Values, fmt.Sprintf("%d %s", mx.Preference, mx.Host))
		} else {
			e.Values = append(e.Values, fmt.Sprint(v))
		}
	}
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	m.log.events = append(m.log.events, e)
	return a, err
}
