package statuspage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/iprev"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// clock is a clock that tests set.
type clock struct{ t time.Time }

func (c *clock) now() time.Time           { return c.t }
func (c *clock) forward(by time.Duration) { c.t = c.t.Add(by) }

func newClock() *clock { return &clock{time.Date(2026, 3, 10, 14, 37, 20, 0, time.UTC)} }

// get returns the page that p serves.
func get(t testing.TB, p *Page) string {
	t.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func signature(domain, selector string) *dkim.Signature {
	return &dkim.Signature{Domain: domain, Selector: selector}
}

// sender is a kind of sender of inbound mail.
type sender struct {
	weight  int
	ip      string
	name    string
	from    string
	author  string
	dkim    []dkim.Result
	spf     spf.Result
	dmarc   dmarc.Result
	arc     arc.Result
	decide  policy.Decision
	skip    policy.Skip
	signing policy.Signing
	removed int
}

func published(d dmarc.Disposition) *dmarc.Policy { return &dmarc.Policy{Published: d} }

func passing(domain, selector string) []dkim.Result {
	return []dkim.Result{{Status: dkim.Pass, Signature: signature(domain, selector)}}
}

var noChain = arc.Result{Status: arc.None, OldestPass: arc.Absent}

// senders are the senders of an ordinary day.
var senders = []sender{
	{
		weight: 40, ip: "192.0.2.25", name: "mail-a.example.com", from: "bounce-8841@mail.example.com", author: "example.com",
		dkim:  append(passing("example.com", "s2026"), passing("esp.example.net", "k1")...),
		spf:   spf.Result{Status: spf.Pass, Identity: spf.MailFrom, Domain: "mail.example.com", Record: "mail.example.com", Mechanism: "ip4:192.0.2.0/24"},
		dmarc: dmarc.Result{Status: dmarc.Pass, Policy: published("reject")}, arc: noChain,
	},
	{
		weight: 25, ip: "2001:db8:12::7", name: "out.university.example", from: "a.student@university.example", author: "university.example",
		dkim:  passing("university.example", "mail"),
		spf:   spf.Result{Status: spf.Pass, Identity: spf.MailFrom, Domain: "university.example", Record: "_spf.university.example", Mechanism: "ip6:2001:db8:12::/48"},
		dmarc: dmarc.Result{Status: dmarc.Pass, Policy: published("quarantine")}, arc: noChain,
	},
	{
		weight: 9, ip: "198.51.100.77", name: "lists.example.net", from: "go-users-bounces@lists.example.net", author: "university.example",
		dkim: []dkim.Result{
			{Status: dkim.Fail, Reason: dkim.ReasonBodyHash, Err: errors.New("body hash did not verify"), Signature: signature("university.example", "mail")},
			{Status: dkim.Pass, Signature: signature("lists.example.net", "l1")},
		},
		spf:   spf.Result{Status: spf.Pass, Identity: spf.MailFrom, Domain: "lists.example.net", Record: "lists.example.net", Mechanism: "mx"},
		dmarc: dmarc.Result{Status: dmarc.Fail, Reason: dmarc.ReasonNotAligned, Err: errors.New("no authenticated identifier aligns with the author domain"), Policy: published("quarantine")},
		arc:   arc.Result{Status: arc.Pass, Chain: &arc.Chain{Sets: []arc.Set{{Seal: &arc.Seal{Signature: signature("lists.example.net", "arc1")}}}}},
		decide: policy.Decision{Reason: policy.ReasonDMARC, Requested: policy.Quarantine,
			Override: policy.OverrideReason{Type: policy.TrustedForwarder, Detail: "lists.example.net says that university.example passed"}},
	},
	{
		weight: 6, ip: "203.0.113.200", name: "", from: "service@bank.example", author: "bank.example",
		spf:   spf.Result{Status: spf.Fail, Identity: spf.MailFrom, Domain: "bank.example", Record: "bank.example", Mechanism: "-all"},
		dmarc: dmarc.Result{Status: dmarc.Fail, Reason: dmarc.ReasonNotAuthenticated, Err: errors.New("no authenticated identifier"), Policy: published("reject")},
		arc:   noChain, removed: 1,
		decide: policy.Decision{Disposition: policy.Reject, Intended: policy.Reject, Requested: policy.Reject, Reason: policy.ReasonDMARC,
			Reply: policy.Reply{Code: 550, Status: "5.7.1", Text: "rejected by the DMARC policy of bank.example"}},
	},
	{
		weight: 5, ip: "203.0.113.9", name: "host-9.dialup.example.org", from: "info@shop.example", author: "shop.example",
		spf:    spf.Result{Status: spf.SoftFail, Identity: spf.MailFrom, Domain: "shop.example", Record: "shop.example", Mechanism: "~all"},
		dmarc:  dmarc.Result{Status: dmarc.Fail, Reason: dmarc.ReasonNotAuthenticated, Err: errors.New("no authenticated identifier"), Policy: published("quarantine")},
		arc:    noChain,
		decide: policy.Decision{Disposition: policy.Quarantine, Intended: policy.Quarantine, Requested: policy.Quarantine, Reason: policy.ReasonDMARC},
	},
	{
		weight: 8, ip: "192.0.2.130", name: "smtp.club.example", from: "", author: "club.example",
		spf:   spf.Result{Status: spf.None, Reason: spf.ReasonNoDomain, Identity: spf.Helo, Domain: "smtp.club.example", Err: errors.New("no SPF record")},
		dmarc: dmarc.Result{Status: dmarc.None, Reason: dmarc.ReasonNoPolicy, Err: errors.New("no DMARC policy record")}, arc: noChain,
	},
	{
		weight: 2, ip: "192.0.2.140", name: "mx.slow-dns.example", from: "billing@slow-dns.example", author: "slow-dns.example",
		dkim:  []dkim.Result{{Status: dkim.TempError, Reason: dkim.ReasonDNS, Err: errors.New("key look-up did not finish: TXT 2026._domainkey.slow-dns.example: no answer within 5s"), Signature: signature("slow-dns.example", "2026")}},
		spf:   spf.Result{Status: spf.TempError, Reason: spf.ReasonDNS, Identity: spf.MailFrom, Domain: "slow-dns.example", Err: errors.New("TXT slow-dns.example: no answer within 5s")},
		dmarc: dmarc.Result{Status: dmarc.TempError, Reason: dmarc.ReasonPolicyLookup, Err: errors.New("TXT _dmarc.slow-dns.example: no answer within 5s")},
		arc:   noChain,
		decide: policy.Decision{Disposition: policy.Defer, Intended: policy.Defer, Reason: policy.ReasonTempError,
			Reply: policy.Reply{Code: 451, Status: "4.7.24", Text: "a look-up did not finish, try again later"}},
	},
	{
		weight: 9, ip: "192.0.2.77", name: "laptop.example.org", from: "bob@example.org", skip: policy.Authenticated,
		signing: policy.Signing{Domain: "example.org", Selectors: []string{"s2026", "ed2026"}},
	},
	{weight: 4, ip: "127.0.0.1", name: "localhost", from: "root@example.org", skip: policy.LocalNetwork},
}

// verdict returns the verdict on a message from s.
func (s *sender) verdict(rnd *rand.Rand, at time.Time) *policy.Verdict {
	v := &policy.Verdict{
		At: at, Listener: "inet:8894@127.0.0.1", QueueID: fmt.Sprintf("4gX%05XzR", rnd.IntN(1<<20)),
		Envelope: verify.Envelope{ClientIP: netip.MustParseAddr(s.ip), ClientName: s.name, Helo: s.name, MailFrom: s.from},
		Skip:     s.skip, Signing: s.signing, Removed: policy.Removed{policy.ResultsField: s.removed}, Decision: s.decide,
	}
	if v.Envelope.Helo == "" {
		v.Envelope.Helo = "[203.0.113.200]"
	}
	if s.skip != policy.NotSkipped {
		v.Took = time.Duration(200+rnd.IntN(4000)) * time.Microsecond
		return v
	}
	for _, d := range []*policy.Disposition{&v.Decision.Disposition, &v.Decision.Intended, &v.Decision.Requested} {
		if *d == "" {
			*d = policy.None
		}
	}
	v.Result = &verify.Result{
		Author: message.Author{Domains: []string{s.author}, Fields: 1},
		DKIM:   s.dkim, SPF: s.spf, DMARC: s.dmarc, ARC: s.arc, Size: 4711,
		IPRev: &iprev.Result{Status: iprev.Pass, Name: s.name},
	}
	if s.name == "" {
		v.Result.IPRev = &iprev.Result{Status: iprev.PermError, Err: errors.New("the address has no name")}
	}
	v.EndOfMessage = time.Duration(300+rnd.ExpFloat64()*9000) * time.Microsecond
	v.Took = v.EndOfMessage + time.Duration(20+rnd.IntN(400))*time.Millisecond
	if s.dmarc.Status == dmarc.TempError {
		v.EndOfMessage += 5 * time.Second
		v.Took += 5 * time.Second
	}
	return v
}

// configText is a configuration as "authmilter config show" prints it.
const configText = `authserv_id = "mx.example.org"
listen = ["inet:8894@127.0.0.1", "unix:/run/authmilter/authmilter.sock"]
socket_mode = "0660"

[skip]
authenticated = true
networks = ["127.0.0.0/8", "::1/128"]

[dns]
servers = ["127.0.0.1:53"]
timeout = "5s"

[arc]
seal = true
domain = "example.org"
selector = "arc2026"
key_file = "/etc/authmilter/arc.pem"
trusted_sealers = ["lists.example.net"]

[policy]
mode = "enforce"
quarantine = "header"
`

// filled returns a page after a bit more than an ordinary day.
func filled(mode Privacy) *Page {
	c := newClock()
	end := c.t
	c.t = end.Add(-26 * time.Hour)
	p := New(Config{Version: "1.4.0", Privacy: mode, Now: c.now})
	p.SetState(State{AuthservID: "mx.example.org", Config: configText, LoadedAt: end.Add(-5 * time.Hour)})
	p.KeyState("seal", "example.org", "arc2026", "ok")
	p.KeyState("sign", "example.org", "s2026", "ok")
	p.KeyState("sign", "example.org", "ed2026", "missing")
	for range 7 {
		p.ConnectionOpened()
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	weights := 0
	for i := range senders {
		weights += senders[i].weight
	}
	for c.t.Before(end) {
		// Busy days, quiet nights.
		hour := c.t.Hour()
		perMinute := 1.0
		if hour >= 7 && hour < 20 {
			perMinute = 9
		}
		c.forward(time.Duration(rnd.ExpFloat64() / perMinute * float64(time.Minute)))
		if c.t.After(end) {
			c.t = end
			break
		}
		n := rnd.IntN(weights)
		i := 0
		for n >= senders[i].weight {
			n -= senders[i].weight
			i++
		}
		v := senders[i].verdict(rnd, c.t)
		p.Observe(v)
		ask(p, rnd, v)
	}
	return p
}

// ask counts the look-ups made for v.
func ask(p *Page, rnd *rand.Rand, v *policy.Verdict) {
	if v.Skip != policy.NotSkipped {
		return
	}
	for _, qtype := range []string{"TXT", "TXT", "TXT", "TXT", "A", "MX", "PTR"} {
		if rnd.IntN(3) > 0 {
			p.DNSCacheHit()
			continue
		}
		p.DNSCacheMiss()
		rcode := "NOERROR"
		switch n := rnd.IntN(100); {
		case n < 9:
			rcode = "NXDOMAIN"
		case n < 10:
			rcode = "SERVFAIL"
		}
		took := time.Duration(500+rnd.ExpFloat64()*18000) * time.Microsecond
		if v.Result.DMARC.Status == dmarc.TempError {
			rcode, took = "timeout", 1250*time.Millisecond
			p.DNSCacheStale()
		}
		p.DNSQuery(qtype, rcode, took)
	}
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(3, 4)) }
