package verify_test

import (
	"context"
	"testing"

	"authmilter/verify"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// static answers without allocating, as a cache does.
type static struct {
	dns.Resolver
	txt map[string]dns.Answer[string]
}

func (s *static) TXT(_ context.Context, name string) (dns.Answer[string], error) {
	a, ok := s.txt[name]
	if !ok {
		return a, &dns.Error{Type: "TXT", Name: name, NotFound: true, Err: dns.ErrNoSuchName}
	}
	return a, nil
}

func cached(t testing.TB) *static {
	t.Helper()
	z := dnstest.MustParse(t, zone)
	s := &static{Resolver: z, txt: map[string]dns.Answer[string]{}}
	for _, name := range []string{spfName, dmarcName, edName, rsaName} {
		a, err := z.TXT(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		s.txt[name] = a
	}
	return s
}

// TestAllocations bounds the heap allocations for a message with two signatures,
// if the DNS answers are cached.
func TestAllocations(t *testing.T) {
	const limit = 250 // it takes about 150
	v := verify.New(verify.Options{Resolver: cached(t)})
	h, body := example(t)
	n := testing.AllocsPerRun(50, func() { run(v, envelope, h, body) })
	t.Logf("%.0f allocations for a message with two signatures", n)
	if n > limit {
		t.Errorf("%.0f allocations, more than %d", n, limit)
	}
}

func BenchmarkMessage(b *testing.B) {
	v := verify.New(verify.Options{Resolver: cached(b)})
	h, body := example(b)
	b.ReportAllocs()
	for b.Loop() {
		run(v, envelope, h, body)
	}
}
