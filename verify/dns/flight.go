package dns

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// flights joins identical look-ups: while one is under way, others for the same
// key wait for its result.
type flights struct {
	mu   sync.Mutex
	open map[key]*flight
}

type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int // guarded by flights.mu
	// crowded reports that the look-up had to wait for others.
	crowded atomic.Bool

	// Set before done is closed.
	result *result
	panic  error // a panic of fn, with its stack
}

// do returns the result of fn for k. However many callers call do at the same
// time, fn runs once, in a goroutine with a context made by begin. A caller
// whose ctx ends leaves with the error of ctx, joined with ErrBusy if the
// look-up had to wait for others. When the last caller has left, the look-up is
// cancelled. A panic in fn reaches every caller that waits.
func (s *flights) do(ctx context.Context, k key, begin func() (context.Context, context.CancelFunc), fn func(context.Context, *flight) *result) (*result, error) {
	s.mu.Lock()
	f := s.open[k]
	if f == nil {
		var own context.Context
		f = &flight{done: make(chan struct{})}
		own, f.cancel = begin()
		s.open[k] = f
		go s.run(own, k, f, fn)
	}
	f.waiters++
	s.mu.Unlock()

	select {
	case <-f.done:
		if f.panic != nil {
			panic(f.panic)
		}
		return f.result, nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		if f.waiters--; f.waiters == 0 {
			s.forget(k, f)
			f.cancel()
		}
		if f.crowded.Load() {
			return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
		}
		return nil, ctx.Err()
	}
}

func (s *flights) run(ctx context.Context, k key, f *flight, fn func(context.Context, *flight) *result) {
	defer close(f.done)
	defer f.cancel()
	defer func() {
		if p := recover(); p != nil {
			f.panic = fmt.Errorf("panic in a DNS look-up: %v\n%s", p, debug.Stack())
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forget(k, f)
	}()
	f.result = fn(ctx, f)
}

// forget makes the next look-up for k start afresh. f may already have been
// forgotten and another look-up have taken its place.
func (s *flights) forget(k key, f *flight) {
	if s.open[k] == f {
		delete(s.open, k)
	}
}
