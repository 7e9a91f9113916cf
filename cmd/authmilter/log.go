package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"sync/atomic"

	"authmilter/config"
)

// logTarget is a [slog.Handler] whose level and format a reload can change while
// loggers use it.
type logTarget struct {
	w io.Writer
	// journal reports that w leads to systemd's journal, which adds the time.
	journal bool
	current atomic.Pointer[logFormat]
}

// logFormat is the handler that writes lines, and the function that has made it.
type logFormat struct {
	slog.Handler
	made func(io.Writer) slog.Handler
}

// newLogTarget returns a target that logs to w, and the log between them, through which
// no logger waits for w. dropped counts the lines that it drops.
func newLogTarget(w io.Writer, dropped func(lines int)) (*logTarget, *asyncLog) {
	t := &logTarget{journal: isJournal(w, os.Getenv("JOURNAL_STREAM"))}
	lines := newAsyncLog(w, dropped, t.notice)
	t.w = lines
	return t, lines
}

// set applies the configuration c to the log.
func (t *logTarget) set(c config.Log) {
	opts := &slog.HandlerOptions{Level: c.Level}
	if t.journal {
		opts.ReplaceAttr = withoutTime
	}
	made := func(w io.Writer) slog.Handler {
		if c.Format == "json" {
			return slog.NewJSONHandler(w, opts)
		}
		return slog.NewTextHandler(w, opts)
	}
	if t.journal {
		plain := made
		made = func(w io.Writer) slog.Handler { return newJournalHandler(w, plain) }
	}
	t.current.Store(&logFormat{made(t.w), made})
}

// notice returns the line that replaces lines that were dropped. It is an error so that
// every level shows it.
func (t *logTarget) notice(lines int) []byte {
	var b bytes.Buffer
	slog.New(t.current.Load().made(&b)).Error("log lines were dropped", "lines", lines)
	return b.Bytes()
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func (t *logTarget) handler() slog.Handler { return t.current.Load().Handler }

// Enabled implements [slog.Handler].
func (t *logTarget) Enabled(ctx context.Context, l slog.Level) bool {
	return t.handler().Enabled(ctx, l)
}

// Handle implements [slog.Handler].
func (t *logTarget) Handle(ctx context.Context, r slog.Record) error {
	return t.handler().Handle(ctx, r)
}

// WithAttrs implements [slog.Handler]. A reload does not change the result.
func (t *logTarget) WithAttrs(attrs []slog.Attr) slog.Handler { return t.handler().WithAttrs(attrs) }

// WithGroup implements [slog.Handler]. A reload does not change the result.
func (t *logTarget) WithGroup(name string) slog.Handler { return t.handler().WithGroup(name) }
