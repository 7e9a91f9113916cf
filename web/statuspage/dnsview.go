package statuspage

import "time"

// dnsView shows the DNS queries and cache look-ups of the last hour.
type dnsView struct {
	Chart               chart
	Queries             string
	Types, Codes        []counted
	Mean, Longest       string
	Hits, Misses, Stale string
	HitRate             string
}

// counted is the count of one name, with its share of all.
type counted struct{ Name, Class, Count, Share string }

// dnsKinds are the bars of the DNS chart.
var dnsKinds = []kind{{"answered", "d-none"}, {"failed", "d-reject"}}

// answered reports whether rcode means that the question was answered.
func answered(rcode string) bool { return rcode == "NOERROR" || rcode == "NXDOMAIN" }

// failed returns how many queries failed, and how many there were.
func (c *dnsCounts) failed() (failed, all uint64) {
	for i, n := range c.rcodes {
		all += uint64(n)
		if !answered(rcodes.name(uint8(i))) {
			failed += uint64(n)
		}
	}
	return failed, all
}

// mean returns the mean time that a query took.
func (c *dnsCounts) mean() string {
	_, all := c.failed()
	if all == 0 {
		return absent
	}
	return duration(c.took / time.Duration(all))
}

func (f *facts) dnsView() dnsView {
	c := &f.dns
	_, all := c.failed()
	looked := uint64(c.hits) + uint64(c.misses) + uint64(c.stale)
	v := dnsView{
		Queries: grouped(all), Mean: c.mean(), Longest: absent,
		Hits: grouped(uint64(c.hits)), Misses: grouped(uint64(c.misses)), Stale: grouped(uint64(c.stale)),
		HitRate: percent(uint64(c.hits), looked),
	}
	if all > 0 {
		v.Longest = duration(c.longest)
	}
	for i, n := range c.qtypes {
		if n > 0 {
			v.Types = append(v.Types, counted{Name: qtypes.name(uint8(i)), Count: grouped(uint64(n)), Share: percent(uint64(n), all)})
		}
	}
	for i, n := range c.rcodes {
		if n == 0 {
			continue
		}
		name, class := rcodes.name(uint8(i)), toneBad
		if answered(name) {
			class = toneFlat
		}
		v.Codes = append(v.Codes, counted{name, string(class), grouped(uint64(n)), percent(uint64(n), all)})
	}
	p := plot{title: "DNS queries per minute, last hour", unit: "queries", kinds: dnsKinds}
	p.clock = func(i int) string { return f.hour.start(i).Format("15:04") }
	for i := range f.hour.slots {
		bad, n := f.hour.slots[i].dns.failed()
		p.values = append(p.values, []uint64{n - bad, bad})
	}
	v.Chart = p.draw()
	v.Chart.Legend = true
	return v
}
