package main

import (
	"fmt"
	"time"

	"authmilter/test/bench/client"
	"authmilter/test/bench/corpus"
	"authmilter/test/bench/system"
)

// cold delays every DNS answer and starts with empty caches. Each message comes
// from a different domain, and each system is restarted for each round.
func (r *rig) cold() (*table, error) {
	const messages = 200
	t := &table{
		title: fmt.Sprintf("Cold: %d messages, each from another domain, every DNS answer %v late, nothing cached, %d sessions at once",
			messages, r.delay, r.sessions),
		columns: []string{"system", "EOM p50 ms", "p95", "p99", "whole p50 ms", "DKIM right %", "SPF", "DMARC"},
	}
	for _, s := range r.verifiers() {
		m, err := r.coldRounds(s, client.Load{Sessions: r.sessions}, messages)
		if err != nil {
			return nil, err
		}
		total := len(m.waits)
		t.add(s.Name, milliseconds(m.wait(50), 1), milliseconds(m.wait(95), 1), milliseconds(m.wait(99), 1), milliseconds(m.whole(50), 1),
			m.right.dkim.percent(total), m.right.spf.percent(total), m.right.dmarc.percent(total))
	}
	return t, nil
}

// slow is like cold, but bodies take longer to arrive than DNS answers.
func (r *rig) slow() (*table, error) {
	const messages = 100
	pace := 10 * r.delay
	t := &table{
		title:   fmt.Sprintf("Slow body: the same with %d messages whose bodies take %v to arrive", messages, pace),
		columns: []string{"system", "EOM p50 ms", "p95", "p99"},
	}
	for _, s := range r.verifiers() {
		m, err := r.coldRounds(s, client.Load{Sessions: r.sessions, Pace: pace}, messages)
		if err != nil {
			return nil, err
		}
		t.add(s.Name, milliseconds(m.wait(50), 1), milliseconds(m.wait(95), 1), milliseconds(m.wait(99), 1))
	}
	return t, nil
}

// coldRounds measures two rounds of a system with empty caches.
func (r *rig) coldRounds(s *system.System, l client.Load, messages int) (*measured, error) {
	c, err := r.corpus(corpus.Options{Messages: messages, Domains: messages, ARC: r.arc}, r.delay)
	if err != nil {
		return nil, err
	}
	m := &measured{system: s}
	for range 2 {
		if m.running, err = s.Start(r.env); err != nil {
			return nil, err
		}
		time.Sleep(100 * time.Millisecond) // queries made at start are not on behalf of the mail
		err := m.round(r, l, c, true)
		m.running.Stop()
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}
