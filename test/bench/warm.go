package main

import (
	"fmt"
	"time"

	"authmilter/test/bench/client"
	"authmilter/test/bench/corpus"
	"authmilter/test/bench/floor"
	"authmilter/test/bench/system"
)

// warm is the main run: everything in caches, as many sessions as saturate the
// machine, the systems in turns.
func (r *rig) warm() (*table, error) {
	c, err := r.corpus(corpus.Options{ARC: r.arc}, 0)
	if err != nil {
		return nil, err
	}
	systems := append(r.those(system.Baseline(), system.BufferedBaseline()), r.verifiers()...)
	all, err := r.startAll(append(systems, r.those(system.OursSealing())...))
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
	t := &table{
		title: fmt.Sprintf("Warm: %d messages, %d sessions at once, medians of %d rounds", len(c.Messages), r.sessions, r.rounds),
		columns: []string{"system", "times the floor", "CPU ms", "EOM p50 ms", "p95", "p99", "messages/s", "peak MiB",
			"dkim right %", "spf", "dmarc", "arc"},
	}
	t.add("floor: SHA-256 and public keys", "1", milliseconds(median(floors), 3), "", "", "", "", "", "", "", "", "")
	for _, m := range all {
		if m.peak, err = m.running.Peak(); err != nil {
			return nil, err
		}
		var ratios []float64
		for i, s := range m.samples {
			ratios = append(ratios, float64(s.cpu)/float64(floors[i]))
		}
		total := len(m.waits)
		t.add(m.system.Name, fmt.Sprintf("%.2f", median(ratios)), milliseconds(m.cpu(), 3),
			milliseconds(m.wait(50), 2), milliseconds(m.wait(95), 2), milliseconds(m.wait(99), 2),
			fmt.Sprintf("%.0f", m.rate(len(c.Messages))), mebibytes(m.peak),
			m.right.dkim.percent(total), m.right.spf.percent(total), m.right.dmarc.percent(total), m.right.arc.percent(total))
	}
	return t, nil
}
