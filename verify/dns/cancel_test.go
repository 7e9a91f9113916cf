package dns_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	mdns "github.com/miekg/dns"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

func expectBusy(t *testing.T, c *dns.Client, flights, packets int) {
	t.Helper()
	if f, p := c.Busy(); f != flights || p != packets {
		t.Errorf("%d look-ups and %d packets under way, want %d and %d", f, p, flights, packets)
	}
}

func TestWaitingForASlotMayBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dns.New(dns.Config{Servers: []string{"s"}, Transport: fake{"s": silent}, MaxExchanges: 1, Timeout: time.Hour})
		look := func(name string) (context.CancelFunc, chan error) {
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() {
				_, err := c.TXT(ctx, name)
				ended <- err
			}()
			synctest.Wait()
			return cancel, ended
		}
		leaveFirst, first := look("a.example")
		leaveSecond, second := look("b.example")
		expectBusy(t, c, 2, 1)
		leaveSecond()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller without a slot got %v", err)
		}
		synctest.Wait()
		expectBusy(t, c, 1, 1)
		leaveThird, third := look("c.example")
		leaveFirst()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller with the slot got %v", err)
		}
		synctest.Wait()
		expectBusy(t, c, 1, 1) // the slot passed to the third caller
		leaveThird()
		<-third
		synctest.Wait()
		expectBusy(t, c, 0, 0)
	})
}

// A look-up that every caller has left may take its time to end, and end in any
// way. A later caller with the same question does not wait for it, and callers
// after that join the new look-up.
func TestALookupThatWasLeftIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		servers := fake{"s": func(ctx context.Context, query []byte) ([]byte, error) {
			if asked.Add(1) == 1 {
				time.Sleep(2 * time.Second) // even if ctx ends
				return failing(ctx, query)
			}
			time.Sleep(2 * time.Second)
			return good(ctx, query)
		}}
		c := dns.New(dns.Config{Servers: []string{"s"}, Transport: servers})
		look := func() {
			if a, err := c.TXT(context.Background(), "a.example"); err != nil || !slices.Equal(a.Values, []string{"good"}) || a.Stale {
				t.Errorf("got %+v, %v", a, err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := c.TXT(ctx, "a.example"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller that left got %v", err)
		}
		var wg sync.WaitGroup
		wg.Go(look)
		synctest.Wait()
		expectBusy(t, c, 1, 2)
		time.Sleep(1500 * time.Millisecond) // the first has ended, the second has not
		expectBusy(t, c, 1, 1)
		wg.Go(look)
		wg.Wait()
		synctest.Wait()
		expectBusy(t, c, 0, 0)
		if asked.Load() != 2 {
			t.Errorf("%d packets", asked.Load())
		}
	})
}

// The result of a look-up that every caller has left does not replace a result
// that another look-up got meanwhile.
func TestALookupThatWasLeftReplacesNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		servers := fake{"s": func(ctx context.Context, query []byte) ([]byte, error) {
			if asked.Add(1) == 1 {
				time.Sleep(3 * time.Second) // even if ctx ends
				return failing(ctx, query)
			}
			return good(ctx, query)
		}}
		c := dns.New(dns.Config{Servers: []string{"s"}, Transport: servers})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := c.TXT(ctx, "a.example"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller that left got %v", err)
		}
		for range 2 {
			if a, err := c.TXT(context.Background(), "a.example"); err != nil || !slices.Equal(a.Values, []string{"good"}) || a.Stale {
				t.Errorf("got %+v, %v", a, err)
			}
			time.Sleep(5 * time.Second)
		}
		if asked.Load() != 2 {
			t.Errorf("%d packets", asked.Load())
		}
	})
}

// Some callers leave and some stay, with packets over UDP and over TCP.
func TestCallersThatStayGetTheAnswer(t *testing.T) {
	for _, name := range []string{"packets", "stream"} {
		asked, release := make(chan struct{}, 1), make(chan struct{})
		// On a busy machine the client asks again before the answer is released.
		hold := func() {
			select {
			case asked <- struct{}{}:
			default:
			}
			<-release
		}
		var addr string
		if name == "packets" {
			addr = script(t, func(w mdns.ResponseWriter, q *mdns.Msg) {
				hold()
				_ = w.WriteMsg(response(t, q, `a.example. 60 TXT "streamed"`))
			})
		} else {
			addr = streams(t, func(conn net.Conn, answer []byte) {
				_, _ = conn.Write(framed(len(answer), answer[:len(answer)/2]))
				hold()
				_, _ = conn.Write(answer[len(answer)/2:])
			})
		}
		c := dns.New(dns.Config{Servers: []string{addr}, Timeout: patience})
		ctx, cancel := context.WithCancel(context.Background())
		var stay, leave sync.WaitGroup
		for range 10 {
			stay.Go(func() {
				if a, err := c.TXT(context.Background(), "a.example"); err != nil || !slices.Equal(a.Values, []string{"streamed"}) {
					t.Errorf("%s: a caller that stayed got %v, %v", name, a.Values, err)
				}
			})
			leave.Go(func() {
				if _, err := c.TXT(ctx, "a.example"); !dns.IsTemporary(err) || !errors.Is(err, context.Canceled) {
					t.Errorf("%s: a caller that left got %v", name, err)
				}
			})
		}
		<-asked
		cancel()
		leave.Wait()
		expectBusy(t, c, 1, 1)
		close(release)
		stay.Wait()
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			if flights, packets := c.Busy(); flights == 0 && packets == 0 {
				break
			} else if time.Now().After(end) {
				t.Fatalf("%s: %d look-ups and %d packets left", name, flights, packets)
			}
		}
	}
}

// A look-up that its caller leaves removes nothing from the cache.
func TestLeavingKeepsWhatMayBeUsedStale(t *testing.T) {
	s, err := dnstest.NewServer(dnstest.MustParse(t, `a.example. 600 TXT "old"`), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var clock clock
	c := dns.New(dns.Config{Servers: []string{s.Addr()}, Now: clock.now})
	if _, err := c.TXT(context.Background(), "a.example"); err != nil {
		t.Fatal(err)
	}
	clock.set(700 * time.Second)
	s.SetZone(dnstest.MustParse(t, "$TIMEOUT a.example"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if a, err := c.TXT(ctx, "a.example"); !dns.IsTemporary(err) {
		t.Errorf("in no time: %v, %v", a, err)
	}
	s.SetZone(dnstest.MustParse(t, "$RCODE SERVFAIL a.example"))
	if a, err := c.TXT(context.Background(), "a.example"); err != nil || !a.Stale {
		t.Errorf("afterwards: %v, %v", a, err)
	}
}

// Many callers ask for names that come, go and fail while the clock runs, and
// some of the callers leave. The cache keeps its bounds, and nothing is left
// running.
func TestCacheUnderLoad(t *testing.T) {
	const entries, octets = 20, 6000
	var clock clock
	var turn atomic.Int64
	servers := fake{"s": func(ctx context.Context, query []byte) ([]byte, error) {
		q := new(mdns.Msg)
		if err := q.Unpack(query); err != nil {
			return nil, err
		}
		switch turn.Add(1) % 5 {
		case 0:
			return says(query, mdns.RcodeServerFailure, "")
		case 1:
			return says(query, mdns.RcodeNameError, "")
		case 2:
			return nil, context.DeadlineExceeded
		}
		return says(query, mdns.RcodeSuccess, fmt.Sprintf("%s %d TXT %.*q", q.Question[0].Name, turn.Load()%90, int(turn.Load()%200), fmt.Sprintf("%0200d", 0)))
	}}
	c := dns.New(dns.Config{Servers: []string{"s"}, Transport: servers, CacheEntries: entries, CacheBytes: octets, Now: clock.now, MaxExchanges: 4})
	var wg sync.WaitGroup
	for worker := range 8 {
		random := rand.New(rand.NewPCG(1, uint64(worker)))
		wg.Go(func() {
			for range 2000 {
				ctx, cancel := context.WithCancel(context.Background())
				if random.IntN(10) == 0 {
					cancel()
				}
				_, _ = c.TXT(ctx, fmt.Sprintf("n%d.example", random.IntN(60)))
				cancel()
				clock.offset.Add(int64(time.Second))
				if n, size, ok := c.Cached(); n > entries || size > octets || !ok {
					t.Errorf("%d entries, %d octets, consistent: %v", n, size, ok)
				}
			}
		})
	}
	wg.Wait()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if flights, packets := c.Busy(); flights == 0 && packets == 0 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%d look-ups and %d packets left", flights, packets)
		}
	}
	if n, _, _ := c.Cached(); n == 0 {
		t.Error("nothing was kept")
	}
}
