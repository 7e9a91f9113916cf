package main

import (
	"fmt"
	"slices"
	"time"

	"authmilter/test/bench/client"
	"authmilter/test/bench/corpus"
	"authmilter/test/bench/floor"
	"authmilter/test/bench/system"
)

// warm is the main run: everything is cached, as many sessions as saturate the
// machine, and the systems take turns.
func (r *rig) warm() (*table, error) {
	c, err := r.corpus(corpus.Options{Messages: r.messages, ARC: r.arc}, 0)
	if err != nil {
		return nil, err
	}
	all, err := r.startAll(slices.Concat(
		r.available(system.Baseline(), system.BufferedBaseline()),
		r.ours(),
		r.available(system.OursSealing(), system.OursSealingEd25519()),
		r.others(),
	))
	if err != nil {
		return nil, err
	}
	defer stopAll(all)
	load := client.Load{Sessions: r.sessions}
	var floors []time.Duration
	for round := range r.rounds + 1 {
		counts := round > 0 // the first one fills caches
		for _, m := range all {
			if counts && round == 1 {
				if err := m.running.ResetPeak(); err != nil {
					return nil, err
				}
			}
			if err := m.round(r, load, c, counts); err != nil {
				return nil, err
			}
		}
		took, err := floor.Run(c)
		if err != nil {
			return nil, err
		}
		if counts {
			floors = append(floors, took/time.Duration(len(c.Messages)))
		}
	}
	return r.warmTable(c, all, floors)
}

// warmTable shows what was measured, and the floor in each round.
func (r *rig) warmTable(c *corpus.Corpus, all []*measured, floors []time.Duration) (*table, error) {
	t := &table{
		title: fmt.Sprintf("Warm: %d messages, %d sessions at once, medians of %d rounds", len(c.Messages), r.sessions, r.rounds),
		columns: []string{"system", "CPU, times authmilter", "times the floor", "ms", "EOM p50 ms", "p95", "p99", "messages/s", "peak MiB",
			"DKIM right %", "SPF", "DMARC", "ARC"},
	}
	var ours []time.Duration
	for _, m := range all {
		if m.system.Name == system.Ours().Name {
			ours = m.cpus()
		}
	}
	row := []string{"floor: SHA-256 and public keys", ratio(floors, ours), "1.00", milliseconds(median(slices.Clone(floors)), 3)}
	t.add(append(row, make([]string, len(t.columns)-len(row))...)...)
	for _, m := range all {
		peak, err := m.running.Peak()
		if err != nil {
			return nil, err
		}
		total := len(m.waits)
		t.add(m.system.Name, ratio(m.cpus(), ours), ratio(m.cpus(), floors), milliseconds(m.cpu(), 3),
			milliseconds(m.wait(50), 2), milliseconds(m.wait(95), 2), milliseconds(m.wait(99), 2),
			fmt.Sprintf("%.0f", m.rate(len(c.Messages))), mebibytes(peak),
			m.right.dkim.percent(total), m.right.spf.percent(total), m.right.dmarc.percent(total), m.right.arc.percent(total))
	}
	return t, nil
}

// ratio returns the median of the rounds' ratios; "" if there is nothing to
// compare with.
func ratio(of, to []time.Duration) string {
	if len(of) != len(to) {
		return ""
	}
	var ratios []float64
	for i := range of {
		ratios = append(ratios, float64(of[i])/float64(to[i]))
	}
	return fmt.Sprintf("%.2f", median(ratios))
}
