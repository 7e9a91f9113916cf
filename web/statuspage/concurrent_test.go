package statuspage

import (
	"errors"
	"sync"
	"testing"
	"time"
)

// TestConcurrent does everything at once, for the race detector.
func TestConcurrent(t *testing.T) {
	p := New(Config{Version: "1"})
	const each = 300
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			rnd := newRand()
			for i := range each {
				p.ConnectionOpened()
				v := senders[(i+g)%len(senders)].verdict(rnd, time.Now())
				p.Observe(v)
				ask(p, rnd, v)
				p.ConnectionClosed()
			}
		})
	}
	all.Go(func() {
		for range each / 10 {
			get(t, p)
		}
	})
	all.Go(func() {
		for range each {
			p.SetPrivacy(Anonymous)
			p.SetState(State{AuthservID: "mx.example.org", Config: "a = 1\n"})
			p.ReloadFailed(time.Now(), errors.New("bad"))
			p.KeyState("sign", "example.org", "s1", "ok")
			p.SetPrivacy(Full)
			p.ForgetKeys()
		}
	})
	all.Wait()
	if n := p.connections.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestAnonymousWhileObserving holds that no personal data remains of a message that
// is being observed while the mode changes.
func TestAnonymousWhileObserving(t *testing.T) {
	p := New(Config{})
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		rnd := newRand()
		for {
			select {
			case <-stop:
				return
			default:
				p.Observe(senders[3].verdict(rnd, time.Now()))
			}
		}
	})
	for range 500 {
		p.SetPrivacy(Full)
		p.SetPrivacy(Anonymous)
		for _, m := range p.snapshot().last {
			if m.client.IsValid() || m.get(m.mailFrom) != "" {
				t.Fatal("personal data is kept")
			}
		}
	}
	close(stop)
	all.Wait()
}
