package client

import "authmilter/test/bench/corpus"

// Idle are SMTP sessions whose clients are silent after HELO.
type Idle []*session

// OpenIdle opens n sessions that begin like s.
func OpenIdle(milters []string, s *corpus.Session, n int) (Idle, error) {
	var all Idle
	for range n {
		own, err := open(milters, s)
		if err != nil {
			all.Close()
			return nil, err
		}
		// Postfix's client expects no reply here, but the milter must have read
		// what was sent.
		for _, c := range own.milters {
			if err := c.flush(); err != nil {
				own.close()
				all.Close()
				return nil, err
			}
		}
		all = append(all, own)
	}
	return all, nil
}

// Close ends the sessions.
func (all Idle) Close() {
	for _, s := range all {
		s.close()
	}
}
