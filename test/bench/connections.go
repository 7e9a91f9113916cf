package main

import (
	"fmt"
	"time"

	"authmilter/test/bench/client"
	"authmilter/test/bench/corpus"
	"authmilter/test/bench/system"
)

// connections opens many connections: idle ones to measure their memory, and
// busy ones to measure the throughput.
func (r *rig) connections() (*table, error) {
	const idle, few, many = 990, 8, 200
	c, err := r.corpus(corpus.Options{}, 0)
	if err != nil {
		return nil, err
	}
	t := &table{
		title: "Connections",
		columns: []string{"system", fmt.Sprintf("KiB for each of %d idle", idle), fmt.Sprintf("messages/s, %d sessions", few),
			fmt.Sprintf("%d sessions", many), fmt.Sprintf("peak MiB, %d sessions", many), fmt.Sprintf("EOM p50 ms, %d sessions", many)},
	}
	for _, s := range r.available(system.BufferedBaseline(), system.Ours(), system.Plain(), system.OpenDKIM(r.env)) {
		row, err := r.connectionsOf(s, c, idle, few, many)
		if err != nil {
			return nil, err
		}
		t.add(row...)
	}
	return t, nil
}

func (r *rig) connectionsOf(s *system.System, c *corpus.Corpus, idle, few, many int) ([]string, error) {
	running, err := s.Start(r.env)
	if err != nil {
		return nil, err
	}
	defer running.Stop()
	m := &measured{system: s, running: running}
	if err := m.round(r, client.Load{Sessions: few}, c, false); err != nil { // fills the caches
		return nil, err
	}
	var rates []string
	for _, sessions := range []int{few, many} {
		if err := running.ResetPeak(); err != nil {
			return nil, err
		}
		m.samples, m.waits = nil, nil
		for range r.rounds {
			if err := m.round(r, client.Load{Sessions: sessions}, c, true); err != nil {
				return nil, err
			}
		}
		rates = append(rates, fmt.Sprintf("%.0f", m.rate(len(c.Messages))))
	}
	if m.peak, err = running.Peak(); err != nil {
		return nil, err
	}
	each, err := idleMemory(s, r.env, c, idle)
	if err != nil {
		return nil, err
	}
	return []string{s.Name, fmt.Sprintf("%.1f", float64(each)/1024), rates[0], rates[1], mebibytes(m.peak), milliseconds(m.wait(50), 1)}, nil
}

// idleMemory returns what each of n connections costs that have sent only
// CONNECT and HELO, in a process that has done nothing else.
func idleMemory(s *system.System, e *system.Env, c *corpus.Corpus, n int) (int64, error) {
	running, err := s.Start(e)
	if err != nil {
		return 0, err
	}
	defer running.Stop()
	before, err := running.Resident()
	if err != nil {
		return 0, err
	}
	idle, err := client.OpenIdle(running.Milters, c.Sessions[0], n)
	if err != nil {
		return 0, err
	}
	defer idle.Close()
	time.Sleep(500 * time.Millisecond)
	after, err := running.Resident()
	return (after - before) / int64(n), err
}
