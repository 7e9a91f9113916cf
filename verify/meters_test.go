package verify_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns/dnstest"
)

// TestHostileRecordLeavesThePolicy has a sender publish the most expensive SPF
// record possible and use up the share of SPF. The author's policy must still be
// found.
func TestHostileRecordLeavesThePolicy(t *testing.T) {
	var b strings.Builder
	b.WriteString(zone + `attacker.example. TXT "v=spf1`)
	for i := range 9 {
		fmt.Fprintf(&b, " mx:m%d.attacker.example", i)
	}
	b.WriteString(" -all\"\n")
	for i := range 9 {
		for j := range 10 {
			fmt.Fprintf(&b, "m%d.attacker.example. MX %d h%d-%d.attacker.example.\nh%d-%d.attacker.example. A 198.51.100.%d\n", i, j, i, j, i, j, j+1)
		}
	}
	for _, queries := range []int{0, 10, 50, 1000} {
		for _, helo := range []bool{false, true} {
			z := dnstest.MustParse(t, b.String())
			v := verify.New(verify.Options{Resolver: z, MaxQueries: queries, HeloResult: helo})
			res := run(v, verify.Envelope{ClientIP: netip.MustParseAddr("203.0.113.9"), Helo: "attacker.example", MailFrom: "x@attacker.example"},
				header("From: ceo@a.b.c.d.e.f.g.victim.example"))
			if res.DMARC.Status != dmarc.Fail || res.DMARC.Disposition != dmarc.DispositionReject {
				t.Errorf("limit %d: spf=%s dmarc=%s (%v)", queries, res.SPF.Status, res.DMARC.Status, res.DMARC.Err)
			}
			// Two simultaneous look-ups of the same name share a query.
			if asked := len(z.Queries()); asked > res.Queries || asked < res.Queries && !helo {
				t.Errorf("limit %d: counted %d look-ups of %d", queries, res.Queries, asked)
			}
			if max := max(queries, verify.DefaultMaxQueries); res.Queries > max {
				t.Errorf("limit %d: %d look-ups", queries, res.Queries)
			}
		}
	}
}

// TestManySignaturesLeaveThePolicy has a sender add many signatures in the author's
// name: a key that was not looked up would be a temporary error, and so would DMARC.
func TestManySignaturesLeaveThePolicy(t *testing.T) {
	lines := []string{"From: ceo@victim.example"}
	for i := range 300 {
		lines = append(lines, fmt.Sprintf("DKIM-Signature: v=1; a=rsa-sha256; d=victim.example; s=s%d; h=from; "+
			"bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b="+strings.Repeat("A", 172), i))
	}
	for _, signatures := range []int{0, 1, 10, 50, 100} {
		for _, queries := range []int{0, 10} {
			v := verify.New(verify.Options{
				Resolver: dnstest.MustParse(t, zone), MaxQueries: queries,
				DKIM: dkim.Options{MaxSignatures: signatures},
			})
			res := run(v, envelope, header(lines...), []byte("x\r\n"))
			if res.DMARC.Status != dmarc.Fail || res.DMARC.Disposition != dmarc.DispositionReject {
				t.Errorf("%d signatures, %d look-ups: dmarc=%s (%v)", signatures, queries, res.DMARC.Status, res.DMARC.Err)
			}
			for _, d := range res.DKIM {
				if d.Status != dkim.PermError && d.Status != dkim.Policy {
					t.Errorf("%d signatures, %d look-ups: dkim=%s (%v)", signatures, queries, d.Status, d.Err)
				}
			}
		}
	}
}

// TestMissingQueries checks which settings leave enough look-ups for a long SPF
// record.
func TestMissingQueries(t *testing.T) {
	for _, test := range []struct {
		queries, signatures int
		helo                bool
		want                int
	}{
		{verify.DefaultMaxQueries, 0, false, 0},
		{verify.DefaultMaxQueries, 0, true, 0},
		{191, 10, false, 0},
		{190, 10, false, 1},
		{100, 10, false, 91}, // an earlier default
		{80, 100, false, 201},
		{206, 10, true, 0},
		{205, 10, true, 1},
		{10_000, 100, true, 0},
	} {
		o := verify.Options{MaxQueries: test.queries, HeloResult: test.helo, DKIM: dkim.Options{MaxSignatures: test.signatures}}
		if got := o.MissingQueries(); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
}
