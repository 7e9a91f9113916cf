package milter

import (
	"testing"

	"authmilter/policy"
	"authmilter/verify/dmarc"
)

// TestSplitReadersWire sends mail of service.example, which passes, in whose From
// some readers show bank.example.
func TestSplitReadersWire(t *testing.T) {
	r := start(t, options{zone: `
_dmarc.bank.example. TXT "v=DMARC1; p=reject"
service.example. TXT "v=spf1 ip4:192.0.2.9 -all"
_dmarc.service.example. TXT "v=DMARC1; p=reject"
_dmarc.dead.bank.example. TXT "v=DMARC1; p=none"
$RCODE SERVFAIL _dmarc.dead.bank.example
`})
	s := *r.settings.Load()
	s.Rules = &policy.Rules{Mode: policy.ModeEnforce, PerReason: policy.PerReason{Author: policy.Quarantine, SeveralFrom: policy.Quarantine}}
	r.Set(&s)
	for _, test := range []struct {
		from   string
		client string
		want   policy.Disposition
		dmarc  dmarc.Status
	}{
		{"joe@bank.example (via Docs) <docs@service.example>", "192.0.2.9", policy.Quarantine, dmarc.Fail},
		{"joe@bank.example [Docs] <docs@service.example>", "192.0.2.9", policy.Quarantine, dmarc.Fail},
		{"[Docs] joe@bank.example <docs@service.example>", "192.0.2.9", policy.Quarantine, dmarc.Fail},
		{"Docs: joe@bank.example <docs@service.example>", "192.0.2.9", policy.Quarantine, dmarc.Fail},
		{"=?utf-8?q?joe=40bank.example?= [Docs] <docs@service.example>", "192.0.2.9", policy.Quarantine, dmarc.Fail},
		{"joe@dead.bank.example [Docs] <docs@service.example>", "192.0.2.9", policy.Quarantine, dmarc.TempError},
		{"joe@bank.example via Docs <docs@service.example>", "192.0.2.9", policy.None, dmarc.Pass},
		{"Joe @ home, inc. <docs@service.example>", "192.0.2.9", policy.None, dmarc.Pass},
		{"Joe @ home., inc. <docs@service.example>", "192.0.2.9", policy.None, dmarc.Pass},

		// Another client may not send for service.example.
		{"joe@bank.example (via Docs) <docs@service.example>", "192.0.2.10", policy.Reject, dmarc.Fail},
		{"joe@dead.bank.example (via Docs) <docs@other.example>", "192.0.2.9", policy.Defer, dmarc.TempError},
		// Two mailboxes, several brackets, and an author that cannot be judged.
		{"joe@bank.example, Docs <docs@service.example>", "192.0.2.9", policy.Reject, dmarc.Fail},
		{"Docs: joe@bank.example, docs@service.example;", "192.0.2.9", policy.Reject, dmarc.Fail},
		{"<joe@bank.example> [Docs] <docs@service.example>", "192.0.2.9", policy.Reject, dmarc.Fail},
		{"joe@bank.example joe@[192.0.2.1] [Docs] <docs@service.example>", "192.0.2.9", policy.Reject, dmarc.Fail},
	} {
		v := r.judge(&attack{
			mail: mail{
				client: test.client, helo: "h.service.example", from: "a@service.example",
				fields: []field{{"From", " " + test.from}, {"Subject", " x"}}, body: "x\r\n",
			},
			recipients: []string{"ann@receiver.example"},
		})
		if v.Decision.Disposition != test.want || v.Result.DMARC.Status != test.dmarc {
			t.Errorf("%s, from %s: %s because of %s, dmarc=%s (%v), %+v", test.from, test.client, v.Decision.Disposition, v.Decision.Reason,
				v.Result.DMARC.Status, v.Result.DMARC.Err, v.Result.Authors)
		}
	}
}
