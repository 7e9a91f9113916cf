package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authmilter/config"
	"authmilter/test/output"
)

// gatedWriter writes to a buffer, but waits while it is locked.
type gatedWriter struct {
	sync.Mutex
	out    output.Buffer
	sizes  []int
	failAt func(p []byte) (n int, err error) // nil if writes succeed
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	w.Lock()
	defer w.Unlock()
	if w.failAt != nil {
		n, err := w.failAt(p)
		_, _ = w.out.Write(p[:n])
		return n, err
	}
	w.sizes = append(w.sizes, len(p))
	return w.out.Write(p)
}

func (w *gatedWriter) fail(at func(p []byte) (int, error)) {
	w.Lock()
	defer w.Unlock()
	w.failAt = at
}

// logRig is a log to a gatedWriter, with a count of the lines dropped.
type logRig struct {
	*asyncLog
	to      gatedWriter
	dropped atomic.Int64
}

func newLogRig(t *testing.T) *logRig {
	rig := &logRig{}
	rig.asyncLog = newAsyncLog(&rig.to,
		func(n int) { rig.dropped.Add(int64(n)) },
		func(n int) []byte { return fmt.Appendf(nil, "%d dropped\n", n) })
	t.Cleanup(func() { rig.finish(t) })
	return rig
}

// line logs a line.
func (rig *logRig) line(format string, args ...any) { fmt.Fprintf(rig.asyncLog, format+"\n", args...) }

// finish closes the log and returns what was written.
func (rig *logRig) finish(t *testing.T) string {
	t.Helper()
	if !rig.close(patience) {
		t.Fatal("the log does not end")
	}
	return rig.to.out.String()
}

// block makes the writer wait, within a write of a line, until the result is called.
func (rig *logRig) block(t *testing.T) (unblock func()) {
	t.Helper()
	rig.to.Lock()
	rig.line("first")
	rig.waitQueue(t)
	return rig.to.Unlock
}

// waitQueue waits until the writer has taken all lines.
func (rig *logRig) waitQueue(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		rig.mu.Lock()
		n := len(rig.queue)
		rig.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the writer takes no lines")
		}
	}
}

// waitWritten waits until the writer has finished with all lines.
func (rig *logRig) waitWritten(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		rig.mu.Lock()
		n := rig.lines
		rig.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d lines are not written", n)
		}
	}
}

// TestAsyncLogOrder logs from several goroutines, whose lines stay whole and in order.
func TestAsyncLogOrder(t *testing.T) {
	rig := newLogRig(t)
	const writers, lines = 8, 1000
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range lines {
				rig.line("%d %d %s", w, i, strings.Repeat("x", i%100))
			}
		})
	}
	all.Wait()
	var next [writers]int
	for line := range strings.Lines(rig.finish(t)) {
		var w, i int
		var rest string
		if n, _ := fmt.Sscanf(line, "%d %d %s\n", &w, &i, &rest); n < 2 || i != next[w] || len(rest) != i%100 {
			t.Fatalf("%q where %d has come to %d", line, w, next[w])
		}
		next[w]++
	}
	for w, n := range next {
		if n != lines {
			t.Errorf("%d lines of %d", n, w)
		}
	}
	if n := rig.dropped.Load(); n != 0 {
		t.Errorf("%d lines were dropped", n)
	}
}

// TestAsyncLogBounds fills the log with short lines and with long ones.
func TestAsyncLogBounds(t *testing.T) {
	for _, tt := range []struct {
		name         string
		size, fitted int // octets per line, and how many fit beside "first\n"
	}{
		{"lines", 10, maxLogLines - 1},
		{"octets", 8000, (maxLogOctets - 6) / 8000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rig := newLogRig(t)
			unblock := rig.block(t)
			padding := strings.Repeat("x", tt.size-7)
			for i := range tt.fitted {
				rig.line("%06d%s", i, padding)
			}
			if n := rig.dropped.Load(); n != 0 {
				t.Errorf("%d lines were dropped before a bound", n)
			}
			for range 5 {
				rig.line("%06d%s", 999999, padding)
			}
			// A shorter one would fit, but then the notice could not say what is missing.
			rig.line("")
			if n := rig.dropped.Load(); n != 6 {
				t.Errorf("%d lines were dropped, not 6", n)
			}
			if rig.octets > maxLogOctets || rig.lines > maxLogLines {
				t.Errorf("%d lines, %d octets", rig.lines, rig.octets)
			}
			unblock()
			rig.waitWritten(t)
			rig.line("last")
			lines := strings.Split(rig.finish(t), "\n")
			if len(lines) != tt.fitted+4 { // and an empty text after the last one
				t.Fatalf("%d lines", len(lines))
			}
			for i, line := range lines[1 : tt.fitted+1] {
				if line != fmt.Sprintf("%06d%s", i, padding) {
					t.Fatalf("line %d is %.20q", i, line)
				}
			}
			if end := lines[tt.fitted+1:]; end[0] != "6 dropped" || end[1] != "last" {
				t.Errorf("ends with %q", end)
			}
			if n := rig.dropped.Load(); n != 6 {
				t.Errorf("%d lines were dropped, not 6", n)
			}
			for _, size := range rig.to.sizes {
				if size > max(maxLogWrite, tt.size) {
					t.Errorf("a write of %d octets", size)
				}
			}
			if cap(rig.queue) > keptLogBuffer {
				t.Errorf("%d octets of memory are kept", cap(rig.queue))
			}
		})
	}
}

// TestAsyncLogTellsOfDropsAtOnce checks that a notice needs no line after it.
func TestAsyncLogTellsOfDropsAtOnce(t *testing.T) {
	rig := newLogRig(t)
	unblock := rig.block(t)
	for range maxLogLines + 2 {
		rig.line("x")
	}
	unblock()
	for deadline := time.Now().Add(patience); !strings.HasSuffix(rig.to.out.String(), "x\n3 dropped\n"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no notice")
		}
	}
}

// TestAsyncLogFailures has writes fail, as a full disk or a closed pipe makes them.
func TestAsyncLogFailures(t *testing.T) {
	refused := errors.New("refused")
	for _, tt := range []struct {
		name string
		at   func(p []byte) (int, error)
		want string
	}{
		{"nothing is written", func([]byte) (int, error) { return 0, refused }, "one\n2 dropped\nlast\n"},
		{"a part of a line", func(p []byte) (int, error) {
			if p[0] == 't' {
				return 2, refused
			}
			return 0, refused
		}, "one\ntw\n2 dropped\nlast\n"},
		{"all but the end of a line", func(p []byte) (int, error) {
			if p[0] == 't' {
				return len(p) - 1, refused
			}
			return 0, refused
		}, "one\ntwo\n2 dropped\nlast\n"},
		{"a line break", func(p []byte) (int, error) {
			if p[0] == 't' {
				return 1, refused
			}
			return min(1, len(p)), refused // of the notice
		}, "one\nt\n2 dropped\nlast\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rig := newLogRig(t)
			rig.line("one")
			rig.waitWritten(t)
			rig.to.fail(tt.at)
			rig.line("two")
			rig.waitWritten(t)
			rig.line("three")
			rig.waitWritten(t)
			rig.to.fail(nil)
			rig.line("last")
			if got := rig.finish(t); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if n := rig.dropped.Load(); n != 2 {
				t.Errorf("%d lines were dropped, not 2", n)
			}
		})
	}
}

// TestAsyncLogClose closes a log whose reader reads, and one whose reader does not.
func TestAsyncLogClose(t *testing.T) {
	rig := newLogRig(t)
	unblock := rig.block(t)
	rig.line("second")
	begun := time.Now()
	if rig.close(20 * time.Millisecond) {
		t.Error("written, although nobody reads")
	}
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("closing takes %v", took)
	}
	rig.line("too late")
	if n := rig.dropped.Load(); n != 1 {
		t.Errorf("%d lines were dropped, not 1", n)
	}
	unblock()
	if got := rig.finish(t); !strings.HasPrefix(got, "first\nsecond\n") || strings.Contains(got, "late") {
		t.Errorf("got %q", got)
	}
}

// TestAsyncLogAllocates limits what a line costs its logger.
func TestAsyncLogAllocates(t *testing.T) {
	rig := newLogRig(t)
	line := []byte("a line\n")
	n := testing.AllocsPerRun(maxLogLines/2, func() { _, _ = rig.Write(line) })
	if n > 0.01 {
		t.Errorf("%v allocations for a line", n)
	}
}

// TestLogTargetNotice checks the notice in each format, at every level, and that the
// order of lines survives a change of the format.
func TestLogTargetNotice(t *testing.T) {
	for _, tt := range []struct {
		format string
		want   string
	}{
		{"text", `level=ERROR msg="log lines were dropped" lines=3` + "\n"},
		{"json", `"level":"ERROR","msg":"log lines were dropped","lines":3}` + "\n"},
	} {
		target := &logTarget{}
		target.set(config.Log{Level: config.LogLevel(slog.LevelError), Format: tt.format})
		if got := string(target.notice(3)); !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: %q", tt.format, got)
		}
		target.journal = true
		target.set(config.Log{Level: config.LogLevel(slog.LevelError), Format: tt.format})
		if got := string(target.notice(3)); !strings.HasPrefix(got, "<3>") || !strings.HasSuffix(got, tt.want[len(`"level"`):]) {
			t.Errorf("%s: %q", tt.format, got)
		}
	}

	var out output.Buffer
	target, lines := newLogTarget(&out, func(n int) { t.Errorf("%d lines were dropped", n) })
	log := slog.New(target)
	const each = 500
	for i := range 4 * each {
		if i%each == 0 {
			target.set(config.Log{Format: []string{"text", "json"}[i/each%2]})
		}
		log.Info("x", "n", i)
	}
	if !lines.close(patience) {
		t.Fatal("the log does not end")
	}
	n := 0
	for line := range strings.Lines(out.String()) {
		want := fmt.Sprintf(" n=%d\n", n)
		if n/each%2 == 1 {
			want = fmt.Sprintf(",\"n\":%d}\n", n)
		}
		if !strings.HasSuffix(line, want) {
			t.Fatalf("%q, want %q", line, want)
		}
		n++
	}
	if n != 4*each {
		t.Errorf("%d lines", n)
	}
}
