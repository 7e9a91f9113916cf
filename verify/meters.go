package verify

import "authmilter/verify/dns"

// How the look-ups that a message may take are shared out, in percent. Whoever
// sends a message decides what its SPF record and its signatures ask for: with
// one budget for all he could use it up before the policy of the author domain
// is looked up, and escape it.
const (
	shareSPF  = 40
	shareKeys = 10
	// The rest is for DMARC: of 100 look-ups all that it may ever ask for.
)

// meters count and bound the look-ups of one message.
type meters struct {
	spf, helo, keys, dmarc *dns.Meter
}

func newMeters(o *Options) meters {
	all := dns.NewMeter(o.Resolver, 0)
	if o.Explain {
		all.Record()
	}
	forSPF := o.MaxQueries * shareSPF / 100
	forKeys := max(o.MaxQueries*shareKeys/100, 1)
	m := meters{
		keys:  all.Split(forKeys),
		dmarc: all.Split(o.MaxQueries - forSPF - forKeys),
	}
	if o.HeloResult {
		// The HELO identity is another domain's to choose than MAIL FROM.
		m.helo = all.Split(forSPF / 2)
		forSPF -= forSPF / 2
	}
	m.spf = all.Split(forSPF)
	return m
}

// count returns how many look-ups were made.
func (m *meters) count() int {
	n := m.spf.Count() + m.keys.Count() + m.dmarc.Count()
	if m.helo != nil {
		n += m.helo.Count()
	}
	return n
}
