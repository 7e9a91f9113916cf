package client

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"authmilter/test/bench/corpus"
)

// Load describes how mail is sent.
type Load struct {
	// Milters are the addresses of the milters that each message passes, in
	// Postfix's notation.
	Milters []string
	// Sessions is the number of concurrent sessions.
	Sessions int
	// Pace is how long each body takes to arrive; 0 means as fast as possible.
	Pace time.Duration
}

// Run sends every message in c, and returns the outcome of each and the total
// time.
func (l Load) Run(c *corpus.Corpus) ([]Outcome, time.Duration, error) {
	index := map[*corpus.Message]int{}
	for i, m := range c.Messages {
		index[m] = i
	}
	outcomes := make([]Outcome, len(c.Messages))
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, l.Sessions)
	begun := time.Now()
	for range l.Sessions {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(c.Sessions) {
					return
				}
				if err := l.session(c.Sessions[i], func(m *corpus.Message, o Outcome) { outcomes[index[m]] = o }); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	close(errs)
	return outcomes, took, <-errs
}

func (l Load) session(s *corpus.Session, done func(*corpus.Message, Outcome)) error {
	own, err := open(l.Milters, s)
	if err != nil {
		return err
	}
	defer own.close()
	own.pace = l.Pace
	for _, m := range s.Messages {
		o, err := own.deliver(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.ID, err)
		}
		done(m, o)
	}
	return nil
}
