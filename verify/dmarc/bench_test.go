package dmarc_test

import (
	"context"
	"testing"
	"time"

	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
)

// cached is a resolver that answers at once, so that only the evaluation is
// measured.
type cached struct {
	dns.Resolver
	values map[string][]string
}

func (c cached) TXT(_ context.Context, name string) (dns.Answer[string], error) {
	if v, ok := c.values[name]; ok {
		return dns.Answer[string]{Values: v, TTL: time.Minute}, nil
	}
	return dns.Answer[string]{}, notFound
}

var notFound = &dns.Error{Type: "TXT", Name: "x", NotFound: true, Err: dns.ErrNoSuchName}

func BenchmarkEvaluate(b *testing.B) {
	r := cached{values: map[string][]string{
		"_dmarc.example.com": {"v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@example.com,mailto:x@agari.example; adkim=r"},
	}}
	for _, bm := range []struct {
		name, author string
		mode         dmarc.Mode
	}{
		{"own", "example.com", dmarc.TreeWalk},
		{"subdomain", "news.example.com", dmarc.TreeWalk},
		{"none", "news.example.net", dmarc.TreeWalk},
		{"psl", "news.example.com", dmarc.PSL},
	} {
		b.Run(bm.name, func(b *testing.B) {
			ids := []dmarc.Identifier{
				{Method: dmarc.MethodDKIM, Domain: bm.author, Pass: true},
				{Method: dmarc.MethodDKIM, Domain: "esp.example", Pass: true},
				{Method: dmarc.MethodSPF, Domain: "bounce.example.com", Pass: true},
			}
			b.ReportAllocs()
			for b.Loop() {
				dmarc.Lookup(b.Context(), r, dmarc.Query{Authors: []string{bm.author}, Candidates: ids, Mode: bm.mode}).Evaluate(ids)
			}
		})
	}
}

func BenchmarkParseRecord(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dmarc.ParseRecord("v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@example.com; fo=1"); err != nil {
			b.Fatal(err)
		}
	}
}
