package policy

import (
	"errors"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/message"
)

// chainOf returns a chain that passed, from lines "SEALER RESULTS", oldest first.
func chainOf(sets string) arc.Result {
	c := &arc.Chain{}
	for line := range strings.Lines(sets) {
		sealer, results, _ := strings.Cut(strings.TrimSpace(line), " ")
		c.Sets = append(c.Sets, arc.Set{
			Instance: len(c.Sets) + 1,
			Results:  results,
			Seal:     &arc.Seal{Signature: &dkim.Signature{Domain: sealer}},
		})
	}
	return arc.Result{Status: arc.Pass, Chain: c}
}

// failed returns a message from an author that failed DMARC.
func failed(author string, adkim, aspf dmarc.Alignment) *verify.Result {
	return &verify.Result{
		Author: message.Author{Domains: []string{author}},
		DMARC: dmarc.Result{
			Status: dmarc.Fail, Author: author, Disposition: dmarc.DispositionReject,
			Policy: &dmarc.Policy{
				AuthorDomain: author, OrgDomain: "example.com", Published: dmarc.DispositionReject, Percent: 100,
				Record: &dmarc.Record{ADKIM: adkim, ASPF: aspf},
			},
		},
	}
}

func TestTrustedForwarder(t *testing.T) {
	const pass = "mx; dmarc=pass header.from=news.example.com"
	for _, test := range []struct {
		name   string
		sets   string
		detail string // of the override; "" if there is none
	}{
		{"no chain", "", ""},
		{"one, trusted", "one.example " + pass, "one.example saw dmarc=pass (i=1)"},
		{"one, not trusted", "other.example " + pass, ""},
		{"a subdomain of one is another", "mx.one.example " + pass, ""},
		{"all trusted, the oldest counts", "one.example " + pass + "\ntwo.example " + pass, "one.example saw dmarc=pass (i=1)"},
		{"the oldest saw a failure", "one.example mx; dmarc=fail header.from=news.example.com\ntwo.example " + pass, "two.example saw dmarc=pass (i=2)"},
		{"a stranger first", "other.example " + pass + "\ntwo.example mx; dmarc=fail header.from=news.example.com; arc=pass", ""},
		{"a stranger first, that hides nothing", "other.example " + pass + "\ntwo.example " + pass, "two.example saw dmarc=pass (i=2)"},
		{"a stranger between", "one.example " + pass + "\nother.example " + pass + "\ntwo.example mx; none", ""},
		{"a stranger last", "one.example " + pass + "\nother.example " + pass, ""},

		{"another author", "one.example mx; dmarc=pass header.from=example.com", ""},
		{"no author", "one.example mx; dmarc=pass", ""},
		{"several results of DMARC", "one.example mx; dmarc=fail header.from=a.example; dmarc=pass header.from=news.example.com", "one.example saw dmarc=pass (i=1)"},
		{"results of DMARC that contradict each other", "one.example mx; dmarc=pass header.from=news.example.com; spf=pass; dmarc=fail header.from=news.example.com", ""},
		{"a sender who ends a comment", "one.example mx; dmarc=fail (for a); dmarc=pass header.from=news.example.com; x=y (b@evil.example) header.from=news.example.com; dmarc=fail header.from=news.example.com", ""},
		{"two authors in one result", "one.example mx; dmarc=pass header.from=news.example.com header.from=evil.example", ""},
		{"SPF of two senders", "one.example mx; spf=pass (for a) smtp.mailfrom=joe@news.example.com (b@evil.example) smtp.mailfrom=b@evil.example", ""},
		{"DKIM of two signers in one result", "one.example mx; dkim=pass header.d=news.example.com header.d=evil.example", ""},
		{"DKIM of two signers", "one.example mx; dkim=pass header.d=evil.example; dkim=pass header.d=news.example.com", "one.example saw dkim=pass header.d=news.example.com (i=1)"},
		{"other spellings", "one.example mx 1; DMARC=Pass (p=none) Header.From=News.Example.COM", "one.example saw dmarc=pass (i=1)"},
		{"DMARC settles it", "one.example mx; dmarc=fail header.from=news.example.com; dkim=pass header.d=news.example.com", ""},
		{"DKIM", "one.example mx; dkim=pass header.d=news.example.com", "one.example saw dkim=pass header.d=news.example.com (i=1)"},
		{"DKIM of the organizational domain", "one.example mx; dkim=pass header.d=example.com", "one.example saw dkim=pass header.d=example.com (i=1)"},
		{"DKIM of another", "one.example mx; dkim=pass header.d=example.net", ""},
		{"DKIM that failed", "one.example mx; dkim=fail header.d=news.example.com", ""},
		{"DKIM without a domain", "one.example mx; dkim=pass header.s=s", ""},
		{"SPF", "one.example mx; spf=pass smtp.mailfrom=joe@news.example.com", "one.example saw spf=pass smtp.mailfrom=news.example.com (i=1)"},
		{"SPF, domain only", "one.example mx; spf=pass smtp.mailfrom=news.example.com", "one.example saw spf=pass smtp.mailfrom=news.example.com (i=1)"},
		{"SPF of the organizational domain, in strict alignment", "one.example mx; spf=pass smtp.mailfrom=example.com", ""},
		{"SPF of HELO", "one.example mx; spf=pass smtp.helo=news.example.com", ""},
		{"unreadable", "one.example mx; dmarc=pass header.from=news.example.com (", ""},
	} {
		res := failed("news.example.com", dmarc.Relaxed, dmarc.Strict)
		res.ARC = chainOf(test.sets)
		if test.sets == "" {
			res.ARC = arc.Result{Status: arc.None}
		}
		d := (&Rules{TrustedSealers: []string{"one.example", "two.example"}}).Decide(&Message{Envelope: envelope, Result: res})
		want := Decision{Disposition: None, Intended: Reject, Requested: Reject, Reason: ReasonDMARC}
		if test.detail != "" {
			want.Override, want.Intended = OverrideReason{TrustedForwarder, test.detail}, None
		}
		if d != want {
			t.Errorf("%s: %+v, want %+v", test.name, d, want)
		}
		// By default nobody is trusted, and a chain that failed never is.
		if d := (&Rules{}).Decide(&Message{Envelope: envelope, Result: res}); d.Override != (OverrideReason{}) {
			t.Errorf("%s, nobody trusted: %+v", test.name, d)
		}
		res.ARC.Status = arc.Fail
		if d := (&Rules{TrustedSealers: []string{"one.example", "two.example"}}).Decide(&Message{Envelope: envelope, Result: res}); d.Override != (OverrideReason{}) {
			t.Errorf("%s, failed: %+v", test.name, d)
		}
	}
}

// TestTrustNeedsFailure checks that trust overrides nothing except a failure of a
// single author domain.
func TestTrustNeedsFailure(t *testing.T) {
	rules := &Rules{TrustedSealers: []string{"one.example"}}
	for _, status := range dmarc.Statuses() {
		res := failed("example.com", dmarc.Relaxed, dmarc.Relaxed)
		res.ARC = chainOf("one.example mx; dmarc=pass header.from=example.com")
		res.DMARC.Status = status
		if d := rules.Decide(&Message{Envelope: envelope, Result: res}); (d.Override.Type == TrustedForwarder) != (status == dmarc.Fail) {
			t.Errorf("dmarc=%s: %+v", status, d)
		}
		res.Author.Domains = append(res.Author.Domains, "other.example")
		if d := rules.Decide(&Message{Envelope: envelope, Result: res}); d.Override != (OverrideReason{}) {
			t.Errorf("dmarc=%s, two authors: %+v", status, d)
		}
	}
}

func TestARC(t *testing.T) {
	for _, test := range []struct {
		result     arc.Result
		want, seal string
	}{
		{arc.Result{Status: arc.None}, "arc=none", "arc=none smtp.remote-ip=192.0.2.1"},
		{arc.Result{Status: arc.Pass}, "arc=pass header.oldest-pass=0 smtp.remote-ip=192.0.2.1", ""},
		{arc.Result{Status: arc.Pass, OldestPass: 3}, "arc=pass header.oldest-pass=3 smtp.remote-ip=192.0.2.1", ""},
		{arc.Result{Status: arc.Fail, OldestPass: arc.Absent, Err: errors.New("no ARC-Seal i=2")}, `arc=fail reason="no ARC-Seal i=2" smtp.remote-ip=192.0.2.1`, ""},
	} {
		r := failed("example.com", dmarc.Relaxed, dmarc.Relaxed)
		r.ARC = test.result
		methods := AuthenticationResults(envelope, r, Decision{}, ResultsOptions{})
		if got := format(methods[len(methods)-1]); got != "mx; "+test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
		if test.seal == "" {
			test.seal = test.want
		}
		methods = ARCResults("mx", envelope, r, Decision{}, ResultsOptions{}, nil)
		if got := format(methods[len(methods)-1]); got != "mx; "+test.seal {
			t.Errorf("sealed: %s, want %s", got, test.seal)
		}
	}
	overridden := Decision{Override: OverrideReason{TrustedForwarder, "one.example saw dmarc=pass (i=1)"}}
	const want = "mx; dmarc=fail (p=reject, trusted_forwarder: one.example saw dmarc=pass [i=1]) header.from=example.com policy.dmarc=reject"
	r := failed("example.com", dmarc.Relaxed, dmarc.Relaxed)
	r.DMARC.Policy.Tag = "p"
	if got := format(dmarcMethod(r, overridden)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
