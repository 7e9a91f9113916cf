package policy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/spf"
)

func TestReceivedFrom(t *testing.T) {
	for _, test := range []struct{ field, from, notFrom string }{
		{field: " mx; spf=pass smtp.mailfrom=a@example.net; dmarc=fail (p=none) header.from=Example.COM", from: "example.com", notFrom: "example.net"},
		{field: " mx; dmarc=pass header.from=a.example; dmarc=pass header.from=b.example", from: "a.example b.example", notFrom: "c.example"},
		{field: " mx; dmarc=permerror reason=\"message header too large\"", from: "a.example"},
		{field: " mx; dmarc=pass header.from=a.example; dmarc=permerror", from: "a.example c.example"},
		{field: " mx; dmarc=pass header.from=\"a b\"", from: "a.example"},
		{field: " mx; spf=pass", from: "a.example"},
		{field: " mx; none", from: "a.example"},
		{field: " mx; dmarc=pass header.from=a.example (", from: "c.example"},
		{field: "", from: "a.example"},
		// What is written if only the signatures are verified.
		{field: FormatOwnResults("mx", nil, true), notFrom: "a.example"},
		{field: FormatOwnResults("mx", []dkim.Result{{Status: dkim.Pass, Signature: signature, Key: key}, {Status: dkim.Neutral, Signature: &dkim.Signature{}}}, true), notFrom: "a.example"},
		{field: FormatOwnResults("mx", nil, false), from: "a.example"},
		{field: " mx; dkim=none (not own mail)", from: "a.example"},
		{field: " mx; dkim=none", from: "a.example"}, // from outside, and all else is hidden
		{field: " mx; dkim=none (own mail); spf=none (own mail)", from: "a.example"},
		{field: " mx; dkim=none (own mail); dmarc=none header.from=a.example", from: "a.example", notFrom: "c.example"},
		// Other readers may see more in what we did not write.
		{field: " mx; dmarc=fail action=none header.from=a.example", from: "c.example"},
		{field: " mx; dmarc=fail header.from=a.example; x", from: "c.example"},
		{field: " mx; dmarc=fail (; dmarc=pass) header.from=a.example", from: "c.example"},
		{field: " mx; dmarc=fail header.from=joe@a.example", from: "c.example"},
	} {
		for _, author := range strings.Fields(test.from) {
			if !ReceivedFrom(test.field, []string{"x.example", author}) {
				t.Errorf("%s: not from %s", test.field, author)
			}
		}
		for _, author := range strings.Fields(test.notFrom) {
			if ReceivedFrom(test.field, []string{"x.example", author}) {
				t.Errorf("%s: from %s", test.field, author)
			}
		}
	}
}

// TestSameResults checks that the results in an ARC set and in the
// Authentication-Results field of the same message count as the same, whatever the
// sender wrote into them, and that other results do not.
func TestSameResults(t *testing.T) {
	sameResults := func(field, payload string, o ResultsOptions) bool { return SameResults([]string{field}, payload, o)[0] }
	rnd := rand.New(rand.NewPCG(5, 6))
	alphabet := []rune("ab.@;\"\\() <>=\t,é\r\n")
	text := func() string {
		s := make([]rune, rnd.IntN(20))
		for i := range s {
			s[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		if rnd.IntN(10) == 0 {
			return strings.Repeat("a", 310) + string(s)
		}
		return string(s)
	}
	for range 5_000 {
		r := failed("example.com", dmarc.Relaxed, dmarc.Relaxed)
		r.SPF = spf.Result{Status: spf.Pass, Identity: spf.MailFrom}
		r.DKIM = []dkim.Result{{Status: dkim.Pass, Signature: &dkim.Signature{Domain: "example.com", Identity: text(), Selector: "s"}}}
		r.Authors = []dmarc.Result{r.DMARC, {Status: dmarc.Pass, Author: "second.example"}, {Status: dmarc.PermError}}
		if rnd.IntN(2) == 0 {
			r.SPF.Status = spf.None
		}
		r.ARC = arc.Result{Status: arc.Statuses()[rnd.IntN(3)]}
		env := verify.Envelope{ClientIP: envelope.ClientIP, Helo: text(), MailFrom: text()}
		o := ResultsOptions{EachAuthor: rnd.IntN(2) == 0}
		for _, method := range Hideable() {
			if rnd.IntN(2) == 0 {
				o.HideNone = append(o.HideNone, method)
			}
		}
		field := FormatResults("mx.example.org", env, r, Decision{}, o)
		_, payload, err := authres.CutInstance(authres.FormatARC(1, "mx.example.org", ARCResults("mx.example.org", env, r, Decision{}, o, nil)))
		if err != nil || !sameResults(field, payload, o) {
			t.Fatalf("%v\n%s\n%s", err, field, payload)
		}
		others := []string{
			strings.Replace(field, "dkim=pass", "dkim=fail", 1),
			strings.Replace(field, "dmarc=fail", "dmarc=pass", 1),
			field + "; spf=none",
			field + "; dmarc=pass header.from=third.example",
		}
		if other := others[rnd.IntN(len(others))]; sameResults(other, payload, o) {
			t.Fatalf("another result:\n%s\n%s", other, payload)
		}
		if hidden := strings.Contains(payload, "arc=none") && !strings.Contains(field, "arc="); hidden && sameResults(field, payload, ResultsOptions{}) {
			t.Fatalf("a result is missing:\n%s\n%s", field, payload)
		}
		for _, more := range []string{" x=y", "; x", "; (x; y=z)", "; x=y"} {
			if sameResults(field+more, payload, o) {
				t.Fatalf("more text: %s%s", field, more)
			}
		}
	}
}

// TestSameResultsOfRelays checks that the fields of relays count with ours, and that
// none counts if one is missing or another comes first.
func TestSameResultsOfRelays(t *testing.T) {
	const (
		ours    = "mx; dkim=pass header.d=a; spf=none; arc=none"
		shown   = "mx; dkim=pass header.d=a"
		one     = "mx; auth=pass smtp.auth=joe"
		two     = "mx; x-virus=none; spf=pass smtp.mailfrom=a"
		payload = ours + "; auth=pass smtp.auth=joe; x-virus=none; spf=pass smtp.mailfrom=a"
		forged  = "mx; auth=pass smtp.auth=ann"
		empty   = "mx; none"
	)
	hide := ResultsOptions{HideNone: []string{"spf", "arc"}}
	for _, test := range []struct {
		name   string
		fields []string
		o      ResultsOptions
		want   []bool
	}{
		{"all", []string{ours, one, two}, ResultsOptions{}, []bool{true, true, true}},
		{"results hidden", []string{shown, one, two}, hide, []bool{true, true, true}},
		{"results hidden before the setting changed", []string{shown, one, two}, ResultsOptions{}, []bool{false, false, false}},
		{"forged ones between them", []string{forged, ours, forged, one, two, forged}, ResultsOptions{}, []bool{false, true, false, true, true, false}},
		{"one missing", []string{ours, two}, ResultsOptions{}, []bool{false, false}},
		{"ours missing", []string{one, two}, ResultsOptions{}, []bool{false, false}},
		{"another order", []string{ours, two, one}, ResultsOptions{}, []bool{false, false, false}},
		{"another name", []string{ours, one, strings.Replace(two, "mx", "my", 1)}, ResultsOptions{}, []bool{false, false, false}},
		{"malformed", []string{ours, one, two, "mx; ("}, ResultsOptions{}, []bool{true, true, true, false}},
		{"none", nil, ResultsOptions{}, []bool{}},
	} {
		if got := SameResults(test.fields, payload, test.o); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
	// What a relay writes is cleaned in the set.
	for _, field := range []string{
		"mx; x-virus=none policy.scanner=\"Clam AV; 1.0\" (x)",
		"mx; auth=pass smtp.auth=j\u00f6e@example.com",
		"mx; auth=pass smtp.auth=" + strings.Repeat("a", 1000),
		"mx; auth=" + strings.Repeat("a", 1000),
		"mx; auth=pass " + strings.Repeat("a", 1000) + ".x=y",
	} {
		results, ok := (&OwnFields{Claimant: authres.NewClaimant("mx")}).OfRelay(ResultsField, field)
		set := authres.FormatARC(1, "mx", append([]authres.Method{{Name: "spf", Result: "none"}}, results...))
		_, payload, err := authres.CutInstance(set)
		if err != nil || !ok {
			t.Fatal(err, ok)
		}
		if got := SameResults([]string{"mx; spf=none", field}, payload, ResultsOptions{}); !got[0] || got[1] != (len(results) > 0) {
			t.Errorf("%.80q: got %v with %.200q", field, got, payload)
		}
		for line := range strings.SplitSeq(set, "\r\n") {
			if len(line) > 998 {
				t.Errorf("%.80q: a line of %d octets", field, len(line))
			}
		}
	}
	// Every result of the message is hidden.
	if got := SameResults([]string{empty}, "mx; spf=none; arc=none", hide); !got[0] {
		t.Error("all hidden: not the same")
	}
}
