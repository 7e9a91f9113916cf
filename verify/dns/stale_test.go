package dns_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// clock is a clock that the test sets.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time      { return time.Unix(1_000_000, 0).Add(time.Duration(c.offset.Load())) }
func (c *clock) set(d time.Duration) { c.offset.Store(int64(d)) }

// chain returns n aliases, which lead from x.example to a name with n x's more.
func chain(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s.example. 600 CNAME %s.example.\n", strings.Repeat("x", i+1), strings.Repeat("x", i+2))
	}
	return b.String()
}

func TestStaleAnswers(t *testing.T) {
	const (
		before  = `a.example. 600 TXT "old"` + "\n"
		aliased = "a.example. 600 CNAME b.example.\n" + `b.example. 600 TXT "old"` + "\n"
		failing = "$RCODE SERVFAIL a.example\n"
	)
	type step struct {
		at   time.Duration
		zone string // "" leaves it unchanged
		want string // values, with "stale" before them if stale; or "no record", "not found", "temporary"
		kept bool   // no server is asked
	}
	for _, test := range []struct {
		name  string
		ask   string // empty means "TXT a.example"
		max   time.Duration
		waits time.Duration // for an answer; 0 means 10 s
		steps []step
	}{
		{name: "the servers fail", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 599 * time.Second, zone: failing, want: "old", kept: true},
			{at: 600 * time.Second, want: "stale old"},
			{at: 629 * time.Second, want: "stale old", kept: true},
			{at: 630 * time.Second, want: "stale old"},
			{at: 1199 * time.Second, want: "stale old"},
			{at: 1200 * time.Second, want: "temporary"},
			{at: 1201 * time.Second, want: "temporary", kept: true},
			{at: 1202 * time.Second, want: "temporary"},
		}},
		{name: "no server answers", waits: 2 * time.Second, steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 700 * time.Second, zone: "$TIMEOUT a.example\n", want: "stale old"},
		}},
		{name: "the servers refuse", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 700 * time.Second, zone: "$RCODE REFUSED a.example\n", want: "stale old"},
		}},
		{name: "the servers recover", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 600 * time.Second, zone: failing, want: "stale old"},
			{at: 629 * time.Second, zone: `a.example. 600 TXT "new"`, want: "stale old", kept: true},
			{at: 630 * time.Second, want: "new"},
			{at: 1229 * time.Second, zone: failing, want: "new", kept: true},
			{at: 1829 * time.Second, want: "stale new"},
		}},
		{name: "the end comes before the servers are asked again", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 1190 * time.Second, zone: failing, want: "stale old"},
			{at: 1199 * time.Second, want: "stale old", kept: true},
			{at: 1200 * time.Second, want: "temporary"},
		}},
		{name: "a short TTL", steps: []step{
			{at: 0, zone: `a.example. 10 TXT "old"`, want: "old"},
			{at: 19 * time.Second, zone: failing, want: "stale old"},
			{at: 20 * time.Second, want: "temporary"},
		}},
		{name: "a long TTL", steps: []step{
			{at: 0, zone: `a.example. 86400 TXT "old"`, want: "old"},
			{at: 25*time.Hour - time.Second, zone: failing, want: "stale old"},
			{at: 25 * time.Hour, want: "temporary"},
		}},
		{name: "a TTL of zero", steps: []step{
			{at: 0, zone: `a.example. 0 TXT "old"`, want: "old"},
			{at: 0, zone: failing, want: "temporary"},
		}},
		{name: "a bound of its own", max: time.Minute, steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 659 * time.Second, zone: failing, want: "stale old"},
			{at: 660 * time.Second, want: "temporary"},
		}},
		{name: "switched off", max: -1, steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 600 * time.Second, zone: failing, want: "temporary"},
		}},

		// A withdrawn record is never used again, whether or not the servers
		// said how long its absence may be cached.
		{name: "the name is gone", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 600 * time.Second, zone: "b.example. A 192.0.2.1", want: "not found"},
			{at: 601 * time.Second, zone: failing, want: "temporary"},
		}},
		{name: "the name is gone while stale", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 600 * time.Second, zone: failing, want: "stale old"},
			{at: 630 * time.Second, zone: "b.example. A 192.0.2.1", want: "not found"},
			{at: 631 * time.Second, zone: failing, want: "temporary"},
		}},
		{name: "the name is gone, with an SOA", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 600 * time.Second, zone: "example. 60 SOA ns.example. admin.example. 1 2 3 4 60", want: "not found"},
			{at: 659 * time.Second, zone: failing, want: "not found", kept: true},
			{at: 660 * time.Second, want: "temporary"},
		}},
		{name: "the record is gone", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 600 * time.Second, zone: "a.example. A 192.0.2.1", want: "no record"},
			{at: 601 * time.Second, zone: failing, want: "temporary"},
		}},
		{name: "the record may no longer be kept", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 600 * time.Second, zone: `a.example. 0 TXT "new"`, want: "new"},
			{at: 601 * time.Second, zone: failing, want: "temporary"},
		}},
		{name: "the absence of a record", steps: []step{
			{at: 0, zone: "example. 60 SOA ns.example. admin.example. 1 2 3 4 60\na.example. A 192.0.2.1", want: "no record"},
			{at: 61 * time.Second, zone: failing, want: "temporary"},
		}},
		{name: "the absence of a name", steps: []step{
			{at: 0, zone: "example. 60 SOA ns.example. admin.example. 1 2 3 4 60\n", want: "not found"},
			{at: 61 * time.Second, zone: failing, want: "temporary"},
		}},

		{name: "an alias whose target fails", steps: []step{
			{at: 0, zone: aliased, want: "old"},
			{at: 600 * time.Second, zone: "a.example. 600 CNAME B.example.\n$RCODE SERVFAIL b.example", want: "stale old"},
			{at: 630 * time.Second, zone: "a.example. 600 CNAME B.example.\n$RCODE SERVFAIL b.example\n$PARTIAL a.example", want: "stale old"},
		}},
		{name: "an alias to elsewhere", steps: []step{
			{at: 0, zone: aliased, want: "old"},
			{at: 600 * time.Second, zone: "a.example. 600 CNAME c.example.\n$RCODE SERVFAIL c.example\n$PARTIAL a.example", want: "temporary"},
			{at: 603 * time.Second, zone: failing, want: "temporary"},
		}},
		{name: "an alias that is new", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 600 * time.Second, zone: "a.example. 600 CNAME c.example.\n$RCODE SERVFAIL c.example\n$PARTIAL a.example", want: "temporary"},
		}},
		{name: "an alias to itself", steps: []step{
			{at: 0, zone: before, want: "old"},
			{at: 600 * time.Second, zone: "a.example. 60 CNAME a.example.\n$PARTIAL a.example", want: "not found"},
			{at: 659 * time.Second, zone: failing, want: "not found", kept: true},
			{at: 660 * time.Second, zone: failing, want: "temporary"},
		}},
		{name: "one alias too many", ask: "TXT x.example", steps: []step{
			{at: 0, zone: chain(10) + strings.Repeat("x", 11) + `.example. 600 TXT "old"`, want: "old"},
			{at: 600 * time.Second, zone: chain(11), want: "temporary"},
			{at: 603 * time.Second, zone: "$RCODE SERVFAIL x.example", want: "temporary"},
		}},

		{name: "addresses", ask: "A a.example", steps: []step{
			{at: 0, zone: "a.example. 600 A 192.0.2.1", want: "192.0.2.1"},
			{at: 600 * time.Second, zone: failing, want: "temporary"},
		}},
		{name: "names of addresses", ask: "PTR 192.0.2.1", steps: []step{
			{at: 0, zone: "1.2.0.192.in-addr.arpa. 600 PTR a.example.", want: "a.example"},
			{at: 600 * time.Second, zone: "$RCODE SERVFAIL 1.2.0.192.in-addr.arpa", want: "temporary"},
		}},
		{name: "mail exchangers", ask: "MX a.example", steps: []step{
			{at: 0, zone: "a.example. 600 MX 1 b.example.", want: "1 b.example"},
			{at: 600 * time.Second, zone: failing, want: "temporary"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var clock clock
			seen := new(observer)
			z := dnstest.MustParse(t, "")
			s, err := dnstest.NewServer(z, "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c := dns.New(dns.Config{
				Servers: []string{s.Addr()}, Timeout: cmp.Or(test.waits, patience),
				Now: clock.now, MaxStale: test.max, Observer: seen,
			})
			if test.ask == "" {
				test.ask = "TXT a.example"
			}
			qtype, name, _ := strings.Cut(test.ask, " ")
			for _, step := range test.steps {
				if step.zone != "" {
					z = dnstest.MustParse(t, step.zone)
					s.SetZone(z)
				}
				clock.set(step.at)
				asked := len(z.Queries())
				seen.told = nil
				got, _, err := ask(context.Background(), c, qtype, name)
				told := seen.told[len(seen.told)-1]
				switch {
				case dns.IsNotFound(err):
					got = "not found"
				case err != nil:
					got = "temporary"
				case told == "stale":
					got = "stale " + got
				case got == "":
					got = "no record"
				}
				if kept := len(z.Queries()) == asked; got != step.want || kept != step.kept {
					t.Errorf("at %v: got %q, %v, kept %v, want %q", step.at, got, err, kept, step.want)
				}
				if told != "stale" && told != map[bool]string{true: "hit", false: "miss"}[step.kept] {
					t.Errorf("at %v: observer saw %q", step.at, seen.told)
				}
			}
		})
	}
}

// A stale answer is marked as stale, may be kept for half a minute, and is not
// authentic.
func TestStaleAnswersAreMarked(t *testing.T) {
	var failing atomic.Bool
	addr := script(t, func(w mdns.ResponseWriter, q *mdns.Msg) {
		if failing.Load() {
			_ = w.WriteMsg(response(t, q, "SERVFAIL"))
			return
		}
		_ = w.WriteMsg(response(t, q, "AD", "a.example. 600 CNAME b.example.", `b.example. 900 TXT "x"`))
	})
	var clock clock
	c := dns.New(dns.Config{Servers: []string{addr}, Now: clock.now})
	look := func() (dns.Answer[string], dns.Event) {
		t.Helper()
		m := dns.NewMeter(c, 1)
		m.Record()
		a, err := m.TXT(context.Background(), "a.example")
		if err != nil || len(a.Values) != 1 || a.Values[0] != "x" || len(a.CNAMEs) != 1 {
			t.Errorf("got %+v, %v", a, err)
		}
		return a, m.Events()[0]
	}
	if a, e := look(); a.Stale || e.Stale || !a.Authentic || a.TTL != 600*time.Second {
		t.Errorf("fresh: %+v, %+v", a, e)
	}
	failing.Store(true)
	clock.set(1000 * time.Second)
	if a, e := look(); !a.Stale || !e.Stale || a.Authentic || a.TTL != 30*time.Second {
		t.Errorf("stale: %+v, %+v", a, e)
	}
	clock.set(1020 * time.Second)
	if a, _ := look(); !a.Stale || a.TTL != 10*time.Second {
		t.Errorf("kept stale: %+v", a)
	}
	failing.Store(false)
	clock.set(1030 * time.Second)
	if a, _ := look(); a.Stale || !a.Authentic || a.TTL != 600*time.Second {
		t.Errorf("fresh again: %+v", a)
	}
}
