package statuspage

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
)

// snapshot is a copy of everything that the page shows, taken at one moment.
type snapshot struct {
	now, started time.Time
	version      string
	mode         Privacy
	connections  int64
	state        State
	failedAt     time.Time
	failure      string
	keys         []keyState

	hour    series[minute]
	day     series[counts]
	talkers series[sketch]
	since   time.Time // when counting the talkers began
	last    []record
}

func (p *Page) snapshot() *snapshot {
	now := p.now()
	s := &snapshot{now: now, started: p.started, version: p.version, connections: p.connections.Load()}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.mode = p.mode()
	s.state, s.failedAt, s.failure = p.state, p.failedAt, p.failure
	s.keys = slices.Clone(p.keys)
	s.hour, s.day = p.recorder.hour.series(now), p.recorder.day.series(now)
	s.talkers = p.recorder.talkers.series(now)
	for i := range s.talkers.slots {
		s.talkers.slots[i] = s.talkers.slots[i].copied()
	}
	s.last, s.since = p.recorder.last(), p.recorder.since
	return s
}

// view is the data for the template. Its texts are ready to be shown: those from
// outside have been cleaned. The template escapes them.
type view struct {
	CSS                 template.CSS
	Refresh             bool
	Anonymous           bool
	AuthservID, Version string
	Now, Loaded         moment
	Zone, Uptime        string
	ReloadFailed        moment
	ReloadError         string
	Attention           []notice
	Tiles               []tile
	Charts              []chart
	Volume              []volumeRow
	Methods             []methodRow
	Talkers             talkersView
	Messages            []messageRow
	DNS                 dnsView
	Waits               []labelled
	Keys                []keyRow
	Config              string
}

// labelled is a value with its name.
type labelled struct{ Name, Value string }

// tile is one of the large numbers at the top.
type tile struct {
	Name, Value, More string
}

// volumeRow is a number of messages or header fields.
type volumeRow struct {
	Name, Class string
	Hour, Day   string
	Total       bool
}

// methodRow shows the results of one method.
type methodRow struct {
	Name  string
	Spans []methodSpan // the hour, the day
}

type methodSpan struct {
	Name, Pass, Total string
	Bar               []share
	Title             string
	Results           []methodCounted
}

type methodCounted struct{ Class, Name, Count string }

type keyRow struct{ Use, Domain, Selector, State, Class string }

// facts holds the sums that several parts of the page show.
type facts struct {
	*snapshot
	hourCounts, dayCounts counts
	dns                   dnsCounts
	waits                 histogram
	longest               time.Duration
}

func (s *snapshot) facts() *facts {
	f := &facts{snapshot: s}
	for i := range s.hour.slots {
		m := &s.hour.slots[i]
		f.hourCounts.sum(&m.counts)
		f.dns.sum(&m.dns)
		f.waits.sum(&m.waits)
		f.longest = max(f.longest, m.longest)
	}
	for i := range s.day.slots {
		f.dayCounts.sum(&s.day.slots[i])
	}
	return f
}

// view returns the data for the template.
func (s *snapshot) view() *view {
	f := s.facts()
	zone := s.now.Location()
	zoneName, _ := s.now.Zone()
	v := &view{
		CSS:          template.CSS(pageCSS), // safe: it is a constant, and the Content-Security-Policy allows only it
		Anonymous:    s.mode != Full,
		AuthservID:   shown(s.state.AuthservID, maxDomain),
		Version:      shown(s.version, maxText),
		Now:          momentOf(s.now, zone),
		Loaded:       clockOf(s.state.LoadedAt, s.now),
		Zone:         shown(zoneName, maxText),
		Uptime:       age(s.now.Sub(s.started)),
		ReloadFailed: clockOf(s.failedAt, s.now),
		ReloadError:  s.failure,
		Attention:    f.attention(),
		Tiles:        f.tiles(),
		Charts:       []chart{f.hourChart(), f.dayChart()},
		Volume:       f.volume(),
		Methods:      f.methods(),
		Messages:     f.messages(),
		DNS:          f.dnsView(),
		Waits:        f.waitRows(),
		Keys:         f.keyRows(),
		Config:       s.state.Config,
	}
	if !v.Anonymous {
		v.Talkers = f.talkersView()
	}
	return v
}

func total(counts []uint32) (sum uint64) {
	for _, n := range counts {
		sum += uint64(n)
	}
	return sum
}

// tiles returns the large numbers at the top.
func (f *facts) tiles() []tile {
	passed := func(c *counts) string {
		results := c.results[methodDMARC][:]
		return percent(uint64(results[methods[methodDMARC].statuses.position("pass")]), total(results))
	}
	temporary, results := f.hourCounts.temporary()
	dayTemporary, dayResults := f.dayCounts.temporary()
	failed, queries := f.dns.failed()
	return []tile{
		{"Messages verified", grouped(total(f.hourCounts.dispositions[:])), "1 h · 24 h: " + grouped(total(f.dayCounts.dispositions[:]))},
		{"DMARC pass", passed(&f.hourCounts), "1 h · 24 h: " + passed(&f.dayCounts)},
		{"Temporary errors", percent(temporary, results), "1 h · 24 h: " + percent(dayTemporary, dayResults)},
		{"End of message, p95", f.wait(0.95), "1 h · p99: " + f.wait(0.99)},
		{"DNS failures", percent(failed, queries), "1 h · mean: " + f.dns.mean()},
		{"Open connections", grouped(uint64(max(f.connections, 0))), "now"},
	}
}

// temporary returns how many results are temporary errors, and how many results
// there are.
func (c *counts) temporary() (temporary, all uint64) {
	for m := range c.results {
		all += total(c.results[m][:])
		if i := methods[m].statuses.position("temperror"); int(i) < len(methods[m].statuses) {
			temporary += uint64(c.results[m][i])
		}
	}
	return temporary, all
}

// messageKinds are the bars of the message charts, from the bottom up: one kind for
// each disposition, and the last one for skipped messages.
var messageKinds = []kind{
	{"none", "d-none"}, {"quarantine", "d-quarantine"}, {"defer", "d-defer"}, {"reject", "d-reject"}, {"skipped", "d-skipped"},
}

// stack returns the values of the bars of one slot.
func (c *counts) stack() []uint64 {
	values := make([]uint64, len(messageKinds))
	last := len(values) - 1
	for i, k := range messageKinds[:last] {
		values[i] = uint64(c.dispositions[dispositions.position(k.name)])
	}
	values[last] = total(c.skips[:])
	return values
}

func (f *facts) hourChart() chart {
	p := plot{title: "Messages per minute, last hour", unit: "messages", kinds: messageKinds}
	p.clock = func(i int) string { return f.hour.start(i).Format("15:04") }
	for i := range f.hour.slots {
		p.values = append(p.values, f.hour.slots[i].stack())
	}
	return p.draw()
}

func (f *facts) dayChart() chart {
	p := plot{title: "Messages per 15 minutes, last day", unit: "messages", kinds: messageKinds}
	p.clock = func(i int) string { return f.day.start(i).Format("15:04") }
	for i := range f.day.slots {
		p.values = append(p.values, f.day.slots[i].stack())
	}
	return p.draw()
}

// volume returns the numbers of messages, by disposition and by reason to skip.
func (f *facts) volume() []volumeRow {
	h, d := &f.hourCounts, &f.dayCounts
	var rows []volumeRow
	for _, k := range messageKinds[:len(messageKinds)-1] {
		i := dispositions.position(k.name)
		rows = append(rows, volumeRow{Name: k.name, Class: k.class, Hour: grouped(uint64(h.dispositions[i])), Day: grouped(uint64(d.dispositions[i]))})
	}
	rows = append(rows,
		volumeRow{Name: "verified", Total: true, Hour: grouped(total(h.dispositions[:])), Day: grouped(total(d.dispositions[:]))},
		volumeRow{Name: "skipped", Class: "d-skipped", Total: true, Hour: grouped(total(h.skips[:])), Day: grouped(total(d.skips[:]))},
	)
	for i, name := range skips {
		rows = append(rows, volumeRow{Name: "skipped: " + name, Class: "part", Hour: grouped(uint64(h.skips[i])), Day: grouped(uint64(d.skips[i]))})
	}
	return append(rows,
		volumeRow{Name: "forged fields removed", Total: true, Hour: grouped(uint64(h.forged)), Day: grouped(uint64(d.forged))},
		volumeRow{Name: "harmless fields removed", Total: true, Hour: grouped(uint64(h.harmless)), Day: grouped(uint64(d.harmless))},
	)
}

// methods returns the results of each method in use.
func (f *facts) methods() []methodRow {
	var rows []methodRow
	for m := range methods {
		day := methodResults(m, "24 h", &f.dayCounts)
		if m == methodIPRev && len(day.Results) == 0 {
			continue // iprev.check is off
		}
		rows = append(rows, methodRow{
			Name:  methods[m].name,
			Spans: []methodSpan{methodResults(m, "1 h", &f.hourCounts), day},
		})
	}
	return rows
}

func methodResults(m int, name string, c *counts) methodSpan {
	results := c.results[m][:]
	all := total(results)
	s := methodSpan{Name: name, Total: grouped(all), Pass: absent}
	byTone := map[tone]uint64{}
	var summary []string
	for i, n := range results {
		if n == 0 {
			continue
		}
		status := methods[m].statuses.name(uint8(i))
		byTone[toneOf(status)] += uint64(n)
		s.Results = append(s.Results, methodCounted{string(toneOf(status)), status, grouped(uint64(n))})
		summary = append(summary, status+" "+percent(uint64(n), all))
	}
	slices.SortStableFunc(s.Results, func(a, b methodCounted) int {
		return slices.Index(tones(), tone(a.Class)) - slices.Index(tones(), tone(b.Class))
	})
	if all > 0 {
		s.Pass = percent(uint64(results[methods[m].statuses.position("pass")]), all)
	}
	s.Bar = shares(byTone)
	s.Title = fmt.Sprintf("%s, %s: %s", methods[m].name, name, strings.Join(summary, ", "))
	return s
}

// wait returns how long the MTA waited at most, at the end of this share of the
// messages.
func (f *facts) wait(share float64) string {
	d, ok := f.waits.quantile(share, f.longest)
	if !ok {
		return absent
	}
	return duration(d)
}

func (f *facts) waitRows() []labelled {
	longest := absent
	if total(f.waits[:]) > 0 {
		longest = duration(f.longest)
	}
	return []labelled{
		{"50 % of messages (p50)", f.wait(0.5)},
		{"95 % of messages (p95)", f.wait(0.95)},
		{"99 % of messages (p99)", f.wait(0.99)},
		{"longest", longest},
	}
}

func (f *facts) keyRows() []keyRow {
	var rows []keyRow
	for _, k := range f.keys {
		rows = append(rows, keyRow{
			Use: shown(k.use, maxText), Domain: shown(k.domain, maxDomain), Selector: shown(k.selector, maxText),
			State: shown(k.state, maxText), Class: string(toneOf(k.state)),
		})
	}
	return rows
}
