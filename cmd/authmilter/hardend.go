package main

import (
	"context"
	"time"
)

// endInTime makes sure that the process ends soon after ctx and limits.shutdown, even
// if something hangs that shutdown, or what comes before it, waits for.
func (s *service) endInTime(ctx context.Context) {
	context.AfterFunc(ctx, func() {
		limit := time.Duration(s.limit.Load())
		spare := spareTime(limit)
		select {
		case <-s.stopped:
			return
		case <-time.After(limit + spare):
		}
		time.AfterFunc(spare, func() { exit(exitFinding) }) // even if logging hangs
		s.log.Error("ending although the shutdown has not finished", "limit", limit)
		s.closeLog()
		exit(exitFinding)
	})
}

// closeLog writes what is left of the log, as far as it is read in time.
func (s *service) closeLog() {
	s.lines.close(spareTime(time.Duration(s.limit.Load())))
}

// spareTime returns how much longer than limits.shutdown the end may take, twice: for
// what ends after the messages, and for the rest of the log.
func spareTime(limit time.Duration) time.Duration {
	return max(limit/20, 500*time.Millisecond)
}
