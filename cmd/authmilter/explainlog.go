package main

import (
	"context"
	"log/slog"
	"strings"

	"authmilter/policy"
)

// explainLog explains the result for each message at debug level: one line for each
// look-up, each SPF record and term, and each rule.
type explainLog struct{ log *slog.Logger }

// Observe implements [policy.Observer].
func (e explainLog) Observe(v *policy.Verdict) {
	ctx := context.Background()
	if !e.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	line := func(text string, attrs ...slog.Attr) {
		e.log.LogAttrs(ctx, slog.LevelDebug, text, append([]slog.Attr{outside("queue_id", v.QueueID)}, attrs...)...)
	}
	r := v.Result
	if r == nil {
		r = v.DKIMOnly
	}
	if r != nil { // nil if an override skips the message; rules are logged anyway
		for _, l := range newLookupOutputs(r.Lookups) {
			line("look-up",
				slog.String("type", l.Type),
				outside("name", l.Name),
				outside("answer", strings.Join(l.Values, " | ")),
				outside("cnames", strings.Join(l.CNAMEs, " ")),
				slog.Bool("stale", l.Stale),
				slog.String("error", l.Error),
				slog.Float64("ms", l.Milliseconds))
		}
		for _, s := range r.Steps {
			if s.Record != "" {
				line("spf record",
					slog.Int("depth", s.Depth),
					outside("domain", s.Domain),
					outside("record", s.Record))
				continue
			}
			line("spf term",
				slog.Int("depth", s.Depth),
				outside("domain", s.Domain),
				outside("term", s.Term),
				outside("target", s.Target),
				slog.String("outcome", s.Outcome),
				slog.String("reason", logged(s.Reason)))
		}
	}
	for _, step := range v.Rules {
		line("rule",
			outside("rule", step.Rule),
			slog.Bool("applies", step.Applies),
			outside("outcome", step.Outcome))
	}
}
