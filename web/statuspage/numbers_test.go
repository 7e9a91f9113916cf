package statuspage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/dkim"
)

// TestNumbers holds that the page shows what was observed.
func TestNumbers(t *testing.T) {
	c := newClock()
	p := New(Config{Version: "1", Now: c.now})
	p.SetState(State{AuthservID: "mx.example.org", LoadedAt: c.t})
	rnd := newRand()
	observe := func(sender, times int) {
		for range times {
			p.Observe(senders[sender].verdict(rnd, c.t))
		}
	}
	// Five hours ago, and now.
	observe(3, 1000) // rejected
	c.forward(5 * time.Hour)
	observe(0, 1200) // passed, two signatures
	observe(3, 30)
	observe(4, 20) // quarantined
	observe(6, 10) // deferred
	observe(7, 7)  // authenticated
	observe(8, 3)  // local
	for range 40 {
		p.DNSQuery("TXT", "NOERROR", 10*time.Millisecond)
	}
	for range 10 {
		p.DNSQuery("MX", "timeout", 60*time.Millisecond)
	}
	p.DNSQuery("CAA", "BADSIG", 0)
	for range 3 {
		p.DNSCacheHit()
	}
	p.DNSCacheMiss()
	p.DNSCacheStale()
	p.ConnectionOpened()
	p.ConnectionOpened()
	p.ConnectionClosed()

	page := get(t, p)
	nodes := parse(t, page)
	for _, test := range []struct {
		section, row string
		want         []string
	}{
		{"volume", "none", []string{"none", "1,200", "1,200"}},
		{"volume", "quarantine", []string{"quarantine", "20", "20"}},
		{"volume", "defer", []string{"defer", "10", "10"}},
		{"volume", "reject", []string{"reject", "30", "1,030"}},
		{"volume", "verified", []string{"verified", "1,260", "2,260"}},
		{"volume", "skipped", []string{"skipped", "10", "10"}},
		{"volume", "skipped: authenticated", []string{"skipped: authenticated", "7", "7"}},
		{"volume", "skipped: network", []string{"skipped: network", "3", "3"}},
		{"volume", "skipped: overload", []string{"skipped: overload", "0", "0"}},
		{"volume", "forged fields removed", []string{"forged fields removed", "30", "1,030"}},
		{"methods", "dkim 1 h", []string{"dkim", "1 h", "97.6 %", "2,460", "dkim, 1 h: none 2.0 %, pass 97.6 %, temperror 0.4 %", "pass 2,400 none 50 temperror 10"}},
		{"methods", "spf 1 h", []string{"spf", "1 h", "95.2 %", "1,260", "spf, 1 h: pass 95.2 %, fail 2.4 %, softfail 1.6 %, temperror 0.8 %", "pass 1,200 softfail 20 temperror 10 fail 30"}},
		{"methods", "dmarc 1 h", []string{"dmarc", "1 h", "95.2 %", "1,260", "dmarc, 1 h: pass 95.2 %, fail 4.0 %, temperror 0.8 %", "pass 1,200 temperror 10 fail 50"}},
		{"methods", "arc 1 h", []string{"arc", "1 h", "0.0 %", "1,260", "arc, 1 h: none 100 %", "none 1,260"}},
		{"methods", "24 h", []string{"24 h", "69.4 %", "3,460", "dkim, 24 h: none 30.3 %, pass 69.4 %, temperror 0.3 %", "pass 2,400 none 1,050 temperror 10"}},
		{"dns", "NOERROR", []string{"NOERROR", "40", "78.4 %"}},
		{"dns", "timeout", []string{"timeout", "10", "19.6 %"}},
		{"dns", "other", []string{"other", "1", "2.0 %"}},
		{"dns", "type MX", []string{"type MX", "10", "19.6 %"}},
		{"dns", "type other", []string{"type other", "1", "2.0 %"}},
		{"dns", "mean latency", []string{"mean latency", "19.6 ms"}},
		{"dns", "longest", []string{"longest latency", "60.0 ms"}},
		{"dns", "cache hit rate", []string{"cache hit rate", "60.0 %"}},
		{"dns", "cache hits", []string{"cache hits", "3"}},
		{"dns", "cache misses", []string{"cache misses", "1"}},
		{"dns", "expired entries used", []string{"expired entries used", "1"}},
		{"talkers", "bank.example", []string{"bank.example", "reject", "1,030", "19:37:20", "203.0.113.200 1,030"}},
		{"talkers", "shop.example", []string{"shop.example", "quarantine", "20", "19:37:20", "203.0.113.9 20"}},
	} {
		if got := row(t, nodes, test.section, test.row); !slices.Equal(got, test.want) {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	tiles := map[string]string{}
	for _, n := range nodes {
		if n.Data == "dt" {
			tiles[textOf(n)] = textOf(n.Parent)
		}
	}
	for name, want := range map[string]string{
		"Messages verified": "Messages verified1,2601 h · 24 h: 2,260",
		"DMARC pass":        "DMARC pass95.2 %1 h · 24 h: 53.1 %",
		"DNS failures":      "DNS failures21.6 %1 h · mean: 19.6 ms",
		"Open connections":  "Open connections1now",
	} {
		if tiles[name] != want {
			t.Errorf("%q, want %q", tiles[name], want)
		}
	}
	if n := strings.Count(page, `<tr role="row"><th scope="row"`); n != maxMessages {
		t.Errorf("%d messages", n)
	}
	if !strings.Contains(page, "19:37: 1,270 messages (none 1,200, quarantine 20, defer 10, reject 30, skipped 10)") {
		t.Error("the chart of the hour lacks the last minute")
	}
	if !strings.Contains(page, "14:30: 1,000 messages (reject 1,000)") {
		t.Error("the chart of the day lacks its first quarter of an hour")
	}

	c.forward(time.Hour)
	nodes = parse(t, get(t, p))
	if got := row(t, nodes, "volume", "verified"); !slices.Equal(got, []string{"verified", "0", "2,260"}) {
		t.Errorf("an hour later: %q", got)
	}
	c.forward(24 * time.Hour)
	nodes = parse(t, get(t, p))
	if got := row(t, nodes, "volume", "verified"); !slices.Equal(got, []string{"verified", "0", "0"}) {
		t.Errorf("a day later: %q", got)
	}
	if got := row(t, nodes, "talkers", "none"); !slices.Equal(got, []string{"none"}) {
		t.Errorf("a day later: %q", got)
	}
}

// TestMessages holds that a message is shown with the reasons for its results.
func TestMessages(t *testing.T) {
	c := newClock()
	p := New(Config{Now: c.now})
	rnd := newRand()
	for i := range senders {
		v := senders[i].verdict(rnd, c.t)
		v.QueueID = fmt.Sprintf("Q%d", i)
		v.Took, v.EndOfMessage = 250*time.Millisecond, 20*time.Millisecond
		p.Observe(v)
		c.forward(time.Second)
	}
	nodes := parse(t, get(t, p))
	for at, want := range map[string][]string{
		"14:37:22": {"14:37:22Q2", "198.51.100.77lists.example.netiprev pass",
			"university.examplego-users-bounces@lists.example.net",
			"fail university.example mailbody hash did not verifypass lists.example.net l1", "pass lists.example.netmatched mx",
			"failno authenticated identifier aligns with the author domain", "pass lists.example.net arc1",
			"nonebecause of dmarctrusted forwarder: lists.example.net says that university.example passed", "250 mswait 20.0 ms"},
		"14:37:23": {"14:37:23Q3", "203.0.113.200helo [203.0.113.200]iprev permerrorthe address has no name",
			"bank.exampleservice@bank.example", "none", "fail bank.examplematched -all", "failno authenticated identifier", "none",
			"rejectbecause of dmarc550 5.7.1 rejected by the DMARC policy of bank.exampleforged fields removed: 1", "250 mswait 20.0 ms"},
		"14:37:25": {"14:37:25Q5", "192.0.2.130smtp.club.exampleiprev pass", "club.example<>", "none",
			"none smtp.club.exampleno SPF record", "noneno DMARC policy record", "none", "none", "250 mswait 20.0 ms"},
		"14:37:27": {"14:37:27Q7", "192.0.2.77laptop.example.org", "bob@example.org", "skipped: authenticated", "signed example.org", "250 ms"},
	} {
		if got := row(t, nodes, "messages", at); got != nil && !slices.Equal(got, want) {
			t.Errorf("%s:\n%q\nwant\n%q", at, got, want)
		}
	}
}

// TestOwnMailWithResults holds that mail of our own is shown with the results of its
// signatures if they were verified, and that these are not in the pass rates.
func TestOwnMailWithResults(t *testing.T) {
	for _, test := range []struct {
		results []dkim.Result
		want    []string
	}{
		{nil, []string{"none"}},
		{[]dkim.Result{{Status: dkim.Pass, Signature: &dkim.Signature{Domain: "example.org", Selector: "s1"}}}, []string{"pass example.org s1"}},
		{slices.Repeat([]dkim.Result{{Status: dkim.TempError, Reason: dkim.ReasonDNS}}, 9), []string{strings.Repeat("temperrordns", maxSignatures) + "and 5 more signatures"}},
	} {
		p := New(Config{Now: newClock().now})
		p.Observe(&policy.Verdict{
			At: p.now(), QueueID: "Q", Skip: policy.Authenticated, Signing: policy.Signing{Domain: "example.org", Selectors: []string{"s2026"}},
			DKIMOnly: &verify.Result{DKIM: test.results},
		})
		nodes := parse(t, get(t, p))
		want := slices.Concat([]string{"14:37:20Q", "", "<>"}, test.want, []string{"skipped: authenticated", "signed example.org", "0 ms"})
		if got := row(t, nodes, "messages", "14:37:20"); len(got) != len(want) || !slices.Equal(got[3:6], want[3:6]) {
			t.Errorf("%q\nwant\n%q", got, want)
		}
		if got := p.recorder.day.at(p.now()).results[methodDKIM]; got != [maxWords]uint32{} {
			t.Errorf("counted as %v", got)
		}
	}
}

// TestManyOfEach holds that the page says what it leaves out.
func TestManyOfEach(t *testing.T) {
	p := New(Config{Now: newClock().now})
	v := senders[0].verdict(newRand(), p.now())
	v.Result.DKIM = slices.Repeat([]dkim.Result{{Status: dkim.Policy, Reason: dkim.ReasonTooMany}}, 9)
	v.Result.Author.Domains = []string{"a.example", "b.example", "c.example"}
	v.Result.Author.Err = errors.New("several From fields")
	v.Decision.Intended = policy.Reject
	v.Seal.Err = errors.New("no key\nno luck")
	p.Observe(v)
	nodes := parse(t, get(t, p))
	got := strings.Join(row(t, nodes, "messages", "14:37:20"), "|")
	for _, want := range []string{
		"policytoo many signatures", "and 5 more signatures", "a.example and 2 more", "several From fields", "would be reject", "not sealed: no key, no luck",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

// TestRefusedWithoutResults holds that a refusal is shown although the message was
// skipped.
func TestRefusedWithoutResults(t *testing.T) {
	p := New(Config{Now: newClock().now})
	v := senders[8].verdict(newRand(), p.now())
	v.Decision = policy.Decision{Disposition: policy.Reject, Intended: policy.Reject,
		Reply: policy.Reply{Code: 550, Status: "5.6.0", Text: "malformed name of a header field"}}
	v.Removed, v.HarmlessRemoved = policy.Removed{policy.ResultsField: 3}, 1
	p.Observe(v)
	got := strings.Join(row(t, parse(t, get(t, p)), "messages", "14:37:20"), "|")
	want := "skipped: network|reject550 5.6.0 malformed name of a header fieldforged fields removed: 2harmless fields removed: 1|"
	if !strings.Contains(got, want) {
		t.Errorf("no %q in %s", want, got)
	}
}

func TestAttention(t *testing.T) {
	quiet := func() (*clock, *Page) {
		c := newClock()
		p := New(Config{Now: c.now})
		rnd := newRand()
		for range 200 {
			p.Observe(senders[0].verdict(rnd, c.t))
			p.DNSQuery("TXT", "NOERROR", time.Millisecond)
		}
		p.KeyState("sign", "example.org", "s1", "ok")
		return c, p
	}
	slow := *senders[0].verdict(newRand(), newClock().t)
	slow.EndOfMessage = 5 * time.Second
	overloaded := policy.Verdict{Skip: policy.Overload}
	for _, test := range []struct {
		name string
		do   func(*clock, *Page)
		want string // "" if there is no notice
	}{
		{"nothing", func(*clock, *Page) {}, ""},
		{"reload", func(c *clock, p *Page) { p.ReloadFailed(c.t, errors.New("bad")) }, "reload at 14:37:20 failed"},
		{"reload mended", func(c *clock, p *Page) { p.ReloadFailed(c.t, errors.New("bad")); p.SetState(State{LoadedAt: c.t}) }, ""},
		{"key", func(_ *clock, p *Page) { p.KeyState("sign", "example.org", "s1", "mismatch") }, "Key s1 of example.org in DNS: mismatch."},
		{"key forgotten", func(_ *clock, p *Page) { p.KeyState("sign", "example.org", "s1", "mismatch"); p.ForgetKeys() }, ""},
		{"overload", func(_ *clock, p *Page) { p.Observe(&overloaded) }, "because too many were in flight: 1."},
		{"one temperror", func(c *clock, p *Page) { p.Observe(senders[6].verdict(newRand(), c.t)) }, ""},
		{"temperrors", func(c *clock, p *Page) {
			for range 20 {
				p.Observe(senders[6].verdict(newRand(), c.t))
			}
		}, "temporary errors"},
		{"dns", func(_ *clock, p *Page) {
			for range 11 {
				p.DNSQuery("TXT", "SERVFAIL", 0)
			}
		}, "5.2 % of the DNS queries"},
		{"no such name", func(_ *clock, p *Page) {
			for range 100 {
				p.DNSQuery("TXT", "NXDOMAIN", 0)
			}
		}, ""},
		{"wait", func(_ *clock, p *Page) {
			for range 5 {
				p.Observe(&slow)
			}
		}, "wait 5.00 s"},
		{"silence", func(c *clock, _ *Page) { c.forward(2 * time.Hour) }, "No messages"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, p := quiet()
			test.do(c, p)
			v := p.snapshot().view()
			var all []string
			for _, n := range v.Attention {
				all = append(all, n.Text)
			}
			got := strings.Join(all, "|")
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
