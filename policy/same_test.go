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

func TestAuthorOf(t *testing.T) {
	for _, test := range []struct{ field, want string }{
		{" mx; spf=pass smtp.mailfrom=a@example.net; dmarc=fail (p=none) header.from=Example.COM", "example.com"},
		{" mx; dmarc=permerror reason=\"message header too large\"", ""},
		{" mx; dmarc=pass header.from=a.example; dmarc=pass header.from=b.example", ""},
		{" mx; dmarc=pass header.from=\"a b\"", ""},
		{" mx; spf=pass", ""},
		{" mx; none", ""},
		{" mx; dmarc=pass header.from=a.example (", ""},
		// Other readers may see more in what we did not write.
		{" mx; dmarc=fail action=none header.from=a.example", ""},
		{" mx; dmarc=fail header.from=a.example; x", ""},
		{" mx; dmarc=fail (; dmarc=pass) header.from=a.example", ""},
		{" mx; dmarc=fail header.from=joe@a.example", ""},
		{"", ""},
	} {
		if got, ok := AuthorOf(test.field); got != test.want || ok != (test.want != "") {
			t.Errorf("%s: %q, %v", test.field, got, ok)
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
		r.ARC = arc.Result{Status: arc.Statuses()[rnd.IntN(3)]}
		env := verify.Envelope{ClientIP: envelope.ClientIP, Helo: text(), MailFrom: text()}
		field := FormatResults("mx.example.org", env, r, Decision{})
		_, payload, err := authres.CutInstance(authres.FormatARC(1, "mx.example.org", ARCResults("mx.example.org", env, r, Decision{})))
		if err != nil || !SameResults(field, payload) {
			t.Fatalf("%v\n%s\n%s", err, field, payload)
		}
		if SameResults(strings.Replace(field, "spf=pass", "spf=fail", 1), payload) {
			t.Fatalf("another result:\n%s\n%s", field, payload)
		}
		for _, more := range []string{" x=y", "; x", "; (x; y=z)", "; x=y"} {
			if SameResults(field+more, payload) {
				t.Fatalf("more text: %s%s", field, more)
			}
		}
	}
}
