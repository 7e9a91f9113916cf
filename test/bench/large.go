package main

import (
	"fmt"

	"authmilter/test/bench/client"
	"authmilter/test/bench/corpus"
)

// large sends many large messages at once.
func (r *rig) large() (*table, error) {
	const (
		size     = 8 << 20
		messages = 64
		sessions = 32
	)
	c, err := r.corpus(corpus.Options{Messages: messages, Domains: messages, FixedBytes: size, Signatures: 1, Sound: true}, 0)
	if err != nil {
		return nil, err
	}
	t := &table{
		title:   fmt.Sprintf("Large: %d messages of %d MiB, %d at once", messages, size>>20, sessions),
		columns: []string{"system", "CPU ms", "MB/s of CPU", "peak MiB", "EOM p50 ms", "DKIM right %"},
	}
	for _, s := range r.verifiers() {
		running, err := s.Start(r.env)
		if err != nil {
			return nil, err
		}
		m := &measured{system: s, running: running}
		err = m.round(r, client.Load{Sessions: sessions}, c, true)
		if err == nil {
			m.peak, err = running.Peak()
		}
		running.Stop()
		if err != nil {
			t.add(s.Name, "fails", "", "", "", "")
			t.note("%v", err)
			continue
		}
		t.add(s.Name, milliseconds(m.cpu(), 1), fmt.Sprintf("%.0f", size/m.cpu().Seconds()/1e6), mebibytes(m.peak),
			milliseconds(m.wait(50), 1), m.right.dkim.percent(messages))
	}
	return t, nil
}
