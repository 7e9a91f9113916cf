package verify

import (
	"errors"
	"testing"
)

// TestGroupIsReady checks when a group is ready: as soon as the functions that may
// matter do not, but never while a needed one runs.
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
			t.Error("ready while a needed function runs")
		}
		close(needed)
		if settled {
			<-g.ready
		} else {
			update(g)
			if isReady(g) {
				t.Error("ready while a function runs that may matter")
			}
		}
		close(maybe)
		g.wait()
		if !isReady(g) {
			t.Error("not ready at the end")
		}
	}
}

// TestGroupSettlesInPanic checks that a panic in settled stays within the message,
// as a panic in a look-up does.
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
		g.wait() // must not panic again
	}()
	g.wait()
}
