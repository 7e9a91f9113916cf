package policy

import (
	"testing"

	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/spf"
)

// TestReportOnly checks that the zero Rules deliver every message and report what
// its author asked for.
func TestReportOnly(t *testing.T) {
	n := 0
	for _, d := range dkim.Statuses() {
		for _, s := range spf.Statuses() {
			for _, m := range dmarc.Statuses() {
				for _, asked := range []dmarc.Disposition{"", dmarc.DispositionNone, dmarc.DispositionQuarantine, dmarc.DispositionReject} {
					r := &verify.Result{
						DKIM:  []dkim.Result{{Status: d, Signature: &dkim.Signature{}}},
						SPF:   spf.Result{Status: s},
						DMARC: dmarc.Result{Status: m, Disposition: asked},
					}
					got := (&Rules{}).Decide(&Message{Result: r})
					want := None
					if asked != "" {
						want = Disposition(asked)
					}
					if got.Disposition != None || got.Requested != want || got.Reply != (Reply{}) || got.HoldReason+got.QuarantineText != "" {
						t.Errorf("dkim=%s spf=%s dmarc=%s, asked for %q: %+v", d, s, m, asked, got)
					}
					n++
				}
			}
		}
	}
	if n < 500 {
		t.Errorf("only %d cases", n)
	}
}
