package milter

import (
	"testing"

	"authmilter/policy"
)

// TestBouncesWire sends bounces whose From names no domain.
func TestBouncesWire(t *testing.T) {
	r := start(t, options{zone: attackZone})
	s := *r.settings.Load()
	for _, test := range []struct {
		sender, from string
		bounce, want policy.Disposition
	}{
		{"<>", "MAILER-DAEMON <>", "", policy.None},
		{"<>", "Mail Delivery Subsystem <MAILER-DAEMON>", "", policy.None},
		{"<>", "<>", "", policy.None},
		{"<>", "MAILER-DAEMON", "", policy.None},
		{"<>", "", "", policy.None},
		{"<>", "=?utf-8?q?Zustellung=C3=A4?= <>", "", policy.None},
		{"<>", "<>", policy.Quarantine, policy.Quarantine},
		{"<>", "<>", policy.Reject, policy.Reject},
		{"joe@attacker.example", "<>", "", policy.Quarantine},
		{"", "MAILER-DAEMON <>", "", policy.None},
		{"<>", "joe@bank", "", policy.Quarantine},
		{"<>", "joe@[192.0.2.1]", "", policy.Quarantine},
		{"<>", "joe@ba\u200enk.example", "", policy.Reject},
		{"<>", "joe%bank", "", policy.Quarantine},
		{"<>", "joe@bank.example <>", "", policy.Reject},
		{"<>", "=?utf-8?q?joe=40bank?= <>", "", policy.Quarantine},
		{"<>", "MAILER-DAEMON@bank.example", "", policy.Reject},
	} {
		s.Rules = &policy.Rules{Mode: policy.ModeEnforce, PerReason: policy.PerReason{Author: policy.Quarantine, Bounce: test.bounce, SeveralFrom: policy.Quarantine}}
		r.Set(&s)
		v := r.judge(&attack{
			mail: mail{
				client: "203.0.113.5", helo: "h.attacker.example", from: test.sender,
				fields: []field{{"From", " " + test.from}, {"Subject", " x"}}, body: "x\r\n",
			},
			recipients: []string{"ann@receiver.example"},
		})
		if v.Decision.Disposition != test.want {
			t.Errorf("%q, from %q: %s because of %s (%v)", test.from, test.sender, v.Decision.Disposition, v.Decision.Reason, v.Result.DMARC.Err)
		}
	}
}
