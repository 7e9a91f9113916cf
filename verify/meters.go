package verify

import (
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/iprev"
	"authmilter/verify/spf"
)

// The look-ups that a message may take are shared out. The sender of a message
// decides what its SPF record and its signatures ask for: out of one budget for
// all they could use up what the policy of the author domain needs, or the key of
// its signature, and so turn a fail into a temporary error. DKIM, DMARC and ARC
// therefore get all that they may ever ask for, and SPF the rest. By default that
// is all that RFC 7208 section 4.6.4 allows, [spf.MaxQueries].
const (
	// minSPF is what SPF gets at least: ten terms, and room for the hosts of a few
	// mx.
	minSPF = 20
	// At least one in minHelo of SPF's look-ups, and at most one in maxHelo, are for
	// the HELO identity, whose records are short.
	minHelo, maxHelo = 8, 4
)

// meters count and bound the look-ups of one message.
type meters struct {
	spf, helo, keys, dmarc, arc, iprev *dns.Meter
}

func newMeters(o *Options) meters {
	all := dns.NewMeter(o.Resolver, 0)
	if o.Explain {
		all.Record()
	}
	mailFrom, helo := o.spfQueries()
	m := meters{
		spf:   all.Split(mailFrom),
		keys:  all.Split(o.keyQueries()),
		dmarc: all.Split(dmarc.MaxLookups),
		arc:   all.Split(arc.MaxLookups),
		iprev: all.Split(iprev.MaxLookups),
	}
	if helo > 0 {
		m.helo = all.Split(helo)
	}
	return m
}

// keyQueries returns how many look-ups there are for the keys of signatures.
func (o *Options) keyQueries() int {
	if o.DKIM.MaxSignatures == 0 {
		return dkim.DefaultMaxSignatures
	}
	return o.DKIM.MaxSignatures
}

// spfQueries returns how many look-ups there are for SPF: for MAIL FROM, and for
// HELO if that is asked for.
func (o *Options) spfQueries() (mailFrom, helo int) {
	n := max(o.MaxQueries-o.keyQueries()-dmarc.MaxLookups, minSPF)
	if o.HeloResult {
		// The HELO identity is another domain's to choose than MAIL FROM. It gets
		// what MAIL FROM cannot need.
		helo = max(n/minHelo, min(n-spf.MaxQueries, n/maxHelo))
	}
	return n - helo, helo
}

// MissingQueries returns how many look-ups MaxQueries, which must be set, is short
// of, so that no SPF record within the bounds of RFC 7208 section 4.6.4 has a
// temporary error for want of them; 0 if it suffices.
func (o *Options) MissingQueries() int {
	enough := *o
	for {
		if mailFrom, _ := enough.spfQueries(); mailFrom >= spf.MaxQueries {
			return enough.MaxQueries - o.MaxQueries
		}
		enough.MaxQueries++
	}
}

// all returns the meters of all parts.
func (m *meters) all() []*dns.Meter {
	parts := []*dns.Meter{m.spf, m.keys, m.dmarc, m.arc, m.iprev}
	if m.helo != nil {
		parts = append(parts, m.helo)
	}
	return parts
}

// count returns how many look-ups were made.
func (m *meters) count() int {
	n := 0
	for _, part := range m.all() {
		n += part.Count()
	}
	return n
}

// exceeded returns which budget was too small for a part: the number of look-ups
// before the time, because that is the doing of who sent the message.
func (m *meters) exceeded() dns.Budget {
	worst := dns.BudgetNone
	for _, part := range m.all() {
		switch part.Exceeded() {
		case dns.BudgetQueries:
			return dns.BudgetQueries
		case dns.BudgetTime:
			worst = dns.BudgetTime
		}
	}
	return worst
}
