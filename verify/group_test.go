package verify

import (
	"errors"
	"testing"
)

// TestGroupIsReady holds when a group is ready: as soon as what may matter does
// not, but never while something runs that is needed.
func TestGroupIsReady(t *testing.T) {
	isReady := func(g *group) bool {
		select {
		case <-g.ready:
			return true
		default:
			return false
		}
	}
	update := func(g *group) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.update()
	}
	for _, settled := range []bool{false, true} {
		needed, maybe := make(chan struct{}), make(chan struct{})
		g := newGroup(func() bool { return settled })
		g.need(func() { <-needed })
		g.may(func() { <-maybe })
		update(g)
		g.seal()
		if isReady(g) {
			t.Error("ready without what is needed")
		}
		close(needed)
		if settled {
			<-g.ready
		} else {
			update(g)
			if isReady(g) {
				t.Error("ready without what may matter")
			}
		}
		close(maybe)
		g.wait()
		if !isReady(g) {
			t.Error("not ready at the end")
		}
	}
}

// TestGroupSettlesInPanic holds that a fault in the question whether the result is
// settled stays within the message, as one in a look-up does.
func TestGroupSettlesInPanic(t *testing.T) {
	fault := errors.New("fault")
	maybe := make(chan struct{})
	g := newGroup(func() bool { panic(fault) })
	g.may(func() { <-maybe })
	g.seal()
	close(maybe)
	defer func() {
		if p, ok := recover().(*Panic); !ok || p.Value != fault {
			t.Errorf("wait panics with %v", p)
		}
		<-g.ready
		g.wait() // once
	}()
	g.wait()
}
