package statuspage

import (
	"fmt"
	"strings"
	"testing"

	"authmilter/policy"
	"authmilter/verify/dkim"
)

// TestRecordHasRoomForAllTexts makes every text of a message longer than its bound.
func TestRecordHasRoomForAllTexts(t *testing.T) {
	long := strings.Repeat("x", 2*maxText)
	f := filler{names: true, text: func(n int) string { return fmt.Sprint(n) + long }}
	for _, v := range f.verdicts(newClock().t) {
		if v.Result == nil {
			continue
		}
		for len(v.Result.DKIM) < maxSignatures {
			v.Result.DKIM = append(v.Result.DKIM, v.Result.DKIM[0])
		}
		r := newRecord(v, false)
		if len(r.text) != maxTexts*maxText {
			t.Errorf("%d octets, want %d", len(r.text), maxTexts*maxText)
		}
		for _, s := range []span{r.queueID, r.author, r.dkim[0].domain, r.dkim[maxSignatures-1].text, r.arc.selector, r.decision.detail} {
			if got := r.get(s); len(got) != maxText || !strings.HasSuffix(got, "x...") {
				t.Errorf("%q", got)
			}
		}
		if anonymous := newRecord(v, true); anonymous.text != "" {
			t.Errorf("anonymous: %q", anonymous.text)
		}
	}
}

// TestWords holds that every name in a set has a counter, and all other names share
// one.
func TestWords(t *testing.T) {
	sets := []words{dispositions, skips, qtypes, rcodes}
	for _, m := range methods {
		sets = append(sets, m.statuses)
		if len(m.reasons) < 4 || m.reasons[0] != "" {
			t.Errorf("reasons of %s: %q", m.name, m.reasons)
		}
	}
	for _, w := range sets {
		if len(w) >= maxWords {
			t.Errorf("%d counters for %q", maxWords, w)
		}
		for i, name := range w {
			if w.position(name) != uint8(i) || w.name(uint8(i)) != name {
				t.Errorf("%s is not at %d", name, i)
			}
		}
		if other := w.position("no such name"); int(other) != len(w) || w.name(other) != "other" {
			t.Errorf("others of %q are at %d", w, other)
		}
	}
	if got := methods[methodDKIM].reasons.position(string(dkim.ReasonBodyHash)); got == 0 || int(got) == len(methods[methodDKIM].reasons) {
		t.Errorf("body_hash is at %d", got)
	}
	if skips.position(string(policy.NotSkipped)) != uint8(len(skips)) {
		t.Error("a message with results has a reason to be skipped")
	}
}
