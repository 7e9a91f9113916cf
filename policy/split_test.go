package policy

import (
	"fmt"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/dmarc"
	"authmilter/verify/message"
)

// TestSplitReaders checks messages of which most readers show docs.example, for
// which they pass, and some readers show bank.example.
func TestSplitReaders(t *testing.T) {
	fail := func(name string, asked dmarc.Disposition) dmarc.Result {
		return dmarc.Result{Status: dmarc.Fail, Author: name, Disposition: asked, Policy: &dmarc.Policy{Published: asked, Percent: 100}}
	}
	open := func(pending dmarc.Disposition) dmarc.Result {
		return dmarc.Result{Status: dmarc.TempError, Reason: dmarc.ReasonPolicyLookup, Author: "bank.example", Pending: pending}
	}
	pass := dmarc.Result{Status: dmarc.Pass, Author: "docs.example"}
	const reject, quarantine, none = dmarc.DispositionReject, dmarc.DispositionQuarantine, dmarc.DispositionNone
	const why = "local_policy: readers are split: most show docs.example, which passes"
	for _, test := range []struct {
		name    string
		authors []dmarc.Result
		rules   Rules
		want    string // DISPOSITION REASON and why
	}{
		{"rejected for some", []dmarc.Result{fail("bank.example", reject), pass}, Rules{}, "quarantine dmarc " + why},
		{"in another order", []dmarc.Result{pass, fail("bank.example", reject)}, Rules{}, "quarantine dmarc " + why},
		{"rejected for some, and quarantine rejects", []dmarc.Result{fail("bank.example", reject), pass}, Rules{QuarantineBy: ByReject}, "reject dmarc " + why},
		{"quarantined for some", []dmarc.Result{fail("bank.example", quarantine), pass}, Rules{}, "quarantine dmarc "},
		{"nothing asked", []dmarc.Result{fail("bank.example", none), pass}, Rules{}, "none dmarc "},
		{"two rejections", []dmarc.Result{fail("bank.example", reject), fail("shop.example", reject), pass}, Rules{}, "quarantine dmarc " + why},
		{"open for some", []dmarc.Result{open(reject), pass}, Rules{}, "quarantine temperror " + why},
		{"open for some, and quarantine rejects", []dmarc.Result{open(reject), pass}, Rules{QuarantineBy: ByReject}, "defer temperror "},
		{"open for some, and always deferred", []dmarc.Result{open(none), pass}, Rules{PerReason: PerReason{TempErrors: TempErrors{DMARC: TempErrorTempfail}}}, "defer temperror "},
		{"open for some, and nothing known", []dmarc.Result{open(none), pass}, Rules{}, "none  "},

		// Everything else is as for any other author.
		{"the author in brackets fails", []dmarc.Result{fail("bank.example", reject), fail("docs.example", none)}, Rules{}, "reject dmarc "},
		{"it fails and is rejected", []dmarc.Result{fail("bank.example", none), fail("docs.example", reject)}, Rules{}, "reject dmarc "},
		{"it has no policy", []dmarc.Result{fail("bank.example", reject), {Status: dmarc.None, Author: "docs.example"}}, Rules{}, "reject dmarc "},
		{"it is open", []dmarc.Result{fail("bank.example", reject), {Status: dmarc.TempError, Author: "docs.example"}}, Rules{}, "reject dmarc "},
		{"an author that cannot be judged", []dmarc.Result{fail("bank.example", reject), pass, {Status: dmarc.PermError}}, Rules{}, "reject dmarc "},
		{"another one passes", []dmarc.Result{fail("docs.example", reject), {Status: dmarc.Pass, Author: "bank.example"}}, Rules{}, "reject dmarc "},
		{"no result for it", []dmarc.Result{fail("bank.example", reject)}, Rules{}, "reject dmarc "},

		// Own rules decide as usual.
		{"several authors", []dmarc.Result{fail("bank.example", reject), pass}, Rules{PerReason: PerReason{SeveralAuthors: Reject}}, "reject several_authors "},
		{"must sign", []dmarc.Result{fail("bank.example", reject), pass}, Rules{PerReason: PerReason{DKIM: Reject, DKIMRequired: []string{"bank.example"}}}, "reject dkim "},
		{"a rule that rejects", []dmarc.Result{fail("bank.example", reject), pass}, Rules{Overrides: parseRules(t, "reject author_domain=bank.example")},
			"reject dmarc local_policy: override 1: reject"},
		{"a rule that rejects, for what is open", []dmarc.Result{open(reject), pass}, Rules{Overrides: parseRules(t, "reject author_domain=bank.example")},
			"defer temperror local_policy: override 1: reject"},
		{"a rule that accepts one of them", []dmarc.Result{fail("bank.example", reject), pass}, Rules{Overrides: parseRules(t, "accept author_domain=docs.example")}, "quarantine dmarc " + why},
		{"a rule that accepts both", []dmarc.Result{fail("bank.example", reject), pass}, Rules{Overrides: parseRules(t, "accept author_domain=docs.example,bank.example")},
			"none dmarc local_policy: override 1: accept"},
	} {
		res := &verify.Result{
			Author:  message.Author{Domains: []string{"bank.example", "docs.example"}, Bracketed: "docs.example"},
			Authors: test.authors, DMARC: dmarc.Strictest(test.authors),
		}
		r := test.rules
		r.Mode = ModeEnforce
		m := &Message{Envelope: envelope, Result: res}
		d := r.Decide(m)
		got := fmt.Sprintf("%s %s ", d.Disposition, d.Reason)
		if d.Override.Type != NotOverridden {
			got += string(d.Override.Type) + ": " + d.Override.Detail
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		// What was done and why is explained, and the result stays what it is.
		if strings.HasSuffix(test.want, why) {
			if steps := fmt.Sprint(r.Explain(m)); !strings.Contains(steps, why) {
				t.Errorf("%s: explained as %s", test.name, steps)
			}
			if d.Disposition == Quarantine && d.QuarantineText != strings.TrimPrefix(why, "local_policy: ") {
				t.Errorf("%s: %q", test.name, d.QuarantineText)
			}
			if text := FormatResults("mx", envelope, res, d, ResultsOptions{}); !strings.Contains(strings.ReplaceAll(text, "\r\n\t", " "), "dmarc="+string(res.DMARC.Status)) {
				t.Errorf("%s: %s", test.name, text)
			}
		}
		// Without brackets, nothing is softened.
		res.Author.Bracketed = ""
		if plain := r.Decide(m); plain.Disposition.severity() < d.Disposition.severity() || plain.Override.Detail == strings.TrimPrefix(why, "local_policy: ") {
			t.Errorf("%s: without brackets %+v", test.name, plain)
		}
	}
}
