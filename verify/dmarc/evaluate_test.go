package dmarc_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// identifiers parses words such as "dkim:example.com" for an identifier that
// passed, "spf~example.com" for a temporary error, and "dkim!example.com" for one
// that failed.
func identifiers(t testing.TB, text string) []dmarc.Identifier {
	t.Helper()
	var ids []dmarc.Identifier
	for _, word := range strings.Fields(text) {
		i := strings.IndexAny(word, ":~!")
		if i < 0 {
			t.Fatalf("identifier %q", word)
		}
		ids = append(ids, dmarc.Identifier{
			Method: word[:i], Domain: word[i+1:], Pass: word[i] == ':', TempError: word[i] == '~',
		})
	}
	return ids
}

func evaluate(t testing.TB, r dns.Resolver, mode dmarc.Mode, authors, ids string) dmarc.Result {
	t.Helper()
	list := identifiers(t, ids)
	e := dmarc.Lookup(t.Context(), r, dmarc.Query{Authors: strings.Fields(authors), Candidates: list, Mode: mode})
	return e.Evaluate(list)
}

// verdict returns a short form of a result, such as "pass dkim:example.com",
// "fail not_aligned reject" or "temperror policy_lookup".
func verdict(r dmarc.Result) string {
	words := []string{string(r.Status)}
	if r.Reason != "" {
		words = append(words, string(r.Reason))
	}
	if r.Status == dmarc.Fail {
		words = append(words, string(r.Disposition))
	}
	for _, id := range r.Aligned {
		words = append(words, id.Method+":"+id.Domain)
	}
	return strings.Join(words, " ")
}

// checkResult checks what must be true of every result.
func checkResult(t testing.TB, r dmarc.Result) {
	t.Helper()
	pass := r.Status == dmarc.Pass
	if pass != (r.Reason == "") || pass != (r.Err == nil) || pass != (len(r.Aligned) > 0) {
		t.Errorf("%s with reason %q, error %v, %d aligned", r.Status, r.Reason, r.Err, len(r.Aligned))
	}
	if r.Disposition == "" || r.Status != dmarc.Fail && r.Disposition != none {
		t.Errorf("%s with disposition %q", r.Status, r.Disposition)
	}
	if (r.Author == "") != (r.Policy == nil) || r.Policy != nil && r.Policy.AuthorDomain != r.Author {
		t.Errorf("author %q with policy %+v", r.Author, r.Policy)
	}
	if r.Pending == "" || r.Status != dmarc.TempError && r.Pending != none {
		t.Errorf("%s with pending %q", r.Status, r.Pending)
	}
	if (pass || r.Status == dmarc.Fail) && !r.Policy.Applies() {
		t.Errorf("%s without a policy", r.Status)
	}
}

func TestEvaluate(t *testing.T) {
	// RFC 9989 appendix B.4.3. The public suffix list has no "bank.example".
	bank := []string{"bank.example p=none; psd=y", "giant.bank.example p=reject"}
	tests := []struct {
		name   string
		zone   []string
		author string
		ids    string
		want   string
		// psl is the result in the mode PSL, if it differs.
		psl string
	}{
		// Table 1 of RFC 9989 section 4.4 and appendices B.1.1 and B.1.2.
		{"relaxed", []string{"example.com p=none"}, "news.example.com", "dkim:foo.example.com", "pass dkim:foo.example.com", ""},
		{"identical", []string{"example.com p=none"}, "news.example.com", "dkim:news.example.com", "pass dkim:news.example.com", ""},
		{"another domain", []string{"example.com p=none"}, "news.example.com", "dkim:foo.example.net", "fail not_aligned none", ""},
		{"B.1.1 example 1", []string{"example.com p=reject"}, "example.com", "spf:example.com", "pass spf:example.com", ""},
		{"B.1.1 example 2", []string{"example.com p=reject"}, "example.com", "spf:child.example.com", "pass spf:child.example.com", ""},
		{"B.1.1 example 3", []string{"example.com p=reject"}, "child.example.com", "spf:example.net", "fail not_aligned reject", ""},
		{"B.1.2 example 2", []string{"example.com p=reject"}, "child.example.com", "dkim:example.com", "pass dkim:example.com", ""},

		// Appendix B.4.
		{"B.4.1", []string{"example.com p=reject", "signing.example.com p=none"}, "example.com", "spf:example.com dkim:signing.example.com",
			"pass spf:example.com dkim:signing.example.com", ""},
		{"B.4.2", []string{"example.com p=reject", "signing.example.com p=none"}, "a.b.c.d.e.f.g.h.i.j.k.example.com", "spf:example.com dkim:signing.example.com",
			"pass spf:example.com dkim:signing.example.com", ""},
		{"B.4.2, nothing passes", []string{"example.com p=reject", "signing.example.com p=none"}, "a.b.c.d.e.f.g.h.i.j.k.example.com", "spf!example.com dkim!signing.example.com",
			"fail not_authenticated reject", ""},
		{"B.4.3", bank, "giant.bank.example", "spf:mail.giant.bank.example dkim:mail.mega.bank.example",
			"pass spf:mail.giant.bank.example", "pass spf:mail.giant.bank.example dkim:mail.mega.bank.example"},
		{"B.4.3, only DKIM", bank, "giant.bank.example", "dkim:mail.mega.bank.example", "fail not_aligned reject", "pass dkim:mail.mega.bank.example"},
		{"B.4.3, the suffix itself", bank, "giant.bank.example", "dkim:bank.example", "fail not_aligned reject", "pass dkim:bank.example"},

		// adkim and aspf.
		{"adkim=s, the domain", []string{"example.com p=reject; adkim=s"}, "example.com", "dkim:example.com", "pass dkim:example.com", ""},
		{"adkim=s, a subdomain", []string{"example.com p=reject; adkim=s"}, "example.com", "dkim:a.example.com", "fail not_aligned reject", ""},
		{"adkim=s, the parent", []string{"example.com p=reject; adkim=s"}, "a.example.com", "dkim:example.com", "fail not_aligned reject", ""},
		{"adkim=s, a sibling", []string{"example.com p=reject; adkim=s"}, "a.example.com", "dkim:b.example.com", "fail not_aligned reject", ""},
		{"adkim=s is not for SPF", []string{"example.com p=reject; adkim=s"}, "example.com", "spf:a.example.com", "pass spf:a.example.com", ""},
		{"aspf=s, the domain", []string{"example.com p=reject; aspf=s"}, "a.example.com", "spf:a.example.com", "pass spf:a.example.com", ""},
		{"aspf=s, a subdomain", []string{"example.com p=reject; aspf=s"}, "example.com", "spf:a.example.com", "fail not_aligned reject", ""},
		{"aspf=s, the parent", []string{"example.com p=reject; aspf=s"}, "a.example.com", "spf:example.com", "fail not_aligned reject", ""},
		{"aspf=s is not for DKIM", []string{"example.com p=reject; aspf=s"}, "example.com", "dkim:a.example.com", "pass dkim:a.example.com", ""},
		{"strict by the parent's record", []string{"example.com p=reject; adkim=s; aspf=s"}, "a.example.com", "dkim:a.example.com spf:example.com",
			"pass dkim:a.example.com", ""},
		{"the author's record counts for alignment", []string{"example.com p=reject; adkim=s; aspf=s", "a.example.com p=none"}, "a.example.com", "dkim:example.com",
			"pass dkim:example.com", ""},

		// Records between the identifier and the Organizational Domain.
		{"identifier below psd=n", []string{"example.com p=reject", "b.example.com p=none; psd=n"}, "example.com", "dkim:a.b.example.com", "fail not_aligned reject", "pass dkim:a.b.example.com"},
		{"identifier is psd=n", []string{"example.com p=reject", "b.example.com p=none; psd=n"}, "example.com", "dkim:b.example.com", "fail not_aligned reject", "pass dkim:b.example.com"},
		{"author below psd=n", []string{"example.com p=reject", "b.example.com p=quarantine; psd=n"}, "a.b.example.com", "dkim:example.com", "fail not_aligned quarantine", "pass dkim:example.com"},
		{"both below psd=n", []string{"example.com p=reject", "b.example.com p=none; psd=n"}, "a.b.example.com", "dkim:c.b.example.com", "pass dkim:c.b.example.com", ""},
		{"identifier below psd=y", []string{"example.com p=reject", "b.example.com p=none; psd=y"}, "example.com", "dkim:a.b.example.com", "fail not_aligned reject", "pass dkim:a.b.example.com"},
		{"identifier is psd=y, and its own organization", []string{"example.com p=reject", "b.example.com p=none; psd=y"}, "example.com", "dkim:b.example.com", "fail not_aligned reject", "pass dkim:b.example.com"},
		{"identifier with a plain record", []string{"example.com p=reject", "b.example.com p=none"}, "example.com", "dkim:a.b.example.com", "pass dkim:a.b.example.com", ""},
		{"author without any record above its own", []string{"a.example.com p=reject"}, "a.example.com", "dkim:example.com", "fail not_aligned reject", "pass dkim:example.com"},
		{"a sibling of such an author", []string{"a.example.com p=reject"}, "a.example.com", "dkim:b.example.com", "fail not_aligned reject", "pass dkim:b.example.com"},
		{"a child of such an author", []string{"a.example.com p=reject"}, "a.example.com", "dkim:x.a.example.com", "pass dkim:x.a.example.com", ""},
		{"an identifier whose walk skips the author", []string{"a.b.c.d.e.f.g.example.com p=reject"}, "a.b.c.d.e.f.g.example.com", "dkim:x.a.b.c.d.e.f.g.example.com",
			"fail not_aligned reject", "pass dkim:x.a.b.c.d.e.f.g.example.com"},
		{"a record of the top-level domain without psd", []string{"example p=reject"}, "a.example", "dkim:b.example", "pass dkim:b.example", "none no_policy"},
		{"public suffix publishes, siblings do not align", []string{"example p=reject; psd=y"}, "a.example", "dkim:b.example", "fail not_aligned reject", "none no_policy"},
		{"several records at the identifier count as none", []string{"example.com p=reject", "b.example.com psd=n", "b.example.com psd=n"}, "example.com", "dkim:b.example.com", "pass dkim:b.example.com", ""},

		// Names that only look similar.
		{"suffix without a dot", []string{"example.com p=reject"}, "example.com", "dkim:badexample.com", "fail not_aligned reject", ""},
		{"prefix", []string{"example.com p=reject"}, "example.com", "dkim:example.com.evil.com", "fail not_aligned reject", ""},
		{"top-level domain", []string{"example.com p=reject"}, "example.com", "dkim:com", "fail not_aligned reject", ""},
		{"CVE-2020-12272", []string{"example.com p=reject"}, "example.com", "dkim:example.net(.example.com", "fail not_aligned reject", ""},
		{"NUL", []string{"example.com p=reject"}, "example.com", "dkim:example.com\x00.evil.com", "fail not_aligned reject", ""},
		{"empty label", []string{"example.com p=reject"}, "example.com", "dkim:.example.com", "fail not_aligned reject", ""},
		{"empty", []string{"example.com p=reject"}, "example.com", "dkim:", "fail not_aligned reject", ""},
		{"another method", []string{"example.com p=reject"}, "example.com", "arc:example.com", "fail not_aligned reject", ""},
		{"letter case and a final dot", []string{"example.com p=reject"}, "Example.COM.", "dkim:EXAMPLE.com. spf:A.example.Com", "pass dkim:EXAMPLE.com. spf:A.example.Com", ""},
		{"U-labels", []string{"xn--bcher-kva.example p=reject"}, "b\u00fccher.example", "dkim:xn--bcher-kva.example spf:a.B\u00dcCHER.example",
			"pass dkim:xn--bcher-kva.example spf:a.B\u00dcCHER.example", ""},

		// Policies, and the tag t.
		{"no identifier", []string{"example.com p=reject"}, "example.com", "", "fail not_authenticated reject", ""},
		{"p=quarantine", []string{"example.com p=quarantine"}, "example.com", "", "fail not_authenticated quarantine", ""},
		{"t=y p=reject", []string{"example.com p=reject; t=y"}, "example.com", "", "fail not_authenticated quarantine", ""},
		{"t=y p=quarantine", []string{"example.com p=quarantine; t=y"}, "example.com", "", "fail not_authenticated none", ""},
		{"t=y p=none", []string{"example.com p=none; t=y"}, "example.com", "", "fail not_authenticated none", ""},
		{"t=y sp=reject", []string{"example.com p=none; sp=reject; t=y"}, "a.example.com", "", "fail not_authenticated quarantine", ""},
		{"t=y np=reject", []string{"example.com p=none; np=reject; t=y"}, "a.example.com", "", "fail not_authenticated quarantine", ""},
		{"t=y changes no pass", []string{"example.com p=reject; t=y"}, "example.com", "spf:example.com", "pass spf:example.com", ""},
		{"sp=none", []string{"example.com p=reject; sp=none"}, "a.example.com", "", "fail not_authenticated none", ""},
		{"np=reject", []string{"example.com p=none; np=reject"}, "a.example.com", "", "fail not_authenticated reject", ""},
		{"np=none, exists", []string{"example.com p=reject; np=none", "a.example.com. TXT x"}, "a.example.com", "", "fail not_authenticated reject", ""},

		// No policy.
		{"no record", nil, "example.com", "dkim:example.com", "none no_policy", ""},
		{"no usable record", []string{"example.com adkim=s"}, "example.com", "dkim:example.com", "none unusable_policy", ""},
		{"several records", []string{"example.com p=none", "example.com p=none"}, "example.com", "dkim:example.com", "none several_policies", ""},

		// Temporary errors of identifiers.
		{"aligned, unfinished", []string{"example.com p=reject"}, "example.com", "dkim~example.com", "temperror identifier_temperror", ""},
		{"aligned by relaxed, unfinished", []string{"example.com p=reject"}, "example.com", "spf~a.example.com", "temperror identifier_temperror", ""},
		{"not aligned, unfinished", []string{"example.com p=reject"}, "example.com", "spf~example.net", "fail not_authenticated reject", ""},
		{"not aligned by strict, unfinished", []string{"example.com p=reject; aspf=s"}, "example.com", "spf~a.example.com", "fail not_authenticated reject", ""},
		{"another passes", []string{"example.com p=reject"}, "example.com", "dkim~example.com spf:example.com", "pass spf:example.com", ""},
		{"another passes first", []string{"example.com p=reject"}, "example.com", "spf:example.com dkim~example.com", "pass spf:example.com", ""},
		{"another passes unaligned", []string{"example.com p=reject"}, "example.com", "spf:example.net dkim~example.com", "temperror identifier_temperror", ""},
		{"unfinished, but p=none", []string{"example.com p=none"}, "example.com", "dkim~example.com", "temperror identifier_temperror", ""},

		// Temporary errors of look-ups.
		{"policy", []string{"$RCODE SERVFAIL _dmarc.example.com"}, "example.com", "dkim:example.com", "temperror policy_lookup", ""},
		{"policy, no answer", []string{"$TIMEOUT _dmarc.example.com"}, "example.com", "dkim:example.com", "temperror policy_lookup", ""},
		{"policy of the parent", []string{"$RCODE SERVFAIL _dmarc.example.com"}, "a.example.com", "dkim:a.example.com", "temperror policy_lookup", ""},
		{"above the policy, nothing depends", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.com"}, "example.com", "dkim:example.net", "fail not_aligned reject", ""},
		{"above the policy, equal", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.com"}, "example.com", "dkim:example.com", "pass dkim:example.com", ""},
		{"above the policy, failed", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.com"}, "example.com", "dkim!a.example.com", "fail not_authenticated reject", ""},
		{"above the policy, subdomain", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.com"}, "example.com", "dkim:a.example.com",
			"temperror alignment_lookup", "pass dkim:a.example.com"},
		{"above the policy, unfinished subdomain", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.com"}, "example.com", "dkim~a.example.com",
			"temperror alignment_lookup", "temperror identifier_temperror"},
		{"of the identifier", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.b.example.com"}, "example.com", "dkim:a.b.example.com",
			"temperror alignment_lookup", "pass dkim:a.b.example.com"},
		{"of the identifier, another passes", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.b.example.com"}, "example.com", "dkim:a.b.example.com spf:a.example.com",
			"pass spf:a.example.com", "pass dkim:a.b.example.com spf:a.example.com"},
		{"of an identifier that failed", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.b.example.com"}, "example.com", "dkim!a.b.example.com", "fail not_authenticated reject", ""},
		{"existence", []string{"example.com p=none; np=reject", "$RCODE SERVFAIL a.example.com"}, "a.example.com", "dkim:example.net", "temperror existence_lookup", ""},
		{"existence, passes", []string{"example.com p=none; np=reject", "$RCODE SERVFAIL a.example.com"}, "a.example.com", "dkim:example.com", "pass dkim:example.com", ""},
	}
	for _, tt := range tests {
		for _, mode := range []dmarc.Mode{dmarc.TreeWalk, dmarc.PSL} {
			want := tt.want
			if mode == dmarc.PSL && tt.psl != "" {
				want = tt.psl
			}
			r := evaluate(t, zoneOf(t, tt.zone...), mode, tt.author, tt.ids)
			if got := verdict(r); got != want {
				t.Errorf("%s, %v:\n got %s (%v)\nwant %s", tt.name, mode, got, r.Err, want)
			}
			checkResult(t, r)
		}
	}
}

// TestLookupAsksNoMore checks that, apart from policies, only what alignment
// depends on is looked up.
func TestLookupAsksNoMore(t *testing.T) {
	tests := []struct {
		name       string
		zone       []string
		authors    string
		candidates string
		want       string
	}{
		{"no candidates", []string{"example.com p=reject"}, "example.com", "", "example.com"},
		{"equal", []string{"example.com p=reject"}, "example.com", "dkim:example.com spf:EXAMPLE.com", "example.com"},
		{"another top-level domain", []string{"example.com p=reject"}, "example.com", "dkim:example.net spf:org", "example.com"},
		{"strict", []string{"example.com p=reject; adkim=s"}, "example.com", "dkim:a.example.com", "example.com"},
		{"not below", []string{"example.com p=reject"}, "example.com", "dkim:other.com", "example.com com"},
		{"below", []string{"example.com p=reject"}, "example.com", "dkim:a.b.example.com", "example.com com a.b.example.com b.example.com"},
		{"each once", []string{"example.com p=reject"}, "example.com", "dkim:a.example.com spf:a.example.com dkim:A.example.com dkim:b.example.com",
			"example.com com a.example.com b.example.com"},
		{"nothing invalid", []string{"example.com p=reject"}, "example.com", "dkim:a..example.com arc:a.example.com", "example.com"},
		{"no policy", nil, "example.com", "dkim:a.example.com", "example.com com"},
		{"unusable policy", []string{"example.com adkim=r"}, "example.com", "dkim:a.example.com", "example.com"},
		{"on after a failure", []string{"$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "dkim:example.com", "a.example.com example.com com"},
		{"no more after the failure of a candidate", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.a.b.c.example.com"}, "example.com", "dkim:a.b.c.example.com", "example.com com a.b.c.example.com"},
		{"above an author domain by psd=n", []string{"example.com p=reject; psd=n"}, "example.com", "dkim:a.com", "example.com"},
		{"several authors", []string{"example.com p=reject"}, "example.com a.example.com", "dkim:b.example.com", "example.com a.example.com com b.example.com"},
	}
	for _, tt := range tests {
		z := zoneOf(t, tt.zone...)
		ids := identifiers(t, tt.candidates)
		e := dmarc.Lookup(t.Context(), z, dmarc.Query{Authors: strings.Fields(tt.authors), Candidates: ids})
		e.Evaluate(ids)
		if got := strings.Join(asked(z), " "); got != tt.want {
			t.Errorf("%s: looked up\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// TestEvaluateUnknownIdentifier checks that an identifier that was not looked up
// does not count as unaligned.
func TestEvaluateUnknownIdentifier(t *testing.T) {
	z := zoneOf(t, "example.com p=reject")
	tests := []struct{ candidates, ids, want string }{
		{"", "dkim:a.example.com", "temperror alignment_lookup"},
		{"", "dkim:example.net", "fail not_aligned reject"},
		{"", "dkim:example.com", "pass dkim:example.com"},
		{"spf:b.example.com", "dkim:a.example.com", "temperror alignment_lookup"},
		{"spf:b.example.com", "dkim:other.com", "fail not_aligned reject"},
		{"spf:b.example.com", "dkim:b.example.com", "pass dkim:b.example.com"},
	}
	for _, tt := range tests {
		e := dmarc.Lookup(t.Context(), z, dmarc.Query{Authors: []string{"example.com"}, Candidates: identifiers(t, tt.candidates)})
		before := len(z.Queries())
		r := e.Evaluate(identifiers(t, tt.ids))
		if got := verdict(r); got != tt.want {
			t.Errorf("%q after %q: got %s, want %s", tt.ids, tt.candidates, got, tt.want)
		}
		checkResult(t, r)
		if len(z.Queries()) != before {
			t.Errorf("%q after %q: the evaluation made look-ups", tt.ids, tt.candidates)
		}
	}
}

// TestSeveralAuthors checks RFC 9989 section 11.5.
func TestSeveralAuthors(t *testing.T) {
	zone := []string{
		"reject.example p=reject", "quarantine.example p=quarantine", "none.example p=none", "test.example p=reject; t=y",
		"$RCODE SERVFAIL _dmarc.down.example", "evil.example p=none",
	}
	tests := []struct{ authors, ids, author, want string }{
		{"", "dkim:evil.example", "", "permerror no_author"},
		{"a..b", "dkim:evil.example", "", "permerror author_syntax"},
		{"evil.example reject.example", "dkim:evil.example", "reject.example", "fail not_aligned reject"},
		{"reject.example evil.example", "dkim:evil.example", "reject.example", "fail not_aligned reject"},
		{"evil.example quarantine.example", "dkim:evil.example", "quarantine.example", "fail not_aligned quarantine"},
		{"quarantine.example reject.example", "", "reject.example", "fail not_authenticated reject"},
		{"test.example quarantine.example", "", "test.example", "fail not_authenticated quarantine"},
		{"none.example test.example", "", "test.example", "fail not_authenticated quarantine"},
		{"evil.example none.example", "dkim:evil.example", "none.example", "fail not_aligned none"},
		{"evil.example unknown.example", "dkim:evil.example", "unknown.example", "none no_policy"},
		{"unknown.example none.example", "", "none.example", "fail not_authenticated none"},
		{"evil.example evil.example", "dkim:evil.example", "evil.example", "pass dkim:evil.example"},
		{"evil.example none.example", "dkim:evil.example spf:none.example", "evil.example", "pass dkim:evil.example"},
		// A domain whose DNS fails neither hides a known policy nor is hidden.
		{"down.example reject.example", "", "reject.example", "fail not_authenticated reject"},
		{"down.example quarantine.example", "", "quarantine.example", "fail not_authenticated quarantine"},
		{"evil.example down.example", "", "down.example", "temperror policy_lookup"},
		{"evil.example down.example", "dkim:evil.example", "down.example", "temperror policy_lookup"},
		{"unknown.example down.example", "", "down.example", "temperror policy_lookup"},
		{"down.example a..b", "", "", "permerror author_syntax"},
		{"reject.example a..b", "", "reject.example", "fail not_authenticated reject"},
		{"evil.example a..b", "dkim:evil.example", "", "permerror author_syntax"},
		// Too many domains do not hide a policy either.
		{"a.example b.example c.example d.example evil.example", "dkim:evil.example", "a.example", "none no_policy"},
		{"a.example b.example c.example d.example evil.example reject.example", "dkim:evil.example", "reject.example", "fail not_aligned reject"},
		{"a.example b.example c.example d.example evil.example unknown.example", "dkim:evil.example", "", "permerror too_many_authors"},
		{deep(9) + " reject.example", "", "reject.example", "fail not_authenticated reject"},
		{names(19) + " reject.example", "", "reject.example", "fail not_authenticated reject"},
		{names(20) + " reject.example", "", "", "permerror too_many_authors"},
		{"a.example b.example c.example d.example reject.example evil.example", "dkim:evil.example", "reject.example", "fail not_aligned reject"},
		{"a.example b.example c.example d.example down.example evil.example", "dkim:evil.example", "", "permerror too_many_authors"},
	}
	for _, tt := range tests {
		r := evaluate(t, zoneOf(t, zone...), dmarc.TreeWalk, tt.authors, tt.ids)
		if got := verdict(r); got != tt.want || r.Author != tt.author {
			t.Errorf("%s with %s:\n got %s of %s\nwant %s of %s", tt.authors, tt.ids, got, r.Author, tt.want, tt.author)
		}
		checkResult(t, r)
	}
}

// names returns n names with two labels. deep returns n names with so many labels
// that they need the maximum number of look-ups.
func names(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("x%d.example", i))
	}
	return strings.Join(list, " ")
}

func deep(n int) string { return strings.ReplaceAll(names(n), "x", "a.b.c.d.e.f.g.x") }

// TestUnjudgedAuthor adds an author without a domain. The results of the other
// authors still count if they are stricter.
func TestUnjudgedAuthor(t *testing.T) {
	z := dnstest.MustParse(t, `
_dmarc.reject.example. TXT "v=DMARC1; p=reject"
_dmarc.watch.example. TXT "v=DMARC1; p=none"
`)
	z.Fail("_dmarc.lame.example", "TXT", "SERVFAIL")
	for _, test := range []struct{ authors, ids, want string }{
		{"", "", "permerror no_author"},
		{"nowhere.example", "", "permerror author_syntax"},
		{"reject.example", "spf:reject.example", "permerror author_syntax"},
		{"reject.example", "", "fail not_authenticated reject"},
		{"watch.example", "", "permerror author_syntax"},
		{"lame.example", "", "permerror author_syntax"},
		{"nowhere.example reject.example", "spf:nowhere.example", "fail not_aligned reject"},
	} {
		list := identifiers(t, test.ids)
		q := dmarc.Query{Authors: strings.Fields(test.authors), Unjudged: true, Candidates: list}
		res := dmarc.Lookup(t.Context(), z, q).Evaluate(list)
		if got := verdict(res); got != test.want || res.Err == nil {
			t.Errorf("%q, %q: %s (%v), want %s", test.authors, test.ids, got, res.Err, test.want)
		}
	}
}

func TestEvaluateEach(t *testing.T) {
	z := zoneOf(t, "b.example p=reject")
	e := dmarc.Lookup(t.Context(), z, dmarc.Query{Authors: strings.Fields("a.example a..b b.example c.example d.example e.example")})
	var got []string
	for _, r := range e.EvaluateEach(nil) {
		checkResult(t, r)
		got = append(got, r.Author+" "+string(r.Status))
		if (r.Policy == nil) != (r.Author == "") || r.Author == "b.example" && r.Policy.Published != reject {
			t.Errorf("%s: policy %+v", r.Author, r.Policy)
		}
	}
	want := []string{"a.example none", " permerror", "b.example fail", "c.example none", "d.example none", "e.example none", " permerror"}
	if strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLookupBound checks that one author's candidates cannot use up the look-ups
// that another author needs.
func TestLookupBound(t *testing.T) {
	z := zoneOf(t, "deep.example p=none", "news.victim.test p=reject")
	ids := identifiers(t, "spf:evil.test")
	for i := range 100 {
		ids = append(ids, dmarc.Identifier{Method: dmarc.MethodDKIM, Pass: true, Domain: fmt.Sprintf("a.%d.c.d.e.f.deep.example", i)})
	}
	e := dmarc.Lookup(t.Context(), z, dmarc.Query{Authors: []string{"deep.example", "news.victim.test"}, Candidates: ids})
	// The policies take two and three look-ups, and each has one more reserved. The
	// rest is divided among the authors, but only one has candidates.
	if n, want := len(z.Queries()), 2+3+(dmarc.MaxLookups-3-4)/2; n != want {
		t.Errorf("%d look-ups, want %d", n, want)
	}
	if got := verdict(e.Evaluate(ids)); got != "fail not_aligned reject" {
		t.Errorf("got %s", got)
	}
	// As long as it is unknown whether an identifier aligns, the message does not
	// fail.
	last := ids[100:]
	if r := e.EvaluateEach(last)[0]; verdict(r) != "temperror alignment_lookup" {
		t.Errorf("limit exceeded: %s", verdict(r))
	}
}

// TestLookupBoundAuthors checks that there are always enough look-ups for five
// author domains.
func TestLookupBoundAuthors(t *testing.T) {
	var lines, authors []string
	for _, tld := range []string{"one", "two", "three", "four", "five"} {
		lines = append(lines, tld+" p=none; np=reject")
		authors = append(authors, "a.b.c.d.e.f.g.h.i."+tld)
	}
	z := zoneOf(t, lines...)
	e := dmarc.Lookup(t.Context(), z, dmarc.Query{Authors: authors, Candidates: identifiers(t, "dkim:x.one spf:x.two dkim:x.five")})
	for _, r := range e.EvaluateEach(identifiers(t, "dkim:y.evil")) {
		if got := verdict(r); got != "fail not_aligned reject" {
			t.Errorf("%s: %s (%v)", r.Author, got, r.Err)
		}
	}
	if n := len(z.Queries()); n > dmarc.MaxLookups {
		t.Errorf("%d look-ups", n)
	}
}

// brokenResolver returns errors of an unknown type, which must count as temporary.
type brokenResolver struct{ dns.Resolver }

var errBroken = errors.New("broken")

func (brokenResolver) TXT(context.Context, string) (dns.Answer[string], error) {
	return dns.Answer[string]{Values: []string{"v=DMARC1; p=reject"}}, errBroken
}

func (brokenResolver) A(context.Context, string) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{}, errBroken
}

func TestUnknownErrorIsTemporary(t *testing.T) {
	r := evaluate(t, brokenResolver{}, dmarc.TreeWalk, "example.com", "dkim:example.com")
	if verdict(r) != "temperror policy_lookup" || !errors.Is(r.Err, errBroken) {
		t.Errorf("got %s, %v", verdict(r), r.Err)
	}
	if len(r.Policy.Walk) != 2 || r.Policy.Walk[0].Values != nil {
		t.Errorf("walk %+v", r.Policy.Walk)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	z := zoneOf(t, "example.com p=reject")
	e := dmarc.Lookup(ctx, z, dmarc.Query{Authors: []string{"example.com"}})
	if got := verdict(e.Evaluate(nil)); got != "temperror policy_lookup" {
		t.Errorf("got %s", got)
	}
}

// TestRealDNS uses a real DNS server: truncation, aliases, failures, and an answer
// of 16 KB.
func TestRealDNS(t *testing.T) {
	z := zoneOf(t,
		"example.com p=reject; sp=quarantine; np=reject", "$TRUNCATE _dmarc.example.com",
		"_dmarc.alias.example. CNAME _dmarc.example.com.",
		"$RCODE SERVFAIL _dmarc.broken.example",
		"sub.example.com. A 192.0.2.1",
	)
	z.AddTXT("_dmarc.large.example", "v=DMARC1; p=reject; rua=mailto:a@large.example; n="+strings.Repeat("x", 16<<10))
	z.AddTXT("_dmarc.split.example", "v=DMARC1; p=quarantine; n="+strings.Repeat("x", 233)+"; p=none; rua=mailto:a@split.example")
	client := dns.New(dns.Config{Servers: []string{dnstest.Serve(t, z)}})
	tests := []struct{ author, ids, want string }{
		{"example.com", "dkim:a.example.com", "pass dkim:a.example.com"},
		{"sub.example.com", "", "fail not_authenticated quarantine"},
		{"gone.example.com", "", "fail not_authenticated reject"},
		{"alias.example", "spf:alias.example", "pass spf:alias.example"},
		{"broken.example", "spf:broken.example", "temperror policy_lookup"},
		{"large.example", "spf:example.com", "fail not_aligned reject"},
		{"split.example", "spf:example.com", "fail not_aligned quarantine"},
		{"nothing.example", "spf:example.com", "none no_policy"},
	}
	for _, tt := range tests {
		r := evaluate(t, client, dmarc.TreeWalk, tt.author, tt.ids)
		if got := verdict(r); got != tt.want {
			t.Errorf("%s: got %s (%v), want %s", tt.author, got, r.Err, tt.want)
		}
		checkResult(t, r)
	}
}

// TestPending checks the pending disposition of temporary errors. A sender can
// choose a name whose DNS does not answer, but not what else is known.
func TestPending(t *testing.T) {
	for _, tt := range []struct {
		name   string
		zone   []string
		author string
		ids    string
		want   dmarc.Disposition
		// psl is the result in the mode PSL, if it differs.
		psl dmarc.Disposition
	}{
		{"nothing is known", []string{"$RCODE SERVFAIL _dmarc.example.com"}, "example.com", "", none, ""},
		{"lame subdomain", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "", reject, ""},
		{"silent subdomain", []string{"example.com p=reject", "$TIMEOUT _dmarc.a.example.com"}, "a.example.com", "", reject, ""},
		{"several lame names", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.a.b.example.com", "$TIMEOUT _dmarc.b.example.com"}, "a.b.example.com", "", reject, ""},
		{"lame top-level domain", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.com"}, "a.example.com", "", reject, ""},
		{"the parent asks for nothing", []string{"example.com p=none", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "", none, ""},
		{"sp of the parent", []string{"example.com p=reject; sp=quarantine", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "", quarantine, ""},
		{"np of the parent", []string{"example.com p=none; sp=quarantine; np=reject", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "", reject, ""},
		{"np milder than sp", []string{"example.com p=reject; np=none", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "", reject, ""},
		{"the parent tests", []string{"example.com p=reject; t=y", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "", quarantine, ""},
		{"the parent is unusable", []string{"example.com adkim=s", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "", none, ""},
		{"between the name and the policy", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.b.example.com"}, "a.b.example.com", "", reject, ""},
		{"whether the name exists", []string{"example.com p=none; np=reject", "$RCODE SERVFAIL a.example.com A"}, "a.example.com", "", reject, ""},
		{"an identifier", []string{"example.com p=reject"}, "example.com", "dkim~example.com", reject, ""},
		{"an identifier, in test mode", []string{"example.com p=quarantine; t=y"}, "example.com", "dkim~example.com", none, ""},
		{"an identifier, and whether the name exists", []string{"example.com p=none; np=quarantine", "$RCODE SERVFAIL a.example.com A"}, "a.example.com", "dkim~example.com", quarantine, ""},
		{"lame, and the author has signed", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "dkim:a.example.com", none, ""},
		{"lame, and the parent has signed", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "dkim:example.com", reject, ""},
		{"lame, and the author may have signed", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "dkim~a.example.com", reject, ""},
		{"lame, and another method passes", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.a.example.com"}, "a.example.com", "arc:a.example.com", reject, ""},
		{"alignment", []string{"example.com p=reject", "$RCODE SERVFAIL _dmarc.b.example.com"}, "example.com", "dkim:a.b.example.com", reject, none},
	} {
		for _, mode := range []dmarc.Mode{dmarc.TreeWalk, dmarc.PSL} {
			want := tt.want
			if mode == dmarc.PSL && tt.psl != "" {
				want = tt.psl
			}
			r := evaluate(t, zoneOf(t, tt.zone...), mode, tt.author, tt.ids)
			if mode == dmarc.PSL && r.Status == dmarc.Fail {
				continue // domains above or in between are not looked up
			}
			if r.Pending != want {
				t.Errorf("%s, %v: %s pending %s (%v), want %s", tt.name, mode, verdict(r), r.Pending, r.Err, want)
			}
			checkResult(t, r)
		}
	}
}

// TestStrictestPending checks that of several temporary errors the one with the
// strictest pending disposition counts.
func TestStrictestPending(t *testing.T) {
	zone := []string{"example.com p=reject", "$TIMEOUT _dmarc.a.example.com", "$TIMEOUT _dmarc.slow.example"}
	for _, authors := range []string{"slow.example a.example.com", "a.example.com slow.example"} {
		r := evaluate(t, zoneOf(t, zone...), dmarc.TreeWalk, authors, "")
		if r.Author != "a.example.com" || r.Pending != reject {
			t.Errorf("%s: %s of %s, pending %s", authors, verdict(r), r.Author, r.Pending)
		}
	}
}

// TestSettled checks when there is no need to wait for look-ups.
func TestSettled(t *testing.T) {
	for _, tt := range []struct {
		name, ids string
		policies  []int // the author domains whose policy was looked up
		alignment []int
		want      bool
	}{
		{"nothing is known", "", nil, nil, false},
		{"one policy asks for nothing", "", []int{1}, nil, false},
		{"one policy rejects", "", []int{0}, nil, true},
		{"one policy rejects, and a stranger passes", "dkim:example.net", []int{0}, nil, true},
		{"it may align", "dkim:x.example.com", []int{0}, nil, false},
		{"it may align, later", "dkim~x.example.com", []int{0}, nil, false},
		{"what failed cannot", "dkim!x.example.com", []int{0}, nil, true},
		{"it aligns", "dkim:x.example.com", []int{0}, []int{0}, false},
		{"it does not align", "dkim:x.example.com", []int{0}, []int{0}, false},
		{"all policies are known", "dkim:example.com", []int{0, 1}, nil, true},
		{"all is known", "dkim:x.example.com", []int{0, 1}, []int{0, 1}, true},
	} {
		z := zoneOf(t, "example.com p=reject", "other.example p=none")
		q := dmarc.Query{Authors: []string{"example.com", "other.example"}, Candidates: identifiers(t, tt.ids)}
		e := dmarc.Prepare(q)
		for _, i := range tt.policies {
			e.Add(e.LookupPolicy(t.Context(), z, i))
		}
		for _, i := range tt.alignment {
			e.Add(e.LookupAlignment(t.Context(), e.LookupPolicy(t.Context(), z, i)))
		}
		if got := e.Settled(q.Candidates); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		before := verdict(e.Evaluate(q.Candidates))
		for i := range q.Authors {
			e.Add(e.LookupAlignment(t.Context(), e.LookupPolicy(t.Context(), z, i)))
		}
		if after := verdict(e.Evaluate(q.Candidates)); tt.want && before != after {
			t.Errorf("%s: settled on %s, then %s", tt.name, before, after)
		}
	}
}

// TestSettledByLess checks that only a rejection of all mail settles the result:
// otherwise another author's policy may be stricter.
func TestSettledByLess(t *testing.T) {
	for _, test := range []struct {
		record    string
		mode      dmarc.Mode
		isSettled bool
	}{
		{"p=reject", dmarc.TreeWalk, true},
		{"p=reject; t=y", dmarc.TreeWalk, false},
		{"p=quarantine", dmarc.TreeWalk, false},
		{"p=none", dmarc.TreeWalk, false},
		{"p=reject; pct=0", dmarc.TreeWalk, true}, // pct is ignored
		{"p=reject", dmarc.PSL, true},
		{"p=reject; pct=100", dmarc.PSL, true},
		{"p=reject; pct=99", dmarc.PSL, false},
		{"p=reject; pct=0", dmarc.PSL, false},
		{"p=quarantine", dmarc.PSL, false},
	} {
		z := zoneOf(t, "example.com "+test.record, "other.example p=reject")
		e := dmarc.Prepare(dmarc.Query{Authors: []string{"example.com", "other.example"}, Mode: test.mode})
		e.Add(e.LookupPolicy(t.Context(), z, 0))
		if got := e.Settled(nil); got != test.isSettled {
			t.Errorf("%s, %s: settled %v", test.mode, test.record, got)
		}
	}
}

// TestSettledEach checks that a rejection settles nothing if each result matters.
func TestSettledEach(t *testing.T) {
	z := zoneOf(t, "example.com p=reject", "other.example p=none")
	e := dmarc.Prepare(dmarc.Query{Authors: []string{"example.com", "other.example"}, Each: true})
	for i, want := range []bool{false, true} {
		e.Add(e.LookupPolicy(t.Context(), z, i))
		if got := e.Settled(nil); got != want {
			t.Errorf("after %d policies: settled %v", i+1, got)
		}
	}
}

// TestRecords checks which names can be looked up in advance.
func TestRecords(t *testing.T) {
	for mode, want := range map[dmarc.Mode][]string{
		dmarc.TreeWalk: {"a.b.example.com b.example.com example.com com", "d.example.net example.net net", ""},
		dmarc.PSL:      {"a.b.example.com example.com", "d.example.net example.net", ""},
	} {
		e := dmarc.Prepare(dmarc.Query{Authors: []string{"a.b.example.com", "d.example.net", "no domain"}, Mode: mode})
		for i := range want {
			if got := strings.ReplaceAll(strings.Join(e.Records(i), " "), "_dmarc.", ""); got != want[i] {
				t.Errorf("%v: %q, want %q", mode, got, want[i])
			}
		}
		z := zoneOf(t)
		e.LookupPolicy(t.Context(), z, 0)
		if got := strings.Join(asked(z), " "); got != want[0] {
			t.Errorf("%v: looked up %q, want %q", mode, got, want[0])
		}
	}
}
