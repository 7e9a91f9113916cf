package spf_test

import (
	"context"
	"net/netip"
	"testing"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/spf"
)

const benchZone = `
example.com.       TXT "v=spf1 include:_spf.example.net include:spf.example.org -all"
_spf.example.net.  TXT "v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/24 ip6:2001:db8:1::/48 ip6:2001:db8:2::/48 ~all"
spf.example.org.   TXT "v=spf1 ip4:198.51.100.7 ip4:192.0.2.0/25 -all"
`

// table is a DNS with TXT records only. Look-ups in it cost next to nothing.
type table struct {
	dns.Resolver
	records map[string][]string
}

func (r table) TXT(_ context.Context, name string) (dns.Answer[string], error) {
	return dns.Answer[string]{Values: r.records[name]}, nil
}

// BenchmarkCheck evaluates a record with two includes: by itself, and with
// answers from the cache of the DNS client.
func BenchmarkCheck(b *testing.B) {
	client := dns.New(dns.Config{Servers: []string{dnstest.Serve(b, dnstest.MustParse(b, benchZone))}})
	records := map[string][]string{}
	for _, name := range []string{"example.com", "_spf.example.net", "spf.example.org"} {
		a, err := client.TXT(context.Background(), name)
		if err != nil {
			b.Fatal(err)
		}
		records[name] = a.Values
	}
	for name, resolver := range map[string]dns.Resolver{"table": table{records: records}, "client": client} {
		b.Run(name, func(b *testing.B) {
			args := spf.Args{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "someone@example.com", Helo: "mail.example.com"}
			b.ReportAllocs()
			for b.Loop() {
				if r := spf.Check(context.Background(), resolver, args); r.Status != spf.Pass {
					b.Fatal(r.Text())
				}
			}
		})
	}
}

// BenchmarkParseRecord parses a typical record.
func BenchmarkParseRecord(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := spf.ParseRecord("v=spf1 ip4:198.51.100.0/24 ip6:2001:db8:1::/48 a mx include:_spf.example.net exists:%{i}._spf.%{d} ~all"); err != nil {
			b.Fatal(err)
		}
	}
}
