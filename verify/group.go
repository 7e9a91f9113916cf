package verify

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// group runs the look-ups of one message, each in a goroutine, and tells when
// the last of them has ended.
type group struct {
	wg sync.WaitGroup
	// open counts the running functions, and one more until the group is
	// sealed.
	open  atomic.Int32
	ready chan struct{}
	// failure is the first panic of a function. It is raised again by the next
	// wait, in the goroutine that owns the message.
	failure atomic.Pointer[Panic]
}

func newGroup() *group {
	g := &group{ready: make(chan struct{})}
	g.open.Store(1)
	return g
}

// run starts fn. It must not be called once the group is sealed.
func (g *group) run(fn func()) {
	g.open.Add(1)
	g.wg.Go(func() {
		defer g.end()
		defer func() {
			if v := recover(); v != nil {
				g.failure.CompareAndSwap(nil, &Panic{Value: v, Stack: debug.Stack()})
			}
		}()
		fn()
	})
}

// seal says that nothing more will be run: from now on ready closes with the
// last function. It is called once.
func (g *group) seal() { g.end() }

func (g *group) end() {
	if g.open.Add(-1) == 0 {
		close(g.ready)
	}
}

// wait returns when every function has ended, and panics with a *[Panic] where
// one of them did, once.
func (g *group) wait() {
	g.wg.Wait()
	if p := g.failure.Swap(nil); p != nil {
		panic(p)
	}
}

// Panic is what [Check.Finish] and [Check.Cancel] panic with where a goroutine
// of the message panicked, so that the failure stays within its message.
type Panic struct {
	Value any
	Stack []byte
}

// Error returns the value and the stack of the goroutine that panicked.
func (p *Panic) Error() string { return fmt.Sprintf("%v\n%s", p.Value, p.Stack) }
