package statuspage

import (
	"slices"
	"strings"

	"authmilter/policy"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/iprev"
	"authmilter/verify/spf"
)

// words is a known set of names. Names are counted and kept by their position in
// it; the position after the last one stands for every other name.
type words []string

// maxWords is larger than any set that is used for counting.
const maxWords = 12

func wordsOf[T ~string](names []T) words {
	w := make(words, len(names))
	for i, n := range names {
		w[i] = string(n)
	}
	return w
}

func (w words) position(name string) uint8 {
	for i, n := range w {
		if n == name {
			return uint8(i)
		}
	}
	return uint8(len(w))
}

func (w words) name(position uint8) string {
	if int(position) < len(w) {
		return w[position]
	}
	return "other"
}

// spaced returns a name from one of our sets, such as "body_hash", with spaces.
func spaced(name string) string { return strings.ReplaceAll(name, "_", " ") }

// The methods, by their positions in methods.
const (
	methodDKIM = iota
	methodSPF
	methodDMARC
	methodARC
	methodIPRev
	methodCount
)

// methods are the methods whose results are counted.
var methods = [methodCount]struct {
	name              string
	statuses, reasons words
}{
	methodDKIM: {"dkim", wordsOf(dkim.Statuses()),
		reasonsOf(dkim.Outcomes(), func(o dkim.Outcome) string { return string(o.Reason) })},
	methodSPF: {"spf", wordsOf(spf.Statuses()),
		reasonsOf(spf.Outcomes(), func(o spf.Outcome) string { return string(o.Reason) })},
	methodDMARC: {"dmarc", wordsOf(dmarc.Statuses()),
		reasonsOf(dmarc.Outcomes(), func(o dmarc.Outcome) string { return string(o.Reason) })},
	methodARC: {"arc", wordsOf(arc.Statuses()),
		reasonsOf(arc.Outcomes(), func(o arc.Outcome) string { return string(o.Reason) })},
	methodIPRev: {"iprev", wordsOf(iprev.Statuses()),
		reasonsOf(iprev.Outcomes(), func(o iprev.Outcome) string { return string(o.Reason) })},
}

// reasonsOf returns the distinct reasons of outcomes, "" first.
func reasonsOf[O any](outcomes []O, reason func(O) string) words {
	w := words{""}
	for _, o := range outcomes {
		if r := reason(o); !slices.Contains(w, r) {
			w = append(w, r)
		}
	}
	return w
}

// Known sets that belong to no method.
var (
	dispositions = wordsOf(policy.Dispositions())
	skips        = wordsOf(policy.Skips())
	reasons      = wordsOf(policy.Reasons())
	overrides    = wordsOf(policy.OverrideTypes())
	policyNames  = words{
		string(dmarc.DispositionNone), string(dmarc.DispositionQuarantine), string(dmarc.DispositionReject),
	}

	qtypes = words{"TXT", "MX", "A", "AAAA", "PTR", "NS"}
	// The last three mean that there was no usable answer.
	rcodes = words{"NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "timeout", "network", "malformed"}
)

// tone is how a result looks. Colour is never the only sign: the word stands
// beside it.
type tone string

// The tones. They are class names in page.css.
const (
	toneGood tone = "good"
	toneFlat tone = "flat" // neither good nor bad
	toneWarn tone = "warn"
	toneWait tone = "wait" // not known now
	toneBad  tone = "bad"
)

// tones returns every tone, from good to bad.
func tones() []tone { return []tone{toneGood, toneFlat, toneWarn, toneWait, toneBad} }

// toneOf returns the tone of a result of a method or of a disposition.
func toneOf(result string) tone {
	switch result {
	case "pass", "ok":
		return toneGood
	case "none", "neutral":
		return toneFlat
	case "temperror", "defer", "unknown":
		return toneWait
	case "softfail", "policy", "quarantine", "ambiguous", "permerror":
		return toneWarn
	}
	return toneBad
}
