package metrics

import (
	"authmilter/policy"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/iprev"
	"authmilter/verify/spf"
)

// zero creates the series with known labels, so that their rates are right from the
// first event on.
func (m *Metrics) zero(c Config) {
	for _, s := range policy.Skips() {
		m.skipped.WithLabelValues(string(s))
	}
	m.zeroResults()
	m.zeroDMARC()
	for _, r := range policy.OverrideTypes() {
		m.override.WithLabelValues(string(r))
	}
	m.seals.WithLabelValues("sealed")
	m.seals.WithLabelValues("error")
	for _, s := range unsealed {
		m.seals.WithLabelValues(s.result)
	}
	for _, s := range []string{"signed", "unsigned", "error"} {
		m.own.WithLabelValues(s)
	}
	for _, s := range dkim.Statuses() {
		m.ownDKIM.WithLabelValues(string(s))
	}
	for _, kind := range policy.OwnFieldKinds() {
		m.removed.WithLabelValues(string(kind), claimForged)
	}
	m.removed.WithLabelValues(string(policy.ResultsField), claimHarmless)
	for _, reason := range policy.Refusals() {
		m.refused.WithLabelValues(string(reason))
	}
	for _, s := range []string{"hit", "miss", "stale"} {
		m.dnsCache.WithLabelValues(s)
	}
	for _, b := range []dns.Budget{dns.BudgetQueries, dns.BudgetTime} {
		m.dnsExceeded.WithLabelValues(string(b))
	}
	for _, qtype := range []string{"A", "AAAA", "MX", "NS", "PTR", "TXT"} {
		for _, rcode := range []string{"NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "timeout", "network", "malformed"} {
			m.dnsQueries.WithLabelValues(qtype, rcode)
		}
	}
	for _, reason := range c.ProtocolErrors {
		m.violations.WithLabelValues(reason)
	}
	for _, stage := range append([]string{stageSeal, stageSign}, c.Stages...) {
		m.errors.WithLabelValues(stage)
	}
}

func (m *Metrics) zeroResults() {
	for _, o := range dkim.Outcomes() {
		m.results.WithLabelValues("dkim", string(o.Status), string(o.Reason))
	}
	for _, o := range spf.Outcomes() {
		m.results.WithLabelValues("spf", string(o.Status), string(o.Reason))
	}
	for _, o := range dmarc.Outcomes() {
		m.results.WithLabelValues("dmarc", string(o.Status), string(o.Reason))
	}
	for _, o := range iprev.Outcomes() {
		m.results.WithLabelValues("iprev", string(o.Status), string(o.Reason))
	}
	for _, o := range arc.Outcomes() {
		m.results.WithLabelValues("arc", string(o.Status), string(o.Reason))
	}
	for _, s := range dkim.Statuses() {
		if s == dkim.None {
			continue // no signature has this status
		}
		for _, a := range algorithms {
			for _, bits := range keySizes {
				if bits == unknown || a != unknown && (bits == bitsEd25519) == (a == "ed25519-sha256") {
					m.dkim.WithLabelValues(string(s), a, bits)
				}
			}
		}
	}
	for _, id := range []spf.Identity{spf.MailFrom, spf.Helo} {
		for _, s := range spf.Statuses() {
			m.spf.WithLabelValues(string(id), string(s))
		}
	}
	for _, n := range setCounts {
		if n == "0" {
			m.arc.WithLabelValues(string(arc.None), n)
		} else if n != setsOver {
			m.arc.WithLabelValues(string(arc.Pass), n)
		}
		m.arc.WithLabelValues(string(arc.Fail), n)
	}
}

// zeroDMARC creates the combinations that occur without an override, and for
// failures also with one.
func (m *Metrics) zeroDMARC() {
	published := []dmarc.Disposition{"", dmarc.DispositionNone, dmarc.DispositionQuarantine, dmarc.DispositionReject}
	for _, s := range dmarc.Statuses() {
		for _, p := range published {
			if p == "" && (s == dmarc.Pass || s == dmarc.Fail) || p != "" && (s == dmarc.None || s == dmarc.PermError) {
				continue
			}
			for _, d := range policy.Dispositions() {
				m.dmarc.WithLabelValues(string(s), string(p), string(d), "")
				if s != dmarc.Fail {
					continue
				}
				for _, o := range policy.OverrideTypes() {
					m.dmarc.WithLabelValues(string(s), string(p), string(d), string(o))
				}
			}
		}
	}
}

// ListenerAdded creates the series of a listener, so that it is visible before its
// first message.
func (m *Metrics) ListenerAdded(name string) {
	for _, d := range policy.Dispositions() {
		m.messages.WithLabelValues(name, string(d))
	}
}
