package main

import (
	"fmt"
	"slices"
	"time"

	"authmilter/test/bench/client"
	"authmilter/test/bench/corpus"
	"authmilter/test/bench/system"
)

// sample is one round of one system.
type sample struct {
	cpu  time.Duration // per message
	took time.Duration // for all messages
}

// measured is what was measured of one system.
type measured struct {
	system  *system.System
	running *system.Running
	samples []sample
	waits   []time.Duration
	wholes  []time.Duration
	right   score
	peak    int64
}

// round sends the corpus once. If counts is false, it only warms up.
func (m *measured) round(r *rig, l client.Load, c *corpus.Corpus, counts bool) error {
	l.Milters = m.running.Milters
	before, err := m.running.CPU()
	if err != nil {
		return err
	}
	outcomes, took, err := l.Run(c)
	if err != nil {
		return fmt.Errorf("%s: %w", m.system.Name, err)
	}
	after, err := m.running.CPU()
	if err != nil {
		return err
	}
	if !counts {
		return nil
	}
	m.samples = append(m.samples, sample{cpu: (after - before) / time.Duration(len(c.Messages)), took: took})
	for i, o := range outcomes {
		m.waits = append(m.waits, o.Wait)
		m.wholes = append(m.wholes, o.Whole)
		m.right.add(o.Got, c.Messages[i].Want)
		if want := c.Messages[i].Want; r.wrong && differ(o.Got, want) {
			fmt.Printf("%s: %s: %+v, want %+v\n", m.system.Name, c.Messages[i].ID, o.Got, want)
		}
	}
	return nil
}

// cpus returns the CPU time per message in each round; cpu returns their
// median.
func (m *measured) cpus() []time.Duration {
	var all []time.Duration
	for _, s := range m.samples {
		all = append(all, s.cpu)
	}
	return all
}

func (m *measured) cpu() time.Duration { return median(m.cpus()) }

// rate returns the median number of messages per second.
func (m *measured) rate(messages int) float64 {
	var all []time.Duration
	for _, s := range m.samples {
		all = append(all, s.took)
	}
	return float64(messages) / median(all).Seconds()
}

// wait returns a percentile of the time that the MTA waited at the end of a
// message.
func (m *measured) wait(percent float64) time.Duration { return percentile(m.waits, percent) }

// whole returns a percentile of the time from the first header field on.
func (m *measured) whole(percent float64) time.Duration { return percentile(m.wholes, percent) }

func percentile(list []time.Duration, percent float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(len(list)-1, int(percent/100*float64(len(list))))]
}

func median[T ~int64 | ~float64](list []T) T {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	middle := len(list) / 2
	if len(list)%2 == 1 {
		return list[middle]
	}
	return (list[middle-1] + list[middle]) / 2
}

// score counts how many of the verdicts that a system gives are right.
type score struct{ dkim, spf, dmarc, arc tally }

type tally struct{ given, right int }

func (s *score) add(got, want corpus.Verdict) {
	s.dkim.add(got.DKIM, want.DKIM)
	s.spf.add(got.SPF, want.SPF)
	s.dmarc.add(got.DMARC, want.DMARC)
	s.arc.add(got.ARC, want.ARC)
}

func (t *tally) add(got, want string) {
	if got != "" {
		t.given++
	}
	// Saying nothing about something that is not there is right too.
	if got == want || got == "" && want == "none" {
		t.right++
	}
}

// differ reports whether got is a verdict, and not the right one.
func differ(got, want corpus.Verdict) bool {
	wrong := func(got, want string) bool { return got != "" && got != want }
	return wrong(got.DKIM, want.DKIM) || wrong(got.SPF, want.SPF) || wrong(got.DMARC, want.DMARC) || wrong(got.ARC, want.ARC)
}

// percent returns how much of total was right, as text; "" if the system never
// gives such a verdict.
func (t tally) percent(total int) string {
	if t.given == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", 100*float64(t.right)/float64(total))
}

// startAll starts systems; stopAll ends them.
func (r *rig) startAll(systems []*system.System) ([]*measured, error) {
	var all []*measured
	for _, s := range systems {
		running, err := s.Start(r.env)
		if err != nil {
			stopAll(all)
			return nil, err
		}
		all = append(all, &measured{system: s, running: running})
	}
	return all, nil
}

func stopAll(all []*measured) {
	for _, m := range all {
		m.running.Stop()
	}
}
