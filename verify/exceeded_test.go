package verify_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"authmilter/verify"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// TestExceeded has messages use up each share of the look-ups.
func TestExceeded(t *testing.T) {
	var hosts strings.Builder
	hosts.WriteString(zone + "$RCODE SERVFAIL broken.example\n" + `attacker.example. TXT "v=spf1`)
	for i := range 9 {
		fmt.Fprintf(&hosts, " mx:m%d.attacker.example", i)
	}
	hosts.WriteString(" -all\"\n")
	for i := range 9 {
		for j := range 10 {
			fmt.Fprintf(&hosts, "m%d.attacker.example. MX 1 h%d-%d.attacker.example.\nh%d-%d.attacker.example. A 198.51.100.1\n", i, i, j, i, j)
		}
	}
	signed, body := example(t)
	authors := make([]string, 5)
	for i := range authors {
		fmt.Fprintf(&hosts, "_dmarc.i%d.example. TXT \"v=DMARC1; p=none\"\n", i)
		authors[i] = fmt.Sprintf("x@a.b.c.d.e.f.g.h.i%d.example", i)
	}
	longest := []string{"From: " + strings.Join(authors, ", ")}
	for i := range 10 {
		longest = append(longest, fmt.Sprintf("DKIM-Signature: v=1; a=rsa-sha256; d=j.k.l.m.n.o%d.i%d.example; s=s; h=from; "+
			"bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b="+strings.Repeat("A", 172), i, i%len(authors)))
	}
	ip := netip.MustParseAddr("203.0.113.9")
	for _, test := range []struct {
		name  string
		o     verify.Options
		env   verify.Envelope
		lines []string // nil means the example
		held  []string
		early bool // Finish is called before the answers
		want  dns.Budget
	}{
		{name: "enough", env: envelope, want: dns.BudgetNone},
		{name: "servers fail", env: verify.Envelope{ClientIP: ip, Helo: "broken.example", MailFrom: "x@broken.example"}, want: dns.BudgetNone},
		{name: "many SPF look-ups", o: verify.Options{MaxQueries: 100}, env: verify.Envelope{ClientIP: ip, MailFrom: "x@attacker.example"}, want: dns.BudgetQueries},
		{name: "many SPF look-ups for HELO", o: verify.Options{HeloResult: true}, env: verify.Envelope{ClientIP: ip, Helo: "attacker.example", MailFrom: "joe@football.example.com"}, want: dns.BudgetQueries},
		{name: "many SPF look-ups, with room for them", env: verify.Envelope{ClientIP: ip, MailFrom: "x@attacker.example"}, want: dns.BudgetNone},
		// While the key waits, the result depends on every DMARC look-up.
		{name: "many DMARC look-ups", env: envelope, lines: longest, held: []string{"s._domainkey.j.k.l.m.n.o0.i0.example"}, want: dns.BudgetQueries},
		{name: "SPF waits", env: envelope, held: []string{spfName}, want: dns.BudgetTime},
		{name: "a key waits", env: envelope, held: []string{rsaName}, want: dns.BudgetTime},
		{name: "a policy waits", env: envelope, held: []string{dmarcName}, want: dns.BudgetTime},
		{name: "many SPF look-ups and a key waits", o: verify.Options{MaxQueries: 100}, env: verify.Envelope{ClientIP: ip, MailFrom: "x@attacker.example"}, held: []string{rsaName}, want: dns.BudgetQueries},
		{name: "finished before the answers", env: envelope, held: []string{spfName, rsaName, dmarcName}, early: true, want: dns.BudgetNone},
		{name: "header too large", o: verify.Options{MaxHeaderFields: 1, MaxQueries: 100}, env: verify.Envelope{ClientIP: ip, MailFrom: "x@attacker.example"}, want: dns.BudgetQueries},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &resolver{Resolver: dnstest.MustParse(t, hosts.String()), held: test.held}
				test.o.Resolver = r
				test.o.Now = func() time.Time { return time.Date(2018, 6, 11, 0, 0, 0, 0, time.UTC) }
				h := signed
				if test.lines != nil {
					h = header(test.lines...)
				}
				begun := time.Now()
				c := verify.New(test.o).Begin(t.Context(), test.env)
				defer c.Cancel()
				for _, f := range h {
					c.Field(f)
				}
				c.EndHeader()
				_, _ = c.Write(body)
				if !test.early {
					<-c.Ready()
				}
				res := c.Finish()
				if res.Exceeded != test.want {
					t.Errorf("exceeded %q, want %q; %d look-ups in %v", res.Exceeded, test.want, res.Queries, time.Since(begun))
				}
			})
		})
	}
}
