package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/dmarc"
	"authmilter/verify/message"
)

// TestBounces checks messages without an author domain.
func TestBounces(t *testing.T) {
	noAuthor := dmarc.Result{Status: dmarc.PermError, Reason: dmarc.ReasonNoAuthor, Err: errors.New("no author domain")}
	tooLarge := dmarc.Result{Status: dmarc.PermError, Reason: dmarc.ReasonNotEvaluated, Err: verify.ErrHeaderTooLarge}
	strict := PerReason{Author: Quarantine}
	for _, test := range []struct {
		name, sender string
		unaddressed  bool
		err          error
		results      []dmarc.Result
		rules        PerReason
		want         string
	}{
		{"a bounce", "", true, message.ErrNoDomain, []dmarc.Result{noAuthor}, strict, "none "},
		{"a bounce, quarantined", "", true, message.ErrNoDomain, []dmarc.Result{noAuthor}, PerReason{Bounce: Quarantine}, "quarantine author"},
		{"a bounce, rejected", "", true, message.ErrNoDomain, []dmarc.Result{noAuthor}, PerReason{Author: Quarantine, Bounce: Reject}, "reject author"},
		{"it has a sender", "joe@example.net", true, message.ErrNoDomain, []dmarc.Result{noAuthor}, strict, "quarantine author"},
		{"something may be an address", "", false, message.ErrNoDomain, []dmarc.Result{noAuthor}, strict, "quarantine author"},
		{"an author that cannot be judged", "", false, message.ErrNoDomain, []dmarc.Result{{Status: dmarc.PermError, Reason: dmarc.ReasonAuthorSyntax}}, strict, "quarantine author"},
		{"a header that was not read", "", true, message.ErrNoDomain, []dmarc.Result{noAuthor, tooLarge}, strict, "quarantine author"},
		{"several From fields", "", true, message.ErrSeveralFrom, []dmarc.Result{noAuthor}, PerReason{Author: Quarantine, SeveralFrom: Reject}, "reject several_from"},
	} {
		res := &verify.Result{Author: message.Author{Err: test.err, Unaddressed: test.unaddressed}, Authors: test.results, DMARC: dmarc.Strictest(test.results)}
		r := &Rules{Mode: ModeEnforce, PerReason: test.rules}
		env := envelope
		env.MailFrom = test.sender
		d := r.Decide(&Message{Envelope: env, Result: res})
		if got := fmt.Sprintf("%s %s", d.Disposition, d.Reason); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		if text := FormatResults("mx", env, res, d, ResultsOptions{}); !strings.Contains(text, "dmarc=permerror") {
			t.Errorf("%s: %s", test.name, text)
		}
	}
}
