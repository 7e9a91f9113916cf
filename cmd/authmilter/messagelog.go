package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"

	"authmilter/policy"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/spf"
)

// messageLog writes one line per message.
type messageLog struct{ log *slog.Logger }

// Observe implements [policy.Observer].
func (m messageLog) Observe(v *policy.Verdict) {
	attrs := []slog.Attr{
		outside("queue_id", v.QueueID),
		slog.String("client", v.Envelope.Client()),
		outside("client_name", v.Envelope.ClientName),
		outside("helo", v.Envelope.Helo),
		outside("mail_from", v.Envelope.MailFrom),
		slog.Int("recipients", v.Recipients.Count),
		slog.String("listener", v.Listener),
	}
	if v.Relay.IsValid() {
		attrs = append(attrs, slog.String("relay", v.Relay.String()))
	}
	if n := v.Forged(); n > 0 {
		attrs = append(attrs, slog.Int("forged_removed", n))
	}
	if n := v.HarmlessRemoved; n > 0 {
		attrs = append(attrs, slog.Int("harmless_removed", n))
	}
	if v.Refused != policy.NotRefused {
		attrs = append(attrs, slog.String("refused", string(v.Refused)))
	}
	if v.Skip != policy.NotSkipped {
		attrs = append(attrs, slog.String("skipped", string(v.Skip)))
		if v.DKIMOnly != nil {
			attrs = append(attrs, slog.Any("dkim", dkimLog(v.DKIMOnly.DKIM)))
		}
		attrs = append(attrs, signingLog(v.Signing)...)
		if v.Skip == policy.ByOverride || v.Decision.Reply != (policy.Reply{}) {
			attrs = append(attrs, decisionLog(&v.Decision)...)
		}
		m.log.LogAttrs(context.Background(), slog.LevelInfo, "message skipped", attrs...)
		return
	}
	r := v.Result
	attrs = append(attrs,
		outside("author_domain", strings.Join(r.Author.Domains, ",")),
	)
	if r.Author.Err != nil {
		attrs = append(attrs, slog.String("author_error", reason(r.Author.Err)))
	}
	attrs = append(attrs,
		slog.Any("dkim", dkimLog(r.DKIM)),
		slog.Any("spf", spfLog(r.SPF)),
	)
	if r.Helo != nil {
		attrs = append(attrs, slog.Any("spf_helo", spfLog(*r.Helo)))
	}
	attrs = append(attrs,
		slog.Any("dmarc", loggedMethods{{
			Result: string(r.DMARC.Status),
			Domain: r.DMARCDomain(),
			Reason: reason(r.DMARC.Err),
		}}),
	)
	if p := r.IPRev; p != nil {
		attrs = append(attrs, slog.Any("iprev", loggedMethods{{Result: string(p.Status), Domain: logged(p.Name), Reason: reason(p.Err)}}))
	}
	if r.ARC.Status != "" {
		attrs = append(attrs, slog.Any("arc", arcLog(r.ARC)))
	}
	attrs = append(attrs,
		slog.String("disposition", string(v.Decision.Disposition)),
		slog.String("requested", string(v.Decision.Requested)),
	)
	attrs = append(attrs, decisionLog(&v.Decision)...)
	if v.Seal.Done || v.Seal.Err != nil {
		attrs = append(attrs, slog.String("seal", sealText(v.Seal)))
	}
	attrs = append(attrs,
		slog.Int64("bytes", r.Size),
		slog.Int("dns_queries", r.Queries),
		slog.Float64("ms", float64(v.Took.Microseconds())/1000),
		slog.Float64("eom_ms", float64(v.EndOfMessage.Microseconds())/1000),
	)
	m.log.LogAttrs(context.Background(), slog.LevelInfo, "message", attrs...)
}

func outside(key, value string) slog.Attr {
	return slog.String(key, logged(value))
}

// loggedMethod is one result in a log line.
type loggedMethod struct {
	Result   string `json:"result"`
	Domain   string `json:"domain,omitempty"`
	Selector string `json:"selector,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// loggedMethods is an array in JSON. In text it looks like "pass example.com s1; fail
// example.net s2 (body hash did not verify)".
type loggedMethods []loggedMethod

// MarshalJSON keeps encoding/json from calling MarshalText.
func (l loggedMethods) MarshalJSON() ([]byte, error) { return json.Marshal([]loggedMethod(l)) }

// MarshalText is called by [slog.TextHandler].
func (l loggedMethods) MarshalText() ([]byte, error) {
	var b []byte
	for i, m := range l {
		if i > 0 {
			b = append(b, "; "...)
		}
		b = append(b, m.Result...)
		for _, s := range []string{m.Domain, m.Selector} {
			if s != "" {
				b = append(append(b, ' '), s...)
			}
		}
		if m.Reason != "" {
			b = append(append(append(b, " ("...), m.Reason...), ')')
		}
	}
	return b, nil
}

func dkimLog(results []dkim.Result) loggedMethods {
	if len(results) == 0 {
		return loggedMethods{{Result: string(dkim.None)}}
	}
	l := make(loggedMethods, len(results))
	for i, r := range results {
		l[i] = loggedMethod{Result: string(r.Status), Reason: reason(r.Err)}
		if s := r.Signature; s != nil {
			l[i].Domain = logged(s.Domain)
			l[i].Selector = logged(s.Selector)
		}
	}
	return l
}

func spfLog(r spf.Result) loggedMethods {
	return loggedMethods{{
		Result: string(r.Status),
		Domain: logged(r.Domain),
		Reason: logged(r.Text()),
	}}
}

// arcLog returns the result of ARC with the sealer of the newest set.
func arcLog(r arc.Result) loggedMethods {
	m := loggedMethod{Result: string(r.Status), Reason: reason(r.Err)}
	if newest := r.Chain.Newest(); newest != nil {
		m.Domain, m.Selector = logged(newest.Seal.Domain), logged(newest.Seal.Selector)
	}
	return loggedMethods{m}
}

// decisionLog returns the attributes that explain the disposition.
func decisionLog(d *policy.Decision) (attrs []slog.Attr) {
	if d.Reason != policy.NoReason {
		attrs = append(attrs, slog.String("reason", string(d.Reason)))
	}
	if d.Intended != d.Disposition {
		attrs = append(attrs, slog.String("intended", string(d.Intended)))
	}
	if r := d.Override; r.Type != policy.NotOverridden {
		attrs = append(attrs, slog.String("override", string(r.Type)), outside("override_detail", r.Detail))
	}
	if text := replyText(d.Reply); text != "" {
		attrs = append(attrs, outside("reply", text))
	}
	return attrs
}

func sealText(s policy.Sealing) string {
	if s.Done {
		return "added"
	}
	return "none: " + reason(s.Err)
}

func signingLog(s policy.Signing) []slog.Attr {
	switch {
	case s.Err != nil:
		return []slog.Attr{slog.String("unsigned", reason(s.Err))}
	case len(s.Selectors) > 0:
		return []slog.Attr{slog.String("signed", s.Domain+" "+strings.Join(s.Selectors, " "))}
	}
	return nil
}
