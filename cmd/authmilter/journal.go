package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
)

// isJournal reports whether w is the stream to systemd's journal named by variable,
// the value of JOURNAL_STREAM (systemd.exec(5)).
func isJournal(w io.Writer, variable string) bool {
	f, ok := w.(*os.File)
	if !ok || variable == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && variable == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// journalHandler puts a priority, which the journal understands, at the start of
// each line (sd-daemon(3)).
type journalHandler struct {
	slog.Handler
	line *journalLine
}

// journalLine is the line being written. A handler shares it with the handlers
// derived from it.
type journalLine struct {
	mu  sync.Mutex
	buf bytes.Buffer
	w   io.Writer
}

// newJournalHandler returns a handler that passes the lines of the handler created by
// made to w.
func newJournalHandler(w io.Writer, made func(io.Writer) slog.Handler) *journalHandler {
	line := &journalLine{w: w}
	return &journalHandler{made(&line.buf), line}
}

// Handle implements [slog.Handler].
func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	h.line.buf.Reset()
	h.line.buf.WriteString(journalPriority(r.Level))
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.line.w.Write(h.line.buf.Bytes())
	return err
}

// WithAttrs implements [slog.Handler].
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.Handler.WithAttrs(attrs), h.line}
}

// WithGroup implements [slog.Handler].
func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.Handler.WithGroup(name), h.line}
}

// journalPriority returns the syslog priority for l, in the journal's notation.
func journalPriority(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}
