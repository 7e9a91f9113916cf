package verify

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// group runs the look-ups of one message, each in a goroutine, and says when
// those that the result depends on have ended.
type group struct {
	wg    sync.WaitGroup
	ready chan struct{}
	// settled reports whether the result depends on none of the functions that
	// may matter and that still run. It is asked once all others have ended.
	settled func() bool

	// mu guards what follows, and what settled reads.
	mu sync.Mutex
	// needed and maybe count the running functions: those that the result needs,
	// and one more until the group is sealed; and those that may matter.
	needed, maybe int
	closed        bool // ready is closed
	// failure is the first panic of a function. It is raised again by the next
	// wait, in the goroutine that owns the message.
	failure *Panic
}

func newGroup(settled func() bool) *group {
	return &group{ready: make(chan struct{}), settled: settled, needed: 1}
}

// need starts fn, which the result needs. It must not be called once the group is
// sealed.
func (g *group) need(fn func()) { g.run(&g.needed, fn) }

// may starts fn, which the result may depend on. Once the group is sealed only a
// function that runs, or what it waits for, may call it.
func (g *group) may(fn func()) { g.run(&g.maybe, fn) }

func (g *group) run(count *int, fn func()) {
	g.mu.Lock()
	*count++
	g.mu.Unlock()
	g.wg.Go(func() {
		defer g.end(count)
		defer func() {
			if v := recover(); v != nil {
				g.fail(&Panic{Value: v, Stack: debug.Stack()})
			}
		}()
		fn()
	})
}

func (g *group) fail(p *Panic) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure == nil {
		g.failure = p
	}
}

// seal says that nothing more will be needed. It is called once.
func (g *group) seal() { g.end(&g.needed) }

// end takes one off count.
func (g *group) end(count *int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*count--
	g.update()
}

// update closes ready if it is time to. It is called with mu held. After a panic
// all is waited for: what a function left behind must not be looked at.
func (g *group) update() {
	if g.closed || g.needed > 0 {
		return
	}
	if g.maybe == 0 || g.failure == nil && g.isSettled() {
		g.closed = true
		close(g.ready)
	}
}

// isSettled is settled, but for a panic, which is one of the message as those of
// its functions are.
func (g *group) isSettled() (settled bool) {
	defer func() {
		if v := recover(); v != nil {
			g.failure = &Panic{Value: v, Stack: debug.Stack()}
		}
	}()
	return g.settled()
}

// wait returns when every function has ended, and panics with a *[Panic] if one
// of them did, once.
func (g *group) wait() {
	g.wg.Wait()
	g.mu.Lock()
	p := g.failure
	g.failure = nil
	g.mu.Unlock()
	if p != nil {
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
