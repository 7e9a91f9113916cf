package arc_test

import (
	"slices"
	"strings"
	"testing"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// FuzzChain verifies arbitrary headers. The result must agree with its evidence,
// KeyNames must list each requested key exactly once, and a set put on top must
// verify or mark the chain as failed.
func FuzzChain(f *testing.F) {
	two, zone := chain(f, plain, 2)
	f.Add(plain)
	f.Add(two)
	f.Add(strings.Replace(two, "cv=pass", "cv=fail", 1))
	f.Add(strings.Replace(two, "i=2", "i=3", 1))
	f.Add(strings.Replace(two, "==\r\n", "\r\n", 1)) // the newest seal without padding
	f.Add(strings.Replace(two, "h=From:", "h=:From::", 1))
	f.Add("ARC-Seal: i=1; cv=none; a=; b=; d=; s=; h=\r\nARC-Message-Signature: i=1;;\r\nARC-Authentication-Results: i = (x) 1 (y) ; none\r\n\r\n")
	s := &arc.Sealer{Domain: "own.example", Selector: "ed25519", Key: key(f, "ed25519")}
	zone.AddTXT("ed25519._domainkey.own.example", s.Key.Record())
	f.Fuzz(func(t *testing.T, msg string) {
		head, body, _ := strings.Cut(msg, "\r\n\r\n")
		h := parseLines(head)
		if len(h) > 200 {
			return
		}
		b := &message.Body{}
		v := arc.Begin(dkim.Options{}, &dkim.Input{Header: h, Index: message.NewIndex(h), Body: b, Now: now})
		b.Want(arc.SealDigest())
		if v != nil {
			names := v.KeyNames()
			v.CheckHeader(func(n arc.KeyName) ([]*dkim.Key, error) {
				if !slices.Contains(names, n) {
					t.Errorf("requested %+v, which is not in %+v", n, names)
				}
				return dkim.LookupKeys(ctx, zone, n.Selector, n.Domain)
			})
			slices.SortFunc(names, func(a, b arc.KeyName) int { return strings.Compare(a.Domain+a.Selector, b.Domain+b.Selector) })
			if len(slices.Compact(names)) != len(names) {
				t.Errorf("duplicates in %+v", names)
			}
		}
		_, _ = b.Write([]byte(body))
		r := v.Result(b)
		sets := 0
		if r.Chain != nil {
			sets = len(r.Chain.Sets)
		}
		switch {
		case (r.Status == arc.None) != (r.Chain == nil), (r.Status == arc.Fail) != (r.Err != nil), (r.Err != nil) != (r.Reason != ""),
			(r.Status == arc.Pass) != (r.OldestPass != arc.Absent), r.OldestPass > sets, sets > arc.MaxSets:
			t.Fatalf("%+v", r)
		}
		set, err := s.Seal(&arc.SealInput{
			Header: h, Index: message.NewIndex(h), BodyHash: b.Sum(arc.SealDigest()), Chain: &r, AuthservID: "own.example", At: now,
		})
		if err != nil {
			return
		}
		sealed := append(message.Header{set[2], set[1], set[0]}, h...)
		again := &message.Body{}
		w := arc.Begin(dkim.Options{}, &dkim.Input{Header: sealed, Index: message.NewIndex(sealed), Body: again, Now: now})
		w.CheckHeader(func(n arc.KeyName) ([]*dkim.Key, error) { return dkim.LookupKeys(ctx, zone, n.Selector, n.Domain) })
		_, _ = again.Write([]byte(body))
		switch got := w.Result(again); {
		case r.Status == arc.Fail && got.Reason != arc.ReasonBroken,
			r.Status != arc.Fail && got.Status != arc.Pass:
			t.Errorf("sealed after %+v: %+v", r, got)
		}
	})
}

// parseLines returns the fields of a header with arbitrary lines.
func parseLines(head string) message.Header {
	var h message.Header
	for line := range strings.SplitSeq(head, "\r\n") {
		if last := len(h) - 1; line != "" && last >= 0 && (line[0] == ' ' || line[0] == '\t') {
			h[last].Raw += "\r\n" + line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		h = append(h, message.NewField(name, value))
	}
	return h
}
