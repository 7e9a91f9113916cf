package dns_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	mdns "github.com/miekg/dns"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// fake is a Transport whose servers are functions, by address.
type fake map[string]func(ctx context.Context, query []byte) ([]byte, error)

func (f fake) Exchange(ctx context.Context, _, server string, query []byte) ([]byte, error) {
	return f[server](ctx, query)
}

func silent(ctx context.Context, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func unreachable(context.Context, []byte) ([]byte, error) { return nil, syscall.ENETUNREACH }

func good(_ context.Context, query []byte) ([]byte, error) {
	return says(query, mdns.RcodeSuccess, `a.example. 60 TXT "good"`)
}

func failing(_ context.Context, query []byte) ([]byte, error) {
	return says(query, mdns.RcodeServerFailure, "")
}

// says returns a response to query with an RCODE and at most one record.
func says(query []byte, code int, record string) ([]byte, error) {
	q := new(mdns.Msg)
	if err := q.Unpack(query); err != nil {
		return nil, err
	}
	m := new(mdns.Msg).SetRcode(q, code)
	m.RecursionAvailable = true
	if record != "" {
		rr, err := mdns.NewRR(record)
		if err != nil {
			return nil, err
		}
		m.Answer = append(m.Answer, rr)
	}
	return m.Pack()
}

func TestTriesShareTheTime(t *testing.T) {
	const timeout = 6 * time.Second
	type server = func(context.Context, []byte) ([]byte, error)
	for _, test := range []struct {
		name    string
		servers []server
		want    string // when each server was asked, in ms
		took    time.Duration
		err     string
	}{
		{"silent", []server{silent}, "0:0 0:3000", timeout, "no answer within 6s"},
		{"two silent", []server{silent, silent}, "0:0 1:1500 0:3000 1:4500", timeout, "no answer within 6s"},
		{"silent, good", []server{silent, good}, "0:0 1:1500", 1500 * time.Millisecond, ""},
		{"failing", []server{failing}, "0:0", 0, "SERVFAIL"},
		{"failing, good", []server{failing, good}, "0:0 1:0", 0, ""},
		{"failing, silent", []server{failing, silent}, "0:0 1:0 1:3000", timeout, "no answer within 6s"},
		{"unreachable", []server{unreachable}, "0:0 0:0", 0, "network is unreachable"},
		{"unreachable, silent", []server{unreachable, silent}, "0:0 1:0 0:2000 1:2000", timeout, "no answer within 6s"},
		{"unreachable, good", []server{unreachable, good}, "0:0 1:0", 0, ""},
		{"none", nil, "", 0, "no DNS server configured"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var asked []string
			begun := time.Now()
			servers := fake{}
			var addrs []string
			for i, s := range test.servers {
				addr := fmt.Sprint(i)
				addrs = append(addrs, addr)
				servers[addr] = func(ctx context.Context, query []byte) ([]byte, error) {
					asked = append(asked, fmt.Sprintf("%s:%d", addr, time.Since(begun).Milliseconds()))
					return s(ctx, query)
				}
			}
			c := dns.New(dns.Config{Servers: addrs, Transport: servers, Timeout: timeout})
			_, err := c.TXT(context.Background(), "a.example")
			text := ""
			if err != nil {
				text = strings.TrimPrefix(err.Error(), "TXT a.example: ")
			}
			if got := strings.Join(asked, " "); got != test.want || time.Since(begun) != test.took || text != test.err {
				t.Errorf("%s: asked %q, took %v, error %q", test.name, got, time.Since(begun), text)
			}
		})
	}
}

func TestASilentServerComesLastForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		healed := false
		servers := fake{
			"first": func(ctx context.Context, query []byte) ([]byte, error) {
				asked = append(asked, "first")
				if healed {
					return good(ctx, query)
				}
				return silent(ctx, query)
			},
			"second": func(ctx context.Context, query []byte) ([]byte, error) {
				asked = append(asked, "second")
				if slices.Contains(asked, "wait") {
					return silent(ctx, query)
				}
				return good(ctx, query)
			},
		}
		c := dns.New(dns.Config{Servers: []string{"first", "second"}, Transport: servers, CacheEntries: -1})
		expect := func(want string) {
			t.Helper()
			asked = nil
			if _, err := c.TXT(context.Background(), "a.example"); err != nil {
				t.Error(err)
			}
			if got := strings.Join(asked, " "); got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
		}
		expect("first second")
		expect("second")
		// A look-up that its caller ends says nothing about the server.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		asked = []string{"wait"}
		_, err := c.TXT(ctx, "a.example")
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "TXT a.example: no answer in time" {
			t.Errorf("caller out of time: %v", err)
		}
		synctest.Wait()
		expect("second")
		time.Sleep(31 * time.Second)
		healed = true
		expect("first")
	})
}

func TestFailuresAreHeldAndCancellationsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		servers := fake{"s": func(ctx context.Context, query []byte) ([]byte, error) {
			asked++
			return silent(ctx, query)
		}}
		c := dns.New(dns.Config{Servers: []string{"s"}, Transport: servers})
		look := func(ctx context.Context) int {
			before := asked
			if _, err := c.TXT(ctx, "a.example"); !dns.IsTemporary(err) {
				t.Errorf("got %v", err)
			}
			synctest.Wait()
			return asked - before
		}
		ended, end := context.WithCancel(context.Background())
		end()
		if look(ended) != 0 {
			t.Error("asked for a caller that had already left")
		}
		for range 2 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if look(ctx) != 1 {
				t.Error("the failure of a look-up that its caller left was held")
			}
			cancel()
		}
		if look(context.Background()) != 2 {
			t.Error("not every server was asked")
		}
		if look(context.Background()) != 0 {
			t.Error("a failure was not held")
		}
		time.Sleep(5 * time.Second)
		if look(context.Background()) == 0 {
			t.Error("a failure was held for more than five seconds")
		}
	})
}

func TestTheLastToLeaveEndsTheLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int32
		servers := fake{"s": func(ctx context.Context, query []byte) ([]byte, error) {
			running.Add(1)
			defer running.Add(-1)
			return silent(ctx, query)
		}}
		c := dns.New(dns.Config{Servers: []string{"s"}, Transport: servers, Timeout: time.Hour})
		var leave []context.CancelFunc
		var wg sync.WaitGroup
		for range 5 {
			ctx, cancel := context.WithCancel(context.Background())
			leave = append(leave, cancel)
			wg.Go(func() {
				if _, err := c.TXT(ctx, "a.example"); !errors.Is(err, context.Canceled) || err.Error() != "TXT a.example: look-up cancelled" {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		for i, cancel := range leave {
			if running.Load() != 1 {
				t.Errorf("%d look-ups run for %d callers", running.Load(), len(leave)-i)
			}
			cancel()
			synctest.Wait()
		}
		wg.Wait()
		if running.Load() != 0 {
			t.Error("the look-up goes on although every caller has left")
		}
	})
}

func TestAPanicReachesEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := fake{"s": func(ctx context.Context, query []byte) ([]byte, error) {
			time.Sleep(time.Second)
			panic("broken transport")
		}}
		c := dns.New(dns.Config{Servers: []string{"s"}, Transport: servers, MaxExchanges: 1})
		for range 2 { // the only slot is freed again
			var wg sync.WaitGroup
			var panics atomic.Int32
			for range 5 {
				wg.Go(func() {
					defer func() {
						text := fmt.Sprint(recover())
						if strings.Contains(text, "broken transport") && strings.Contains(text, "timing_test.go") {
							panics.Add(1)
						}
					}()
					_, _ = c.TXT(context.Background(), "a.example")
				})
			}
			wg.Wait()
			if panics.Load() != 5 {
				t.Errorf("%d of 5 callers saw the panic and where it was", panics.Load())
			}
		}
	})
}

func TestExchangesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, failed atomic.Int32
		servers := fake{"s": func(ctx context.Context, query []byte) ([]byte, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			select {
			case <-time.After(900 * time.Millisecond):
				return good(ctx, query)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		c := dns.New(dns.Config{Servers: []string{"s"}, Transport: servers, MaxExchanges: 3})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, err := c.TXT(context.Background(), fmt.Sprintf("n%d.example", i)); err != nil {
					if err.Error() != fmt.Sprintf("TXT n%d.example: too many DNS queries at once: no answer within 5s", i) || !errors.Is(err, dns.ErrBusy) {
						t.Error(err)
					}
					failed.Add(1)
				}
			})
		}
		wg.Wait()
		// Five rounds of three fit into the time, and three more are cut short.
		if most.Load() != 3 || failed.Load() != 5 {
			t.Errorf("%d at the same time, %d of 20 failed", most.Load(), failed.Load())
		}
	})
}

// A caller that had to wait for others is told so if there is no answer then; a
// caller that had all the time is not.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dns.New(dns.Config{Servers: []string{"s"}, MaxExchanges: 1, Transport: fake{"s": func(ctx context.Context, query []byte) ([]byte, error) {
			switch q := new(mdns.Msg); {
			case q.Unpack(query) != nil:
				return nil, syscall.EINVAL
			case strings.HasPrefix(q.Question[0].Name, "alias"):
				return says(query, mdns.RcodeSuccess, q.Question[0].Name+" 60 CNAME silent.example.")
			case strings.HasPrefix(q.Question[0].Name, "failing"):
				return failing(ctx, query)
			}
			return silent(ctx, query)
		}}})
		for _, test := range []struct {
			name  string
			after time.Duration // how long after another look-up began
			want  string
		}{
			{"silent.example", 0, "no answer within 5s"},
			{"silent.example", time.Second, "too many DNS queries at once: no answer within 5s"},
			{"alias.example", 0, "no answer within 5s"},
			{"alias.example", time.Second, "too many DNS queries at once: no answer within 5s"},
			{"failing.example", time.Second, "SERVFAIL"},
		} {
			var other sync.WaitGroup
			if test.after > 0 {
				other.Go(func() { _, _ = c.TXT(context.Background(), "other.example") })
				time.Sleep(test.after)
			}
			_, err := c.TXT(context.Background(), test.name)
			if err == nil || !strings.HasSuffix(err.Error(), ": "+test.want) || errors.Is(err, dns.ErrBusy) != strings.HasPrefix(test.want, "too many") || !dns.IsTemporary(err) {
				t.Errorf("%s after %v: %v, want %s", test.name, test.after, err, test.want)
			}
			other.Wait()
			time.Sleep(time.Minute) // failures are held for a while
		}
	})
}

// Look-ups leave neither goroutines nor sockets, however they end.
func TestNothingLeaks(t *testing.T) {
	const fds = "/proc/self/fd"
	if _, err := os.Stat(fds); err != nil {
		t.Skip("no " + fds)
	}
	z := dnstest.MustParse(t, "$TRUNCATE big.example\nbig.example. 0 TXT \"x\"\na.example. 0 TXT \"x\"\n$RCODE SERVFAIL broken.example\n")
	c := client(t, z, func(c *dns.Config) { c.Timeout, c.CacheEntries = 20*time.Millisecond, -1 })
	open := func() int {
		entries, err := os.ReadDir(fds)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	// The first look-ups open what stays open, such as the runtime's poller.
	_, _ = c.TXT(context.Background(), "a.example")
	_, _ = c.TXT(context.Background(), "big.example")
	files, routines := open(), runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 100 {
		ctx, cancel := context.WithCancel(context.Background())
		silent := fmt.Sprintf("s%d.example", i)
		z.Timeout(silent, "")
		for _, name := range []string{"a.example", "big.example", "broken.example", "none.example", silent} {
			wg.Go(func() { _, _ = c.TXT(ctx, name) })
		}
		if i%2 == 0 {
			cancel()
		}
		t.Cleanup(cancel)
	}
	wg.Wait()
	deadline := time.Now().Add(patience)
	for open() > files || runtime.NumGoroutine() > routines {
		if time.Now().After(deadline) {
			t.Fatalf("files: %d before, %d after; goroutines: %d before, %d after", files, open(), routines, runtime.NumGoroutine())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// observer records what a client reports to it.
type observer struct {
	mu   sync.Mutex
	told []string
}

func (o *observer) tell(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, what)
}

func (o *observer) DNSQuery(qtype, rcode string, _ time.Duration) { o.tell(qtype + " " + rcode) }
func (o *observer) DNSCacheHit()                                  { o.tell("hit") }
func (o *observer) DNSCacheMiss()                                 { o.tell("miss") }
func (o *observer) DNSCacheStale()                                { o.tell("stale") }

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(observer)
		servers := fake{
			"silent": silent, "unreachable": unreachable, "failing": failing,
			"malformed": func(_ context.Context, query []byte) ([]byte, error) { return query[:11], nil },
			"unknown":   func(_ context.Context, query []byte) ([]byte, error) { return says(query, 12, "") },
			"good":      good,
		}
		c := dns.New(dns.Config{
			Servers:   []string{"silent", "unreachable", "failing", "malformed", "unknown", "good"},
			Transport: servers, Observer: o,
		})
		for range 2 {
			if _, err := c.TXT(context.Background(), "a.example"); err != nil {
				t.Error(err)
			}
		}
		want := "TXT timeout, TXT network, TXT SERVFAIL, TXT malformed, TXT unassigned RCODE, TXT NOERROR, miss, hit"
		if got := strings.Join(o.told, ", "); got != want {
			t.Errorf("observer saw %s", got)
		}
	})
}

func TestPing(t *testing.T) {
	for _, test := range []struct {
		server func(context.Context, []byte) ([]byte, error)
		err    string
	}{
		{server: func(_ context.Context, query []byte) ([]byte, error) {
			return says(query, mdns.RcodeSuccess, ". 60 NS ns.example.")
		}},
		{failing, "SERVFAIL"},
		{silent, "no answer within 5s"},
		{unreachable, "network is unreachable"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dns.New(dns.Config{Servers: []string{"s"}, Transport: fake{"s": test.server}})
			err := c.Ping(context.Background())
			if (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Errorf("got %v, want %q", err, test.err)
			}
		})
	}
}
