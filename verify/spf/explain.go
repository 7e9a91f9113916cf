package spf

import "context"

// explain returns the explanation of a fail (RFC 7208 section 6.2). It returns ""
// if the record that decided has none, or if anything goes wrong.
func (e *evaluation) explain(ctx context.Context, o outcome) string {
	if o.exp.IsZero() || !e.expandable(o.exp) {
		return ""
	}
	e.explaining = true
	target, ok, x := e.target(ctx, o.exp, o.domain)
	if x != nil || !ok {
		return ""
	}
	a, err := e.resolver.TXT(ctx, target)
	if err != nil || len(a.Values) != 1 {
		return ""
	}
	m, err := parseMacroString(a.Values[0], inExplanation)
	if err != nil {
		return ""
	}
	text, ok := e.explanation(ctx, m, o.domain)
	if !ok {
		return ""
	}
	return text
}
