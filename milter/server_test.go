package milter

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	gomilter "github.com/d--j/go-milter"

	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

func TestShutdown(t *testing.T) {
	check := noLeak(t)
	g := newGate(t, edKey)
	r := start(t, options{resolver: g})
	idle, between, busy := r.wire(), r.wire(), r.wire()
	between.send(messageFrames(unsigned()))
	between.verdict()
	whole := messageFrames(example(t))
	cut := len(whole) / 2
	busy.send(whole[:cut])
	eventually(t, "a message begins", func() bool { return r.inFlight.Load() == 1 })
	ended := make(chan error)
	go func() { ended <- r.Shutdown(context.Background()) }()
	for _, w := range []*wire{idle, between} {
		if code, _ := w.reply(); code != 0 {
			t.Errorf("reply %q instead of the end of the connection", code)
		}
	}
	if conn, err := net.Dial("tcp", r.addr); err == nil {
		conn.Close()
		t.Error("connections are still accepted")
	}
	select {
	case err := <-ended:
		t.Fatalf("Shutdown returned before the message ended: %v", err)
	default:
	}
	busy.send(whole[cut:])
	eventually(t, "the key is looked up", func() bool { return g.held() == 1 })
	close(g.opened)
	if changes, final := busy.verdict(); changes != 1 || final != 'a' {
		t.Errorf("%d changes, then %q", changes, final)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if code, _ := busy.reply(); code != 0 {
		t.Errorf("reply %q instead of the end of the connection", code)
	}
	if v := r.seen.list(); len(v) != 2 || v[1].Result.DKIM[0].Status != dkim.Pass {
		t.Errorf("verdicts %+v", v)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Serve(l, "late"); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the late listener is open: %v", err)
	}
	check()
}

func TestShutdownHasItsLimit(t *testing.T) {
	check := noLeak(t)
	r := start(t, options{})
	w := r.wire()
	w.send(messageFrames(example(t))[:200])
	eventually(t, "a message begins", func() bool { return r.inFlight.Load() == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := r.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
	if took := time.Since(begun); took > patience {
		t.Errorf("took %v", took)
	}
	// Its connection is closed, but nobody waits until it has noticed.
	eventually(t, "the message ends", func() bool { return r.count.get().inFlight == 0 })
	check()
}

func TestStopOfOneListener(t *testing.T) {
	r := start(t, options{})
	other, _ := r.listen()
	first := *r
	second := *r
	second.addr = other
	idle, busy, elsewhere := first.wire(), first.wire(), second.wire()
	whole := messageFrames(example(t))
	busy.send(whole[:len(whole)/2])
	eventually(t, "a message begins", func() bool { return r.inFlight.Load() == 1 })
	r.Stop(r.listener)
	if code, _ := idle.reply(); code != 0 {
		t.Errorf("reply %q instead of the end of the connection", code)
	}
	for _, w := range []*wire{busy, elsewhere} {
		if w == busy {
			w.send(whole[len(whole)/2:])
		} else {
			w.send(whole)
		}
		if changes, final := w.verdict(); changes != 1 || final != 'a' {
			t.Errorf("%d changes, then %q", changes, final)
		}
	}
	if code, _ := busy.reply(); code != 0 {
		t.Errorf("reply %q instead of the end of the connection", code)
	}
	second.deliver(example(t))
}

// TestSoak sends many messages over many connections and aborts many of them:
// nothing may be left of them.
func TestSoak(t *testing.T) {
	files := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skipf("cannot count open files: %v", err)
		}
		return len(open)
	}
	zone := dnstest.MustParse(t, exampleZone+"$DELAY 5ms "+edKey+"\n")
	client := dns.New(dns.Config{Servers: []string{dnstest.Serve(t, zone)}, CacheEntries: -1})
	r := start(t, options{resolver: client})
	r.deliver(example(t))
	check, before := noLeak(t), files()
	signed, other := example(t), unsigned()
	var senders sync.WaitGroup
	var mu sync.Mutex
	sent := 1
	for n := range 20 {
		senders.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 1))
			s, err := gomilter.NewClient("tcp", r.addr).Session(gomilter.NewMacroBag())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			_, _ = s.Conn("client.example.net", gomilter.FamilyInet, 25, "192.0.2.1")
			_, _ = s.Helo("mx.football.example.com")
			for range 10 {
				m := signed
				if rnd.IntN(2) == 0 {
					m = other
				}
				stop := rnd.IntN(8)
				_, _ = s.Mail(m.from, "")
				_, _ = s.Rcpt("b@example.org", "")
				if stop == 0 {
					_ = s.Abort(nil)
					continue
				}
				_, _ = s.DataStart()
				for _, f := range m.fields {
					_, _ = s.HeaderField(f.name, f.value, nil)
				}
				if stop == 1 {
					_ = s.Abort(nil)
					continue
				}
				_, _ = s.HeaderEnd()
				if stop == 2 {
					return // the connection ends within the message
				}
				acts, action, err := s.BodyReadFrom(strings.NewReader(m.body))
				if err != nil || action.Type != gomilter.ActionAccept || len(acts) != 1 {
					t.Errorf("%v, %v, %v", acts, action, err)
					return
				}
				mu.Lock()
				sent++
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	eventually(t, "all messages end", func() bool { return r.inFlight.Load() == 0 && r.count.get().open == 0 })
	check()
	eventually(t, "all files are closed", func() bool { return files() <= before })
	seen := r.seen.list()
	if len(seen) != sent {
		t.Errorf("%d messages seen, %d sent", len(seen), sent)
	}
	for _, v := range seen {
		if v.Result.DMARC.Status != dmarc.Pass {
			t.Errorf("dmarc=%s (%v)", v.Result.DMARC.Status, v.Result.DMARC.Err)
		}
	}
	if got := r.count.get(); got.panics != 0 || len(got.violations) != 0 {
		t.Errorf("%d panics, violations %v", got.panics, got.violations)
	}
}
