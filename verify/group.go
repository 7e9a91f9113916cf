package verify

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// group runs the look-ups for one message, each in a goroutine, and signals when
// every look-up that the result depends on has ended.
type group struct {
	wg    sync.WaitGroup
	ready chan struct{}
	// settled reports whether the result no longer depends on any running function
	// started with may. It is called only once no needed function runs.
	settled func() bool

	// mu guards what follows, and what settled reads.
	mu sync.Mutex
	// needed and maybe count the running functions started with need and with may.
	// needed is one higher until the group is sealed.
	needed, maybe int
	closed        bool // ready is closed
	// failure is the first panic of a function. The next wait raises it again, in
	// the goroutine that owns the message.
	failure *Panic
}

func newGroup(settled func() bool) *group {
	return &group{ready: make(chan struct{}), settled: settled, needed: 1}
}

// need starts fn, which the result needs. It must not be called after seal.
func (g *group) need(fn func()) { g.run(&g.needed, fn) }

// may starts fn, which the result may depend on. After seal, only a running
// function, or something that it waits for, may call it.
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
// it waits for every function: what the failed one left behind must not be read.
func (g *group) update() {
	if g.closed || g.needed > 0 {
		return
	}
	if g.maybe == 0 || g.failure == nil && g.isSettled() {
		g.closed = true
		close(g.ready)
	}
}

// isSettled calls settled, and treats a panic in it like a panic of a function.
func (g *group) isSettled() (settled bool) {
	defer func() {
		if v := recover(); v != nil {
			g.failure = &Panic{Value: v, Stack: debug.Stack()}
		}
	}()
	return g.settled()
}

// wait waits until every function has ended, then panics with a *[Panic] if one of
// them did and no earlier wait has raised it.
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

// Panic is the value that [Check.Finish] and [Check.Cancel] panic with if a
// goroutine of the message panicked. It keeps the failure within that message.
type Panic struct {
	Value any
	Stack []byte
}

// Error returns the value and the stack of the goroutine that panicked.
func (p *Panic) Error() string { return fmt.Sprintf("%v\n%s", p.Value, p.Stack) }
