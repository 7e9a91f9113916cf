package dns

import (
	"context"
	"sync"
)

// Once makes each TXT look-up of a message once, however many parts of its
// verification ask for it, one after the other or at the same time. Other look-ups
// it passes on. It is safe for concurrent use, and lives as long as the message.
type Once struct {
	Resolver

	mu    sync.Mutex
	asked map[string]*onceAnswer
}

// onceAnswer is there once done is closed.
type onceAnswer struct {
	done   chan struct{}
	answer Answer[string]
	err    error
}

// NewOnce returns a Once that asks r.
func NewOnce(r Resolver) *Once { return &Once{Resolver: r, asked: map[string]*onceAnswer{}} }

// TXT implements [Resolver]. The first who asks for a name makes the look-up, with
// their ctx; others wait for it until their own ends.
func (o *Once) TXT(ctx context.Context, name string) (Answer[string], error) {
	o.mu.Lock()
	a, found := o.asked[name]
	if !found {
		// The error stands if the look-up panics.
		a = &onceAnswer{done: make(chan struct{}), err: &Error{Type: "TXT", Name: name, Err: errPanicked}}
		o.asked[name] = a
	}
	o.mu.Unlock()
	if !found {
		defer close(a.done)
		a.answer, a.err = o.Resolver.TXT(ctx, name)
		return a.answer, a.err
	}
	select {
	case <-a.done:
		return a.answer, a.err
	case <-ctx.Done():
		return Answer[string]{}, &Error{Type: "TXT", Name: name, Err: endedError{ctx.Err()}}
	}
}
