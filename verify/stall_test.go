package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"authmilter/verify"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/spf"
)

// silent is a resolver whose look-ups of some names end after a time without an
// answer, as in [dns.Client].
type silent struct {
	dns.Resolver
	names []string // and all names below them
}

const lookupTime = 5 * time.Second

func wait[T any](s *silent, ctx context.Context, qtype, name string, ask func(context.Context, string) (dns.Answer[T], error)) (dns.Answer[T], error) {
	if !slices.ContainsFunc(s.names, func(n string) bool { return name == n || strings.HasSuffix(name, "."+n) }) {
		return ask(ctx, name)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	<-ctx.Done()
	return dns.Answer[T]{}, &dns.Error{Type: qtype, Name: name, Err: ctx.Err()}
}

func (s *silent) TXT(ctx context.Context, name string) (dns.Answer[string], error) {
	return wait(s, ctx, "TXT", name, s.Resolver.TXT)
}

func (s *silent) A(ctx context.Context, name string) (dns.Answer[netip.Addr], error) {
	return wait(s, ctx, "A", name, s.Resolver.A)
}

// TestStalled checks that a sender cannot hide the bank's records by choosing names
// whose servers are silent: the records are known before the MTA gives up, whatever
// the time that one look-up takes.
func TestStalled(t *testing.T) {
	var hosts strings.Builder
	for i := range 10 {
		fmt.Fprintf(&hosts, "9.2.0.192.in-addr.arpa. PTR h%d.silent.example.\n", i)
	}
	zone := `
bank.example. TXT "v=spf1 exists:%{p}._spf.bank.example -all"
ptr.example. TXT "v=spf1 ptr:silent.example -all"
_dmarc.bank.example. TXT "v=DMARC1; p=reject"
_dmarc.ptr.example. TXT "v=DMARC1; p=reject"
_dmarc.quiet.example. TXT "v=DMARC1; p=none"
` + hosts.String()
	const limit = 8 * time.Second // how long an MTA waits at the end of a message
	for _, test := range []struct {
		name   string
		from   string
		fields []string
		env    verify.Envelope
		// within is how long it may take until everything that matters is known.
		within time.Duration
		want   string // dmarc, disposition, pending disposition
	}{
		{name: "nothing silent", from: "joe@bank.example", want: "fail reject none"},
		{name: "a silent author before it", from: "x@silent.example, joe@bank.example", want: "fail reject none"},
		{name: "silent authors around it", from: "x@a.silent.example, x@b.silent.example, joe@bank.example, x@c.silent.example, x@d.silent.example", want: "fail reject none"},
		{name: "deep silent authors", from: "x@a.b.c.d.silent.example, x@b.c.d.e.f.g.silent.example, joe@bank.example", want: "fail reject none"},
		{name: "a silent author after one whose policy is none", from: "x@quiet.example, x@silent.example", within: 5 * time.Second, want: "temperror none none"},
		{name: "its silent subdomain", from: "joe@silent.bank.example", within: 5 * time.Second, want: "temperror none reject"},
		{name: "deep below its silent subdomain", from: "joe@a.b.c.d.e.f.g.h.silent.bank.example", within: 6 * time.Second, want: "temperror none reject"},
		{name: "that, and other silent authors", from: "joe@a.b.c.silent.bank.example, x@a.b.c.silent.example, x@b.silent.example", within: 6 * time.Second, want: "temperror none reject"},
		{name: "its silent selector", from: "joe@bank.example", fields: []string{junk("bank.example", "s.silent")}, within: 5 * time.Second, want: "temperror none reject"},
		{name: "the silent selector of another", from: "joe@bank.example", fields: []string{junk("silent.example", "s")}, within: 5 * time.Second, want: "fail reject none"},
		{name: "signatures of its silent subdomains", from: "joe@bank.example", fields: []string{
			junk("a.silent.bank.example", "s"), junk("b.silent.bank.example", "s"), junk("c.silent.bank.example", "s"),
		}, within: limit, want: "temperror none reject"},
		{name: "MAIL FROM its silent subdomain", from: "joe@bank.example", env: verify.Envelope{MailFrom: "x@silent.bank.example"}, within: 5 * time.Second, want: "temperror none reject"},
		{name: "ten silent names of the client, for %{p}", from: "joe@bank.example", env: verify.Envelope{MailFrom: "joe@bank.example"}, within: 3 * time.Second, want: "fail reject none"},
		{name: "ten silent names of the client, for ptr", from: "joe@ptr.example", env: verify.Envelope{MailFrom: "joe@ptr.example"}, within: 3 * time.Second, want: "fail reject none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &silent{Resolver: dnstest.MustParse(t, zone), names: []string{"silent.example", "silent.bank.example", "s.silent._domainkey.bank.example"}}
				test.env.ClientIP = netip.MustParseAddr("192.0.2.9")
				begun := time.Now()
				c := verify.New(verify.Options{Resolver: r, IPRev: test.env.MailFrom == ""}).Begin(t.Context(), test.env)
				defer c.Cancel()
				for _, f := range header(append(test.fields, "From: "+test.from)...) {
					c.Field(f)
				}
				c.EndHeader()
				end := time.NewTimer(limit)
				defer end.Stop()
				select {
				case <-c.Ready():
				case <-end.C:
				}
				took := time.Since(begun)
				res := c.Finish()
				d := res.DMARC
				if got := fmt.Sprintf("%s %s %s", d.Status, d.Disposition, d.Pending); got != test.want || len(res.Authors) == 0 {
					t.Errorf("%s, want %s (%v)", got, test.want, d.Err)
				}
				// iprev is awaited whatever DMARC says.
				if allowed := max(test.within, map[bool]time.Duration{true: 5 * time.Second}[res.IPRev != nil]); took > allowed {
					t.Errorf("known after %v, want %v", took, allowed)
				}
			})
		})
	}
}

// TestEveryAuthor checks that with the option, an answer that comes late counts, and
// without it, a rejection waits for nothing.
func TestEveryAuthor(t *testing.T) {
	for _, every := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const name = "_dmarc.attacker.example"
			r := newResolver(t, name)
			r.Resolver = dnstest.MustParse(t, `
_dmarc.bank.example. TXT "v=DMARC1; p=reject"
_dmarc.attacker.example. TXT "v=DMARC1; p=none"
`)
			c := verify.New(verify.Options{Resolver: r, EveryAuthor: every}).Begin(t.Context(), verify.Envelope{})
			defer c.Cancel()
			for _, f := range header("From: a@attacker.example, joe@bank.example") {
				c.Field(f)
			}
			c.EndHeader()
			synctest.Wait()
			select {
			case <-c.Ready():
				if every {
					t.Error("ready before every policy is known")
				}
			default:
				if !every {
					t.Error("waits although the message is rejected anyway")
				}
				close(r.opened)
				<-c.Ready()
			}
			want := map[bool]dmarc.Status{false: dmarc.TempError, true: dmarc.Fail}[every]
			if res := c.Finish(); res.Authors[0].Status != want || res.DMARC.Disposition != dmarc.DispositionReject {
				t.Errorf("every author %v: %s, %s", every, res.Authors[0].Status, res.DMARC.Disposition)
			}
		})
	}
}

// TestWaitsForAlignment checks that a signature whose key is still unknown does not
// count as possibly aligned before its Organizational Domain is known.
func TestWaitsForAlignment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const walk = "_dmarc.other.victim.example"
		r := newResolver(t, walk)
		r.Resolver = dnstest.MustParse(t, `
_dmarc.victim.example. TXT "v=DMARC1; p=reject"
_dmarc.other.victim.example. TXT "v=DMARC1; p=none; psd=n"
$RCODE SERVFAIL s._domainkey.other.victim.example.
`)
		c := verify.New(verify.Options{Resolver: r}).Begin(t.Context(), envelope)
		defer c.Cancel()
		for _, f := range header("From: joe@victim.example", junk("other.victim.example", "s")) {
			c.Field(f)
		}
		c.EndHeader()
		synctest.Wait()
		select {
		case <-c.Ready():
			t.Error("ready before it is known whether the signature aligns")
		default:
		}
		close(r.opened)
		<-c.Ready()
		if d := c.Finish().DMARC; d.Status != dmarc.Fail || d.Disposition != dmarc.DispositionReject {
			t.Errorf("%s, %s (%v)", d.Status, d.Disposition, d.Err)
		}
	})
}

// TestWaitsForBracketed checks that a rejection does not end the look-ups for the
// author that most readers show.
func TestWaitsForBracketed(t *testing.T) {
	for from, waits := range map[string]bool{
		"joe@bank.example (via Docs) <docs@service.example>": true,
		"joe@bank.example, Docs <docs@service.example>":      false,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newResolver(t, "_dmarc.service.example")
			r.Resolver = dnstest.MustParse(t, "_dmarc.bank.example. TXT \"v=DMARC1; p=reject\"\n_dmarc.service.example. TXT \"v=DMARC1; p=reject\"\n"+
				"service.example. TXT \"v=spf1 +all\"\n")
			c := verify.New(verify.Options{Resolver: r}).Begin(t.Context(), verify.Envelope{ClientIP: envelope.ClientIP, MailFrom: "a@service.example"})
			defer c.Cancel()
			for _, f := range header("From: " + from) {
				c.Field(f)
			}
			c.EndHeader()
			synctest.Wait()
			ready := true
			select {
			case <-c.Ready():
			default:
				ready = false
			}
			if ready == waits {
				t.Errorf("%s: ready before the policy of service.example is known: %v", from, ready)
			}
			close(r.opened)
			<-c.Ready()
			res := c.Finish()
			if res.DMARC.Disposition != dmarc.DispositionReject || waits && res.Authors[1].Status != dmarc.Pass {
				t.Errorf("%s: %+v", from, res.Authors)
			}
		})
	}
}

// junk returns a signature of a plausible length that no key verifies.
func junk(d, s string) string {
	return "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=" + d + "; s=" + s + "; h=from; " +
		"bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=" + strings.Repeat("A", 342) + "=="
}

// crowd is a transport whose server never answers for names with the label silent,
// and answers for others after a while.
type crowd struct{ *dnstest.Zone }

func (c crowd) Exchange(ctx context.Context, network, server string, query []byte) ([]byte, error) {
	wait := 10 * time.Millisecond
	if bytes.Contains(query, []byte("\x06silent")) {
		wait = time.Hour
	}
	select {
	case <-time.After(wait):
		return c.Zone.Exchange(ctx, network, server, query)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestCrowded checks that a sender who keeps the resolver busy with other messages
// does not get a message accepted because its policy could not be looked up.
func TestCrowded(t *testing.T) {
	for _, test := range []struct {
		from    string
		timeout time.Duration // of one look-up
	}{
		{"joe@bank.example", 0},
		{"joe@sub.bank.example", 0},
		{"joe@bank.example, x@a.silent.example", 0},
		{"joe@bank.example", 20 * time.Second}, // longer than the end of a message
	} {
		synctest.Test(t, func(t *testing.T) {
			z := dnstest.MustParse(t, `_dmarc.bank.example. TXT "v=DMARC1; p=reject"`)
			v := verify.New(verify.Options{Resolver: dns.New(dns.Config{Servers: []string{"s"}, Transport: crowd{z}, MaxExchanges: 4, Timeout: test.timeout})})
			other := v.Begin(t.Context(), verify.Envelope{})
			for _, f := range header("From: x@a.silent.example, x@b.silent.example, x@c.silent.example, x@d.silent.example") {
				other.Field(f)
			}
			other.EndHeader()
			time.Sleep(time.Millisecond)
			c := v.Begin(t.Context(), verify.Envelope{})
			for _, f := range header("From: " + test.from) {
				c.Field(f)
			}
			c.EndHeader()
			select {
			case <-c.Ready():
			case <-time.After(8 * time.Second):
			}
			if d := c.Finish().DMARC; d.Status != dmarc.TempError || d.Pending != dmarc.DispositionReject || !errors.Is(d.Err, dns.ErrBusy) {
				t.Errorf("%s: %s, pending %s (%v)", test.from, d.Status, d.Pending, d.Err)
			}
			other.Cancel()
		})
	}
}

// TestLongTimeout checks that a policy already found counts even if the message ends
// during another look-up of the same walk: a look-up may take longer than an MTA
// waits.
func TestLongTimeout(t *testing.T) {
	for range 20 { // often enough that it cannot be chance
		synctest.Test(t, func(t *testing.T) {
			z := dnstest.MustParse(t, `_dmarc.bank.example. TXT "v=DMARC1; p=reject"`)
			v := verify.New(verify.Options{Resolver: dns.New(dns.Config{Servers: []string{"s"}, Transport: crowd{z}, Timeout: 20 * time.Second})})
			c := v.Begin(t.Context(), verify.Envelope{})
			for _, f := range header("From: joe@a.b.silent.bank.example") {
				c.Field(f)
			}
			c.EndHeader()
			time.Sleep(8 * time.Second)
			if d := c.Finish().DMARC; d.Status != dmarc.TempError || d.Pending != dmarc.DispositionReject {
				t.Fatalf("%s, pending %s (%v)", d.Status, d.Pending, d.Err)
			}
		})
	}
}

// TestBudgetOfSPF checks that the budget covers all that RFC 7208 section 4.6.4
// allows: ten terms, with ten names each.
func TestBudgetOfSPF(t *testing.T) {
	var b strings.Builder
	b.WriteString(`_dmarc.bank.example. TXT "v=DMARC1; p=reject"` + "\n" + `bank.example. TXT "v=spf1`)
	for i := range 9 {
		fmt.Fprintf(&b, " mx:m%d.bank.example", i)
	}
	b.WriteString(" ptr -all\"\n")
	for i := range 9 {
		for j := range 10 {
			fmt.Fprintf(&b, "m%d.bank.example. MX 10 h%d.m%d.bank.example.\nh%d.m%d.bank.example. A 203.0.113.%d\n", i, j, i, j, i, 10*i+j)
		}
	}
	for j := range 10 {
		fmt.Fprintf(&b, "9.2.0.192.in-addr.arpa. PTR n%d.bank.example.\nn%d.bank.example. A 192.0.2.1\n", j, j)
	}
	for _, helo := range []bool{false, true} {
		for client, want := range map[string]string{
			"192.0.2.9":    "fail fail",
			"203.0.113.89": "pass pass",
		} {
			env := verify.Envelope{ClientIP: netip.MustParseAddr(client), MailFrom: "joe@bank.example", Helo: "h.bank.example"}
			res := run(verify.New(verify.Options{Resolver: dnstest.MustParse(t, b.String()), HeloResult: helo}), env, header("From: joe@bank.example"))
			if got := fmt.Sprintf("%s %s", res.SPF.Status, res.DMARC.Status); got != want || res.Exceeded != dns.BudgetNone {
				t.Errorf("%s: %s, want %s (%v), exceeded %q", client, got, want, res.SPF.Err, res.Exceeded)
			}
		}
	}
}

// TestExplainChangesNoLookup checks that a site that logs more makes no more
// look-ups: a sender could see them.
func TestExplainChangesNoLookup(t *testing.T) {
	z := dnstest.MustParse(t, `
a.example. TXT "v=spf1 -all exp=%{ir}._why.a.example"
1.2.0.192._why.a.example. TXT "because"
`)
	env := verify.Envelope{ClientIP: netip.MustParseAddr("192.0.2.1"), MailFrom: "x@a.example"}
	h := header("From: x@a.example")
	plain := run(verify.New(verify.Options{Resolver: z}), env, h)
	explained := run(verify.New(verify.Options{Resolver: z, Explain: true}), env, h)
	if plain.Queries != explained.Queries || plain.SPF.Explanation+explained.SPF.Explanation != "" {
		t.Errorf("%d look-ups, and %d with Explain", plain.Queries, explained.Queries)
	}
	asked := run(verify.New(verify.Options{Resolver: z, SPFExplanation: true}), env, h)
	if asked.SPF.Status != spf.Fail || asked.SPF.Explanation != "because" || asked.DMARC.Status != dmarc.None {
		t.Errorf("%s %q", asked.SPF.Status, asked.SPF.Explanation)
	}
}
