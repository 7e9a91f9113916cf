package verify_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

// sealed returns the message of [example] with a chain of n sets, whose sealers'
// keys are in the zone.
func sealed(t *testing.T, n int) (message.Header, []byte, *dnstest.Zone) {
	t.Helper()
	text, err := os.ReadFile("../test/testdata/keys/rsa1024.pem")
	if err != nil {
		t.Fatal(err)
	}
	key, err := dkim.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	names := dnstest.MustParse(t, zone)
	h, body := example(t)
	for i := 1; i <= n; i++ {
		s := &arc.Sealer{Domain: fmt.Sprintf("hop%d.example", i), Selector: "s", Key: key}
		names.AddTXT("s._domainkey."+s.Domain, key.Record())
		c := verify.New(verify.Options{Resolver: names, Sealer: s}).Begin(context.Background(), envelope)
		for _, f := range h {
			c.Field(f)
		}
		c.EndHeader()
		_, _ = c.Write(body)
		<-c.Ready()
		c.Finish()
		set, err := c.Seal("mx."+s.Domain, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range set {
			h = append(message.Header{f}, h...)
		}
	}
	return h, body, names
}

// slow counts look-ups and answers after a while.
type slow struct {
	dns.Resolver
	by time.Duration

	mu    sync.Mutex
	count map[string]int
}

func (r *slow) TXT(ctx context.Context, name string) (dns.Answer[string], error) {
	r.mu.Lock()
	if r.count == nil {
		r.count = map[string]int{}
	}
	r.count[name]++
	r.mu.Unlock()
	select {
	case <-time.After(r.by):
		return r.Resolver.TXT(ctx, name)
	case <-ctx.Done():
		return dns.Answer[string]{}, &dns.Error{Type: "TXT", Name: name, Err: ctx.Err()}
	}
}

// TestChainKeys checks that each key of a chain is looked up once, and that all of
// them share the time for look-ups.
func TestChainKeys(t *testing.T) {
	const sets = 12
	h, body, names := sealed(t, sets)
	r := &slow{Resolver: names}
	res := run(verify.New(verify.Options{Resolver: r}), envelope, h, body)
	if res.ARC.Status != arc.Pass || res.ARC.OldestPass != 0 {
		t.Fatalf("%+v", res.ARC)
	}
	for i := 1; i <= sets; i++ {
		if name := fmt.Sprintf("s._domainkey.hop%d.example", i); r.count[name] != 1 {
			t.Errorf("%s: %d look-ups", name, r.count[name])
		}
	}

	r = &slow{Resolver: names, by: 100 * time.Millisecond}
	res = run(verify.New(verify.Options{Resolver: r, LookupTime: 250 * time.Millisecond}), envelope, h, body)
	if res.ARC.Status != arc.Fail || res.ARC.Reason != arc.ReasonDNS {
		t.Errorf("out of time: %+v", res.ARC)
	}
	if n := len(r.count); n >= sets {
		t.Errorf("%d names looked up", n)
	}
}

// TestChainGivenUp ends messages while the keys of their chains are looked up.
func TestChainGivenUp(t *testing.T) {
	h, body, names := sealed(t, 6)
	defer noLeak(t)()
	for i := range 60 {
		c := verify.New(verify.Options{Resolver: &slow{Resolver: names, by: time.Millisecond}}).Begin(context.Background(), envelope)
		for _, f := range h {
			c.Field(f)
		}
		c.EndHeader()
		_, _ = c.Write(body)
		time.Sleep(time.Duration(i) * 100 * time.Microsecond)
		if i%2 == 0 {
			c.Cancel()
			continue
		}
		if r := c.Finish(); r.ARC.Status != arc.Pass && r.ARC.Reason != arc.ReasonDNS {
			t.Fatalf("%+v", r.ARC)
		}
	}
}
