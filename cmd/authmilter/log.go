package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
)

// logTarget is the [slog.Handler] of a log whose level and format a reload may
// change under those who hold the log.
type logTarget struct {
	w       io.Writer
	current atomic.Pointer[slog.Handler]
}

// set makes the log what c asks for.
func (t *logTarget) set(c LogConfig) {
	opts := &slog.HandlerOptions{Level: c.Level}
	var h slog.Handler = slog.NewTextHandler(t.w, opts)
	if c.Format == "json" {
		h = slog.NewJSONHandler(t.w, opts)
	}
	t.current.Store(&h)
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

// WithAttrs implements [slog.Handler]. What it returns does not change.
func (t *logTarget) WithAttrs(attrs []slog.Attr) slog.Handler { return t.handler().WithAttrs(attrs) }

// WithGroup implements [slog.Handler]. What it returns does not change.
func (t *logTarget) WithGroup(name string) slog.Handler { return t.handler().WithGroup(name) }
