package verify

import (
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/iprev"
	"authmilter/verify/spf"
)

// Each protocol has its own share of the look-ups for a message. The sender decides
// what its SPF record and its signatures look up. With a single budget, they could
// use up what the policy or a key of the author domain needs, and so turn a fail
// into a temporary error. So DKIM, DMARC and ARC get as many as they can ever need,
// and SPF gets the rest: by default all that RFC 7208 section 4.6.4 allows,
// [spf.MaxQueries].
const (
	// minSPF is the least that SPF gets: ten terms, and room for the hosts of a few
	// mx terms.
	minSPF = 20
	// Between one in minHelo and one in maxHelo of SPF's look-ups are for the HELO
	// identity, whose records are short.
	minHelo, maxHelo = 8, 4
)

// meters counts and bounds the look-ups for one message.
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

// keyQueries returns the share of look-ups for the keys of signatures.
func (o *Options) keyQueries() int {
	if o.DKIM.MaxSignatures == 0 {
		return dkim.DefaultMaxSignatures
	}
	return o.DKIM.MaxSignatures
}

// spfQueries returns the shares of look-ups for SPF: for MAIL FROM, and for HELO
// if HeloResult is set.
func (o *Options) spfQueries() (mailFrom, helo int) {
	n := max(o.MaxQueries-o.keyQueries()-dmarc.MaxLookups, minSPF)
	if o.HeloResult {
		// The HELO identity can name another domain than MAIL FROM. It gets what
		// MAIL FROM cannot need.
		helo = max(n/minHelo, min(n-spf.MaxQueries, n/maxHelo))
	}
	return n - helo, helo
}

// MissingQueries returns how far MaxQueries, which must be set, falls short of what
// the largest SPF record that RFC 7208 section 4.6.4 allows needs to avoid a
// temporary error; 0 if it suffices.
func (o *Options) MissingQueries() int {
	enough := *o
	for {
		if mailFrom, _ := enough.spfQueries(); mailFrom >= spf.MaxQueries {
			return enough.MaxQueries - o.MaxQueries
		}
		enough.MaxQueries++
	}
}

// all returns all meters.
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

// exceeded returns the budget that was too small for some part. The number of
// look-ups takes precedence over the time, because the sender is to blame for it.
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
