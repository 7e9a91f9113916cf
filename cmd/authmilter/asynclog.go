package main

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// Bounds of what waits to be written to the log. Both are some seconds of a busy host,
// which is longer than it takes to restart systemd's journal.
const (
	maxLogLines  = 10_000
	maxLogOctets = 4 << 20
)

// maxLogWrite is the size up to which lines are written together. A write of this size
// to a pipe is atomic (PIPE_BUF), so that other writers do not break our lines.
const maxLogWrite = 4096

// keptLogBuffer is how much memory is kept for lines when none are waiting.
const keptLogBuffer = 64 << 10

// asyncLog is an [io.Writer] for log lines that never waits and never fails: one
// goroutine writes them to out, in order, while at most maxLogLines and maxLogOctets
// wait. Lines beyond that, and lines that out does not take, are dropped and counted,
// and a notice takes their place in the log.
type asyncLog struct {
	out io.Writer
	// dropped counts lines that were dropped. notice returns the line that says so.
	dropped func(lines int)
	notice  func(lines int) []byte
	ended   chan struct{} // closed when the goroutine has ended

	mu   sync.Mutex
	more sync.Cond
	// queue is waiting for the goroutine. lines and octets count what it is writing too.
	queue         []byte
	lines, octets int
	// lost lines were dropped after the queue. While there are any, all others are
	// dropped too, so that one notice can tell their number.
	lost   int
	closed bool

	// The following are used only by the goroutine.
	gap  int  // lines dropped since the last one in the log
	torn bool // the last write ended within a line
}

// newAsyncLog returns a log that writes to out until close is called.
func newAsyncLog(out io.Writer, dropped func(lines int), notice func(lines int) []byte) *asyncLog {
	a := &asyncLog{out: out, dropped: dropped, notice: notice, ended: make(chan struct{})}
	a.more.L = &a.mu
	go a.run()
	return a
}

// Write implements [io.Writer]. It copies p, which is one or more whole lines, and
// always succeeds.
func (a *asyncLog) Write(p []byte) (int, error) {
	n := countLines(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.lost > 0 || a.lines+n > maxLogLines || a.octets+len(p) > maxLogOctets {
		a.lost += n
		a.dropped(n)
		return len(p), nil
	}
	a.queue = append(a.queue, p...)
	a.lines += n
	a.octets += len(p)
	a.more.Signal()
	return len(p), nil
}

// close writes what is waiting, for at most the given time, and reports whether
// everything was written. Lines that come later are dropped.
func (a *asyncLog) close(limit time.Duration) bool {
	a.mu.Lock()
	a.closed = true
	a.more.Signal()
	a.mu.Unlock()
	select {
	case <-a.ended:
		return true
	case <-time.After(limit):
		return false
	}
}

// run writes lines until close is called.
func (a *asyncLog) run() {
	defer close(a.ended)
	var batch []byte
	for more := true; more; {
		var lost int
		batch, lost, more = a.take(batch[:0])
		for rest := batch; len(rest) > 0; {
			var lines []byte
			lines, rest = cutLines(rest)
			a.write(lines)
		}
		if lost > 0 {
			a.gap += lost
			a.tell()
		}
	}
}

// take waits for lines. It returns the queue, which empty replaces, how many lines were
// dropped after it, and whether there may be more.
func (a *asyncLog) take(empty []byte) (batch []byte, lost int, more bool) {
	if cap(empty) > keptLogBuffer {
		empty = nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) == 0 && a.lost == 0 && !a.closed {
		a.more.Wait()
	}
	batch, lost = a.queue, a.lost
	a.queue, a.lost = empty, 0
	return batch, lost, !a.closed
}

// write writes some of the lines that were waiting.
func (a *asyncLog) write(lines []byte) {
	left := countLines(lines)
	if a.tell() {
		left = a.put(lines)
	}
	if left > 0 {
		a.gap += left
		a.dropped(left)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines -= countLines(lines)
	a.octets -= len(lines)
}

// tell writes a notice if lines were dropped since the last one in the log. It reports
// whether the log is complete now.
func (a *asyncLog) tell() bool {
	if a.gap == 0 {
		return true
	}
	line := a.notice(a.gap)
	if a.torn {
		line = append([]byte("\n"), line...)
	}
	if a.put(line) > 0 {
		return false
	}
	a.gap = 0
	return true
}

// put writes lines and returns how many of them out did not take.
func (a *asyncLog) put(lines []byte) (left int) {
	n, err := a.out.Write(lines)
	if n > 0 {
		a.torn = lines[n-1] != '\n'
	}
	if err == nil {
		return 0
	}
	return countLines(lines[n:])
}

// cutLines returns as many whole lines as are written together, at least one.
func cutLines(p []byte) (lines, rest []byte) {
	if len(p) <= maxLogWrite {
		return p, nil
	}
	end := bytes.LastIndexByte(p[:maxLogWrite], '\n')
	if end < 0 {
		end = maxLogWrite + bytes.IndexByte(p[maxLogWrite:], '\n')
	}
	return p[:end+1], p[end+1:]
}

func countLines(p []byte) int { return bytes.Count(p, []byte("\n")) }
