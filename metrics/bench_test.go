package metrics

import (
	"testing"
	"time"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/spf"
)

// BenchmarkMessage measures all metrics of one message with two signatures and six
// look-ups from the cache.
func BenchmarkMessage(b *testing.B) {
	m := newMetrics()
	m.SetAuthorDomains([]string{"example.com"})
	signature := dkim.Result{
		Status:    dkim.Pass,
		Signature: &dkim.Signature{Algorithm: "rsa-sha256"},
		Key:       &dkim.Key{Type: "rsa", Bits: 2048},
	}
	v := &policy.Verdict{
		Listener:     "inet:8894@127.0.0.1",
		Decision:     policy.Decision{Disposition: policy.None},
		EndOfMessage: 200 * time.Microsecond,
		Stages:       policy.Stages{Receive: time.Millisecond, Verify: 100 * time.Microsecond, Write: 10 * time.Microsecond},
		Result: &verify.Result{
			DKIM:  []dkim.Result{signature, signature},
			SPF:   spf.Result{Status: spf.Pass, Identity: spf.MailFrom},
			DMARC: dmarc.Result{Status: dmarc.Pass, Author: "example.com", Policy: &dmarc.Policy{Published: dmarc.DispositionReject}},
			ARC:   arc.Result{Status: arc.None},
			Size:  32 << 10,
		},
	}
	b.ReportAllocs()
	for b.Loop() {
		m.MessageBegan()
		for range 6 {
			m.DNSCacheHit()
		}
		m.Observe(v)
		m.MessageEnded()
	}
}
