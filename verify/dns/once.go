package dns

import (
	"context"
	"sync"
)

// Once makes each TXT look-up of a message only once, however many parts of its
// verification ask for it, one after the other or at the same time. Other
// look-ups it passes on. It is safe for concurrent use, and lives as long as
// the message.
type Once struct {
	Resolver

	mu    sync.Mutex
	asked []*onceAnswer
}

// onceAnswer is the answer for one name, valid once ended is set.
type onceAnswer struct {
	name   string
	ended  bool
	answer Answer[string]
	err    error
	// done is closed when ended is set; it is nil until somebody waits.
	done chan struct{}
}

// NewOnce returns a Once that asks r.
func NewOnce(r Resolver) *Once {
	const usual = 4 // names that an ordinary message needs
	return &Once{Resolver: r, asked: make([]*onceAnswer, 0, usual)}
}

// TXT implements [Resolver]. The first caller for a name makes the look-up,
// with its own ctx; others wait for it until their ctx ends.
func (o *Once) TXT(ctx context.Context, name string) (Answer[string], error) {
	a, done := o.find(name)
	if a == nil {
		return o.ask(ctx, name)
	}
	select {
	case <-done:
		return a.answer, a.err
	case <-ctx.Done():
	}
	select {
	case <-done: // more useful than saying that ctx has ended
		return a.answer, a.err
	default:
		return Answer[string]{}, &Error{Type: "TXT", Name: name, Err: endedError{ctx.Err()}}
	}
}

// closed is a channel that never makes anyone wait.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// find returns the answer for name and a channel that is closed once it is
// there. It returns nil if nobody has asked yet; the caller must then ask.
func (o *Once) find(name string) (*onceAnswer, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.asked {
		switch {
		case a.name != name:
		case a.ended:
			return a, closed
		default:
			if a.done == nil {
				a.done = make(chan struct{})
			}
			return a, a.done
		}
	}
	o.asked = append(o.asked, &onceAnswer{name: name})
	return nil, nil
}

// ask makes the look-up of name and wakes those that wait for it.
func (o *Once) ask(ctx context.Context, name string) (answer Answer[string], err error) {
	panicked := true
	defer func() {
		if panicked {
			err = &Error{Type: "TXT", Name: name, Err: errPanicked}
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, a := range o.asked {
			if a.name == name {
				a.answer, a.err, a.ended = answer, err, true
				if a.done != nil {
					close(a.done)
				}
			}
		}
	}()
	answer, err = o.Resolver.TXT(ctx, name)
	panicked = false
	return answer, err
}
