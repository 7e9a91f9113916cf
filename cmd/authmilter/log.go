package main

import (
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
	// journal reports that w is connected to systemd's journal, which adds the time.
	journal bool
	current atomic.Pointer[slog.Handler]
}

func newLogTarget(w io.Writer) *logTarget {
	return &logTarget{w: w, journal: isJournal(w, os.Getenv("JOURNAL_STREAM"))}
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
	var h slog.Handler
	if t.journal {
		h = newJournalHandler(t.w, made)
	} else {
		h = made(t.w)
	}
	t.current.Store(&h)
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func (t *logTarget) handler() slog.Handler { return *t.current.Load() }

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
