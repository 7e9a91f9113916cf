package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// unfolded returns the value of a field without its folds.
func unfolded(value string) string { return strings.Join(strings.Fields(value), " ") }

// TestHideNone checks that only results of none are left out, and only where that
// was asked for: never in our ARC set.
func TestHideNone(t *testing.T) {
	const all, none = "mx; dkim=none; spf=none smtp.helo=out.example.com; dmarc=none header.from=a.example; arc=none", "mx; none"
	for _, test := range []struct {
		hide        string
		spf         spf.Status
		dmarc       dmarc.Status
		helo        bool
		want, field string
	}{
		{"", spf.None, dmarc.None, false, all, ""},
		{"arc", spf.None, dmarc.None, false, strings.TrimSuffix(all, "; arc=none"), ""},
		{"arc dkim dmarc spf", spf.None, dmarc.None, false, none, ""},
		{"arc dkim dmarc spf", spf.None, dmarc.None, true, none, ""},
		{"arc dkim dmarc spf", spf.Neutral, dmarc.None, false, "mx; spf=neutral smtp.helo=out.example.com", ""},
		{"arc dkim dmarc spf", spf.None, dmarc.PermError, false, "mx; dmarc=permerror header.from=a.example", ""},
		{"spf", spf.TempError, dmarc.TempError, true, "mx; dkim=none; spf=temperror smtp.helo=out.example.com; dmarc=temperror header.from=a.example; arc=none", ""},
	} {
		r := &verify.Result{
			SPF:   spf.Result{Status: test.spf, Identity: spf.Helo},
			DMARC: dmarc.Result{Status: test.dmarc, Author: "a.example"},
			ARC:   arc.Result{Status: arc.None},
		}
		if test.helo {
			r.Helo = &spf.Result{Status: spf.None, Identity: spf.Helo}
		}
		o := ResultsOptions{HideNone: strings.Fields(test.hide)}
		if got := unfolded(FormatResults("mx", envelope, r, Decision{}, o)); strings.ReplaceAll(got, " (no mechanism matched)", "") != test.want {
			t.Errorf("%s: %s\nwant %s", test.hide, got, test.want)
		}
		if hidden, shown := ARCResults("mx", envelope, r, Decision{}, o, nil), ARCResults("mx", envelope, r, Decision{}, ResultsOptions{}, nil); format(hidden...) != format(shown...) {
			t.Errorf("%s: sealed %s", test.hide, format(hidden...))
		}
	}
}

// TestHideNoneKeepsTheSameSignatures checks that what is hidden makes no room for
// signatures that our ARC set has no room for.
func TestHideNoneKeepsTheSameSignatures(t *testing.T) {
	r := &verify.Result{SPF: spf.Result{Status: spf.None}, DMARC: dmarc.Result{Status: dmarc.None}, ARC: arc.Result{Status: arc.None}}
	for i := range 120 {
		r.DKIM = append(r.DKIM, dkim.Result{Status: dkim.Pass, Signature: &dkim.Signature{Domain: fmt.Sprint("d", i), Selector: strings.Repeat("s", 250)}})
	}
	// With some lengths, the hidden results are what one signature has no room for.
	for n := 0; n < 250; n += 10 {
		r.DKIM[0].Signature.Selector = strings.Repeat("s", n)
		o := ResultsOptions{HideNone: Hideable()}
		field := FormatResults("mx", envelope, r, Decision{}, o)
		_, payload, err := authres.CutInstance(authres.FormatARC(1, "mx", ARCResults("mx", envelope, r, Decision{}, o, nil)))
		if err != nil || !SameResults([]string{field}, payload, o)[0] {
			t.Fatalf("%d: %v", n, err)
		}
	}
}

// TestEachAuthor checks that the first DMARC result is the one reported anyway, and
// that each other author domain has one too.
func TestEachAuthor(t *testing.T) {
	policyOf := func(name string, p dmarc.Disposition) *dmarc.Policy {
		return &dmarc.Policy{AuthorDomain: name, Tag: "p", Published: p, Record: &dmarc.Record{}}
	}
	pass := dmarc.Result{Status: dmarc.Pass, Author: "a.example", Policy: policyOf("a.example", dmarc.DispositionNone)}
	fail := dmarc.Result{Status: dmarc.Fail, Author: "b.example", Policy: policyOf("b.example", dmarc.DispositionReject), Disposition: dmarc.DispositionReject, Err: errors.New("no authenticated identifier")}
	none := dmarc.Result{Status: dmarc.None, Author: "c.example"}
	unknown := dmarc.Result{Status: dmarc.PermError, Err: errors.New("an author that cannot be judged")}
	const (
		passed = "dmarc=pass (p=none) header.from=a.example policy.dmarc=none"
		failed = `dmarc=fail (p=reject) reason="no authenticated identifier" header.from=b.example policy.dmarc=reject`
		local  = `dmarc=fail (p=reject, local_policy: x) reason="no authenticated identifier" header.from=b.example policy.dmarc=reject`
	)
	for _, test := range []struct {
		authors  []dmarc.Result
		override OverrideReason
		want     string
	}{
		{[]dmarc.Result{pass}, OverrideReason{}, passed},
		{[]dmarc.Result{pass, fail, none}, OverrideReason{}, failed + "; " + passed + "; dmarc=none header.from=c.example"},
		{[]dmarc.Result{fail, pass}, OverrideReason{LocalPolicy, "x"}, local + "; " + passed},
		{[]dmarc.Result{pass, unknown}, OverrideReason{}, `dmarc=permerror reason="an author that cannot be judged" header.from=a.example; ` + passed},
		{[]dmarc.Result{pass, fail, unknown}, OverrideReason{}, failed + "; " + passed},
		{[]dmarc.Result{unknown}, OverrideReason{}, `dmarc=permerror reason="an author that cannot be judged"`},
	} {
		r := &verify.Result{SPF: spf.Result{Status: spf.None}, DMARC: dmarc.Strictest(test.authors), Authors: test.authors}
		for _, a := range test.authors {
			if a.Author != "" {
				r.Author.Domains = append(r.Author.Domains, a.Author)
			}
		}
		d := Decision{Override: test.override}
		got := format(AuthenticationResults(envelope, r, d, ResultsOptions{EachAuthor: true})...)
		if want := "mx; dkim=none; spf=none smtp.helo=out.example.com; " + test.want; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		// What is reported by default is the beginning of that.
		if one := format(AuthenticationResults(envelope, r, d, ResultsOptions{})...); !strings.HasPrefix(got, one) {
			t.Errorf("%s does not begin with %s", got, one)
		}
		// A trusted sealer's field shows a pass only for an author that has no other result.
		for _, name := range r.Author.Domains {
			_, payload, err := authres.CutInstance(authres.FormatARC(1, "mx", ARCResults("mx", envelope, r, d, ResultsOptions{EachAuthor: true}, nil)))
			if err != nil {
				t.Fatal(err)
			}
			all := slices.Concat([]dmarc.Result{r.DMARC}, test.authors)
			clean := !slices.ContainsFunc(all, func(d dmarc.Result) bool {
				return d.Status != dmarc.Pass && (d.Author == name || d.Author == "" && r.DMARC.Author == "" && name == r.Author.Domains[0])
			})
			if shown := evidence(payload, &dmarc.Policy{AuthorDomain: name}); (shown != "") != clean {
				t.Errorf("%s: evidence %q for %s", payload, shown, name)
			}
		}
	}
}

// TestEachAuthorIsBounded checks the field of a message with more authors than are
// judged, and the longest texts.
func TestEachAuthorIsBounded(t *testing.T) {
	long := strings.Repeat("a.", 120) + "example"
	r := &verify.Result{SPF: spf.Result{Status: spf.None}, Author: message.Author{Err: errors.New(strings.Repeat("x", 1000))}}
	for i := range 20 {
		name := fmt.Sprint(i, long)
		r.Author.Domains = append(r.Author.Domains, name)
		r.Authors = append(r.Authors, dmarc.Result{Status: dmarc.PermError, Author: name, Err: errors.New(strings.Repeat("y", 1000))})
	}
	r.DMARC = r.Authors[0]
	for range 200 {
		r.DKIM = append(r.DKIM, dkim.Result{Status: dkim.Fail, Signature: &dkim.Signature{Domain: long, Selector: long}})
	}
	value := FormatResults("mx", envelope, r, Decision{}, ResultsOptions{EachAuthor: true})
	if len(value) > maxResults || strings.Count(value, "dmarc=permerror") != 20 {
		t.Errorf("%d octets, %d DMARC results", len(value), strings.Count(value, "dmarc="))
	}
}
