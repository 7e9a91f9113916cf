package policy

import (
	"math/rand/v2"
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
	for range 20_000 {
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
		_, payload, err := authres.CutInstance(authres.FormatARC(1, "mx.example.org", ARCResults("mx.example.org", env, r, Decision{}, o)))
		if err != nil || !SameResults(field, payload, o) {
			t.Fatalf("%v\n%s\n%s", err, field, payload)
		}
		others := []string{
			strings.Replace(field, "dkim=pass", "dkim=fail", 1),
			strings.Replace(field, "dmarc=fail", "dmarc=pass", 1),
			field + "; spf=none",
			field + "; dmarc=pass header.from=third.example",
		}
		if other := others[rnd.IntN(len(others))]; SameResults(other, payload, o) {
			t.Fatalf("another result:\n%s\n%s", other, payload)
		}
		if hidden := strings.Contains(payload, "arc=none") && !strings.Contains(field, "arc="); hidden && SameResults(field, payload, ResultsOptions{}) {
			t.Fatalf("a result is missing:\n%s\n%s", field, payload)
		}
	}
}
