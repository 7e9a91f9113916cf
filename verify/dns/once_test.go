package dns_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// slow is a resolver that takes a second, or as long as its caller has.
type slow struct {
	dns.Resolver
	mu    sync.Mutex
	asked int
}

func (s *slow) TXT(ctx context.Context, name string) (dns.Answer[string], error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	select {
	case <-time.After(time.Second):
		return dns.Answer[string]{Values: []string{name}}, nil
	case <-ctx.Done():
		return dns.Answer[string]{}, &dns.Error{Type: "TXT", Name: name, Err: ctx.Err()}
	}
}

// TestOnce asks several times at once, and once more later.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		o := dns.NewOnce(s)
		begun := time.Now()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if a, err := o.TXT(t.Context(), "a.example"); err != nil || a.Values[0] != "a.example" {
					t.Errorf("%v, %v", a, err)
				}
			})
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			time.Sleep(time.Nanosecond) // not the first
			if _, err := o.TXT(ctx, "a.example"); !dns.IsTemporary(err) || time.Since(begun) > 2*time.Millisecond {
				t.Errorf("waited %v: %v", time.Since(begun), err)
			}
		})
		all.Wait()
		if a, err := o.TXT(t.Context(), "a.example"); err != nil || a.Values[0] != "a.example" {
			t.Errorf("%v, %v", a, err)
		}
		if took := time.Since(begun); s.asked != 1 || took != time.Second {
			t.Errorf("asked %d times in %v", s.asked, took)
		}
		if _, err := o.TXT(t.Context(), "b.example"); err != nil || s.asked != 2 {
			t.Errorf("asked %d times, %v", s.asked, err)
		}
	})
}

// TestOncePassesOtherTypes checks that look-ups of other types are passed on.
func TestOncePassesOtherTypes(t *testing.T) {
	z := dnstest.MustParse(t, "a.example. A 192.0.2.1\n")
	o := dns.NewOnce(z)
	for range 2 {
		if a, err := o.A(t.Context(), "a.example"); err != nil || len(a.Values) != 1 {
			t.Errorf("%v, %v", a, err)
		}
	}
	if n := len(z.Queries()); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// TestOncePanic checks that callers waiting for a look-up that panics get an
// error.
func TestOncePanic(t *testing.T) {
	o := dns.NewOnce(nil)
	func() {
		defer func() { _ = recover() }()
		_, _ = o.TXT(t.Context(), "a.example")
	}()
	if _, err := o.TXT(t.Context(), "a.example"); !dns.IsTemporary(err) {
		t.Errorf("%v", err)
	}
}
