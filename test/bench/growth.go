package main

import (
	"fmt"
	"time"

	"authmilter/test/bench/client"
	"authmilter/test/bench/corpus"
	"authmilter/test/bench/system"
)

// growth shows how the cost of a message grows with its octets, its signatures and
// its fields, one at a time.
func (r *rig) growth() (*table, error) {
	t := &table{
		title:   "Growth: CPU ms of authmilter for one message, changing one quantity at a time",
		columns: []string{"quantity", "1x", "2x", "4x", "8x", "16x", "each further one"},
	}
	const messages = 200
	base := corpus.Options{Messages: messages, FixedBytes: 8 << 10, Signatures: 1, Fields: 25, Sound: true}
	curves := []struct {
		name, unit string
		start      int
		set        func(*corpus.Options, int)
	}{
		{"octets, from 64 KiB", "ms/MiB", 64 << 10, func(o *corpus.Options, n int) { o.FixedBytes = n }},
		{"signatures, from 1", "ms", 1, func(o *corpus.Options, n int) { o.Signatures = n }},
		{"fields, from 50", "ms", 50, func(o *corpus.Options, n int) { o.Fields = n }},
	}
	ours := system.Ours()
	if !r.chosen(ours.Name) {
		return t, nil
	}
	for _, curve := range curves {
		row := []string{curve.name}
		var points []time.Duration
		for n := curve.start; n <= 16*curve.start; n *= 2 {
			o := base
			curve.set(&o, n)
			cpu, err := r.costOf(ours, o)
			if err != nil {
				return nil, err
			}
			points = append(points, cpu)
			row = append(row, milliseconds(cpu, 3))
		}
		each := float64(points[4]-points[0]) / float64(time.Millisecond) / float64(15*curve.start)
		if curve.unit == "ms/MiB" {
			each *= 1 << 20
		}
		t.add(append(row, fmt.Sprintf("%.4f %s", each, curve.unit))...)
	}
	t.note("No more than 10 signatures of a message are verified, so the last step is smaller.")
	return t, nil
}

// costOf returns the CPU time of one message.
func (r *rig) costOf(s *system.System, o corpus.Options) (time.Duration, error) {
	c, err := r.corpus(o, 0)
	if err != nil {
		return 0, err
	}
	running, err := s.Start(r.env)
	if err != nil {
		return 0, err
	}
	defer running.Stop()
	m := &measured{system: s, running: running}
	for round := range r.rounds + 1 {
		if err := m.round(r, client.Load{Sessions: r.sessions}, c, round > 0); err != nil {
			return 0, err
		}
	}
	return m.cpu(), nil
}
