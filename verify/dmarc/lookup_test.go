package dmarc_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/domain"
)

// zoneOf returns a zone made from lines. A line such as "example.com p=reject" is
// a policy record. Lines that begin with "$" or have an upper-case type as their
// second word are directives and records in master-file form.
func zoneOf(t testing.TB, lines ...string) *dnstest.Zone {
	t.Helper()
	var master []string
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, " ")
		kind, _, _ := strings.Cut(rest, " ")
		if strings.HasPrefix(name, "$") || kind != "" && kind == strings.ToUpper(kind) {
			master = append(master, line)
			continue
		}
		master = append(master, "_dmarc."+name+`. TXT "v=DMARC1; `+rest+`"`)
	}
	return dnstest.MustParse(t, strings.Join(master, "\n")+"\n")
}

// asked returns the queries that a zone got in a short form: "example.com" for a
// policy record, "A example.com" for the existence of a domain.
func asked(z *dnstest.Zone) []string {
	var list []string
	for _, q := range z.Queries() {
		list = append(list, strings.TrimPrefix(q, "TXT _dmarc."))
	}
	return list
}

func TestDiscover(t *testing.T) {
	tests := []struct {
		name   string
		zone   []string
		author string
		// want is "record domain, organizational domain, tag=policy".
		want  string
		asked string
	}{
		{
			name: "own record", zone: []string{"example.com p=reject"}, author: "example.com",
			want: "example.com example.com p=reject", asked: "example.com com",
		},
		{
			name: "no record at all", author: "a.example.com",
			want: " a.example.com ", asked: "a.example.com example.com com",
		},
		{
			name: "single label", author: "localhost", want: " localhost ", asked: "localhost",
		},
		{
			name: "top-level domain as author", zone: []string{"com p=reject; sp=none; psd=y"}, author: "com",
			want: "com com p=reject", asked: "com",
		},
		{
			name: "any form of a name", zone: []string{"xn--bcher-kva.example p=reject"}, author: "B\u00dcCHER.Example.",
			want: "xn--bcher-kva.example xn--bcher-kva.example p=reject", asked: "xn--bcher-kva.example example",
		},

		// RFC 9989 section 4.7, tags p and sp, and section 4.10.1.
		{
			name: "p of the parent", zone: []string{"example.com p=reject"}, author: "a.example.com",
			want: "example.com example.com p=reject", asked: "a.example.com example.com com",
		},
		{
			name: "sp of the parent", zone: []string{"example.com p=reject; sp=quarantine"}, author: "a.example.com",
			want: "example.com example.com sp=quarantine", asked: "a.example.com example.com com",
		},
		{
			name: "sp is not for the domain", zone: []string{"example.com p=none; sp=reject; np=reject"}, author: "example.com",
			want: "example.com example.com p=none", asked: "example.com com",
		},
		{
			name: "sp of a subdomain is ignored", zone: []string{"example.com p=reject", "b.example.com p=none; sp=none"},
			author: "a.b.example.com",
			want:   "example.com example.com p=reject", asked: "a.b.example.com b.example.com example.com com",
		},
		{
			name: "own record below another", zone: []string{"example.com p=reject", "b.example.com p=none; sp=reject"},
			author: "b.example.com",
			want:   "b.example.com example.com p=none", asked: "b.example.com example.com com",
		},

		// RFC 9989 section 3.2.13 and appendix A.4.
		{
			name: "np for no domain", zone: []string{"example.com p=none; sp=quarantine; np=reject"}, author: "a.example.com",
			want: "example.com example.com np=reject", asked: "a.example.com example.com com A a.example.com",
		},
		{
			name: "np without sp", zone: []string{"example.com p=none; np=reject"}, author: "a.example.com",
			want: "example.com example.com np=reject", asked: "a.example.com example.com com A a.example.com",
		},
		{
			name: "np is not for a domain with any record",
			zone: []string{"example.com p=none; sp=quarantine; np=reject", "a.example.com. TXT x"}, author: "a.example.com",
			want: "example.com example.com sp=quarantine", asked: "a.example.com example.com com A a.example.com",
		},
		{
			name: "np is not for an empty non-terminal",
			zone: []string{"example.com p=none; sp=quarantine; np=reject", "x.a.example.com. A 192.0.2.1"}, author: "a.example.com",
			want: "example.com example.com sp=quarantine", asked: "a.example.com example.com com A a.example.com",
		},
		{
			name: "np is not for an alias without a target",
			zone: []string{"example.com p=none; sp=quarantine; np=reject", "a.example.com. CNAME gone.example."}, author: "a.example.com",
			want: "example.com example.com sp=quarantine", asked: "a.example.com example.com com A a.example.com",
		},
		{
			name: "np is not for a domain with a name below it",
			zone: []string{"example.com p=none; sp=quarantine; np=reject", "_dmarc.a.example.com. A 192.0.2.1"}, author: "a.example.com",
			want: "example.com example.com sp=quarantine", asked: "a.example.com example.com com",
		},
		{
			name: "np is not for a domain with an alias below it",
			zone: []string{"example.com p=none; sp=quarantine; np=reject", "_dmarc.a.example.com. CNAME gone.example."}, author: "a.example.com",
			want: "example.com example.com sp=quarantine", asked: "a.example.com example.com com",
		},
		{
			name: "np is not for a domain of a wildcard",
			zone: []string{"example.com p=none; sp=quarantine; np=reject", "*.example.com. MX 1 mx.example."}, author: "a.example.com",
			want: "example.com example.com sp=quarantine", asked: "a.example.com example.com com",
		},
		{
			name: "np that changes nothing", zone: []string{"example.com p=none; sp=reject; np=reject"}, author: "a.example.com",
			want: "example.com example.com sp=reject", asked: "a.example.com example.com com",
		},
		{
			name: "np of a public suffix", zone: []string{"bank.example p=none; sp=quarantine; np=reject; psd=y"}, author: "a.bank.example",
			want: "bank.example a.bank.example np=reject", asked: "a.bank.example bank.example A a.bank.example",
		},

		// RFC 9989 section 4.10 steps 2 and 6.
		{
			name: "several records at the author domain count as none",
			zone: []string{"example.com p=reject", "a.example.com p=none", "a.example.com p=quarantine"}, author: "a.example.com",
			want: "example.com example.com p=reject", asked: "a.example.com example.com com",
		},
		{
			name: "several records, nothing above", zone: []string{"example.com p=reject", "example.com p=none"}, author: "example.com",
			want: " example.com ", asked: "example.com com",
		},
		{
			name: "other TXT records do not count",
			zone: []string{"example.com p=reject", `_dmarc.example.com. TXT "v=spf1 -all"`, `_dmarc.example.com. TXT "v=DMARC2; p=none"`,
				`_dmarc.example.com. TXT " v=DMARC1; p=none"`},
			author: "example.com",
			want:   "example.com example.com p=reject", asked: "example.com com",
		},
		{
			name: "a record in several strings", zone: []string{`_dmarc.example.com. TXT "v=DMA" "RC1; p=re" "ject"`}, author: "example.com",
			want: "example.com example.com p=reject", asked: "example.com com",
		},
		{
			name: "a record behind an alias", zone: []string{"_dmarc.example.com. CNAME d.example.net.", `d.example.net. TXT "v=DMARC1; p=reject"`},
			author: "example.com",
			want:   "example.com example.com p=reject", asked: "example.com com",
		},
		{
			name: "psd of a discarded record does not stop",
			zone: []string{"b.example.com psd=n; p=none", "b.example.com p=none", "example.com p=reject"}, author: "a.b.example.com",
			want: "example.com example.com p=reject", asked: "a.b.example.com b.example.com example.com com",
		},

		// RFC 9989 section 4.10.1, without a valid p.
		{
			name: "no p, but rua", zone: []string{"example.com sp=reject; rua=mailto:a@example.com"}, author: "example.com",
			want: "example.com example.com p=none", asked: "example.com com",
		},
		{
			name: "no p and no rua ends it", zone: []string{"a.example.com adkim=r", "example.com p=reject"}, author: "a.example.com",
			want: "a.example.com example.com ", asked: "a.example.com example.com com",
		},
		{
			name: "bad sp counts for the domain itself", zone: []string{"example.com p=reject; sp=x; rua=mailto:a@example.com"}, author: "example.com",
			want: "example.com example.com p=none", asked: "example.com com",
		},

		// RFC 9989 section 4.10.2, rules 1 to 3 and its three examples.
		{
			name: "example of rule 3", zone: []string{"mail.example.com p=none", "example.com p=reject"}, author: "a.mail.example.com",
			want: "example.com example.com p=reject", asked: "a.mail.example.com mail.example.com example.com com",
		},
		{
			name: "example of rule 1", zone: []string{"mail.example.com p=quarantine; psd=n", "example.com p=reject"}, author: "a.mail.example.com",
			want: "mail.example.com mail.example.com p=quarantine", asked: "a.mail.example.com mail.example.com",
		},
		{
			name: "example of rule 2", zone: []string{"com p=none; sp=reject; psd=y"}, author: "a.mail.example.com",
			want: "com example.com sp=reject", asked: "a.mail.example.com mail.example.com example.com com",
		},
		{
			name: "example within rule 2", zone: []string{"example.com p=none; psd=y", "mail.example.com p=reject"}, author: "mail.example.com",
			want: "mail.example.com mail.example.com p=reject", asked: "mail.example.com example.com",
		},
		{
			name: "psd=n at the author domain", zone: []string{"mail.example.com p=none; psd=n", "example.com p=reject"}, author: "mail.example.com",
			want: "mail.example.com mail.example.com p=none", asked: "mail.example.com",
		},
		{
			name: "psd=y at the author domain", zone: []string{"bank.example p=reject; psd=y", "example p=none"}, author: "bank.example",
			want: "bank.example bank.example p=reject", asked: "bank.example",
		},
		{
			// The walk for the policy begins at the parent, but rule 2 still applies.
			name: "psd=y at the parent", zone: []string{"bank.example p=none; sp=reject; psd=y"}, author: "giant.bank.example",
			want: "bank.example giant.bank.example sp=reject", asked: "giant.bank.example bank.example",
		},
		{
			name:   "record between the author and a public suffix",
			zone:   []string{"bank.example p=none; psd=y", "giant.bank.example p=reject; sp=quarantine", "b.giant.bank.example p=none"},
			author: "a.b.giant.bank.example",
			want:   "giant.bank.example giant.bank.example sp=quarantine", asked: "a.b.giant.bank.example b.giant.bank.example giant.bank.example bank.example",
		},
		{
			name:   "the organizational domain has no record, one below it has",
			zone:   []string{"bank.example p=none; sp=reject; psd=y", "b.giant.bank.example p=quarantine"},
			author: "a.b.giant.bank.example",
			want:   "bank.example giant.bank.example sp=reject", asked: "a.b.giant.bank.example b.giant.bank.example giant.bank.example bank.example",
		},

		// RFC 9989 section 4.10, the shortcut, and sections 5.1.8 and B.4.2.
		{
			name: "seven labels", author: "a.b.c.d.e.example.com",
			want: " a.b.c.d.e.example.com ", asked: "a.b.c.d.e.example.com b.c.d.e.example.com c.d.e.example.com d.e.example.com e.example.com example.com com",
		},
		{
			name: "eight labels", author: "a.b.c.d.e.f.example.com",
			want: " a.b.c.d.e.f.example.com ", asked: "a.b.c.d.e.f.example.com b.c.d.e.f.example.com c.d.e.f.example.com d.e.f.example.com e.f.example.com f.example.com example.com com",
		},
		{
			name: "nine labels", author: "a.b.c.d.e.f.g.example.com",
			want: " a.b.c.d.e.f.g.example.com ", asked: "a.b.c.d.e.f.g.example.com c.d.e.f.g.example.com d.e.f.g.example.com e.f.g.example.com f.g.example.com g.example.com example.com com",
		},
		{
			name: "the example of section 4.10", author: "a.b.c.d.e.f.g.h.i.j.mail.example.com",
			want:  " a.b.c.d.e.f.g.h.i.j.mail.example.com ",
			asked: "a.b.c.d.e.f.g.h.i.j.mail.example.com g.h.i.j.mail.example.com h.i.j.mail.example.com i.j.mail.example.com j.mail.example.com mail.example.com example.com com",
		},
		{
			name: "the example of section 5.1.8", zone: []string{"example.com p=reject", "b.c.d.e.f.g.example.com p=none; psd=n"},
			author: "mail.a.b.c.d.e.f.g.example.com",
			want:   "example.com example.com p=reject",
			asked:  "mail.a.b.c.d.e.f.g.example.com c.d.e.f.g.example.com d.e.f.g.example.com e.f.g.example.com f.g.example.com g.example.com example.com com",
		},
		{
			name: "the example of section 5.1.8 as it ought to be", zone: []string{"example.com p=reject", "mail.a.b.c.d.e.f.g.example.com p=none; psd=n"},
			author: "mail.a.b.c.d.e.f.g.example.com",
			want:   "mail.a.b.c.d.e.f.g.example.com mail.a.b.c.d.e.f.g.example.com p=none", asked: "mail.a.b.c.d.e.f.g.example.com",
		},
		{
			name: "the organizational domain was skipped", zone: []string{"c.d.e.f.g.example.com p=none; sp=reject; psd=y", "b.c.d.e.f.g.example.com p=none"},
			author: "x.a.b.c.d.e.f.g.example.com",
			want:   "c.d.e.f.g.example.com b.c.d.e.f.g.example.com sp=reject", asked: "x.a.b.c.d.e.f.g.example.com c.d.e.f.g.example.com",
		},
		{
			name: "a hundred labels", zone: []string{"example.com p=reject"}, author: strings.Repeat("a.", 100) + "example.com",
			want:  "example.com example.com p=reject",
			asked: strings.Repeat("a.", 100) + "example.com a.a.a.a.a.example.com a.a.a.a.example.com a.a.a.example.com a.a.example.com a.example.com example.com com",
		},
		{
			// The record's name is too long for the DNS, so no such record exists.
			name: "the longest name", zone: []string{"a p=reject"}, author: strings.Repeat("a.", 126) + "a",
			want:  "a a p=reject",
			asked: "a.a.a.a.a.a.a a.a.a.a.a.a a.a.a.a.a a.a.a.a a.a.a a.a a",
		},

		// Appendix B.4.
		{
			name: "B.4.1", zone: []string{"example.com p=reject", "signing.example.com p=none"}, author: "example.com",
			want: "example.com example.com p=reject", asked: "example.com com",
		},
		{
			name: "B.4.2", zone: []string{"example.com p=reject", "signing.example.com p=none"}, author: "a.b.c.d.e.f.g.h.i.j.k.example.com",
			want:  "example.com example.com p=reject",
			asked: "a.b.c.d.e.f.g.h.i.j.k.example.com g.h.i.j.k.example.com h.i.j.k.example.com i.j.k.example.com j.k.example.com k.example.com example.com com",
		},
		{
			name: "B.4.3", zone: []string{"bank.example p=none; psd=y", "giant.bank.example p=reject"}, author: "giant.bank.example",
			want: "giant.bank.example giant.bank.example p=reject", asked: "giant.bank.example bank.example",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z := zoneOf(t, tt.zone...)
			p, err := dmarc.Discover(t.Context(), z, tt.author, dmarc.TreeWalk)
			if err != nil {
				t.Fatal(err)
			}
			checkPolicy(t, p, tt.want)
			if got := strings.Join(asked(z), " "); got != tt.asked {
				t.Errorf("looked up\n got %s\nwant %s", got, tt.asked)
			}
			if name, _ := domain.ToASCII(tt.author); p.AuthorDomain != name {
				t.Errorf("author domain %q", p.AuthorDomain)
			}
		})
	}
}

func checkPolicy(t *testing.T, p *dmarc.Policy, want string) {
	t.Helper()
	got := p.RecordDomain + " " + p.OrgDomain + " "
	if p.Applies() {
		got += p.Tag + "=" + string(p.Published)
	}
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if p.Applies() == (p.Effective() == "") {
		t.Errorf("applies %v, effective %q", p.Applies(), p.Effective())
	}
	if (p.Record == nil) != (p.RecordDomain == "") {
		t.Errorf("record %+v of domain %q", p.Record, p.RecordDomain)
	}
}

// TestDiscoverPSL checks RFC 7489 sections 3.2 and 6.6.3.
func TestDiscoverPSL(t *testing.T) {
	tests := []struct {
		name   string
		zone   []string
		author string
		want   string
		asked  string
	}{
		{"own record", []string{"example.com p=reject"}, "example.com", "example.com example.com p=reject", "example.com"},
		{"no record", nil, "a.example.com", " example.com ", "a.example.com example.com"},
		{"p of the organizational domain", []string{"example.co.uk p=reject"}, "a.b.c.example.co.uk", "example.co.uk example.co.uk p=reject", "a.b.c.example.co.uk example.co.uk"},
		{"sp of the organizational domain", []string{"example.com p=reject; sp=none"}, "a.example.com", "example.com example.com sp=none", "a.example.com example.com"},
		{"np, as RFC 9989 reads it", []string{"example.com p=none; np=reject"}, "a.example.com", "example.com example.com np=reject", "a.example.com example.com A a.example.com"},
		{"nothing between", []string{"b.example.com p=reject"}, "a.b.example.com", " example.com ", "a.b.example.com example.com"},
		{"psd does not count", []string{"b.example.com p=reject; psd=n"}, "a.b.example.com", " example.com ", "a.b.example.com example.com"},
		{"nothing above", []string{"com p=reject; psd=y"}, "example.com", " example.com ", "example.com"},
		{"several records end it", []string{"example.com p=reject", "a.example.com p=none", "a.example.com p=none"}, "a.example.com", " example.com ", "a.example.com"},
		{"several records of the organizational domain", []string{"example.com p=reject", "example.com p=none"}, "a.example.com", " example.com ", "a.example.com example.com"},
		{"a public suffix", []string{"co.uk p=reject"}, "co.uk", "co.uk co.uk p=reject", "co.uk"},
		{"a public suffix without record", nil, "co.uk", " co.uk ", "co.uk"},
		{"a private suffix", []string{"github.io p=reject"}, "a.user.github.io", " user.github.io ", "a.user.github.io user.github.io"},
		{"a single label", nil, "localhost", " localhost ", "localhost"},
		{"an unlisted top-level domain", []string{"b.unlisted p=reject"}, "a.b.unlisted", "b.unlisted b.unlisted p=reject", "a.b.unlisted b.unlisted"},
		{"a wildcard rule", []string{"a.b.ck p=reject"}, "x.a.b.ck", "a.b.ck a.b.ck p=reject", "x.a.b.ck a.b.ck"},
		{"an exception of a wildcard rule", []string{"www.ck p=reject"}, "x.www.ck", "www.ck www.ck p=reject", "x.www.ck www.ck"},
		{"an A-label suffix", []string{"a.xn--55qx5d.cn p=reject"}, "b.a.\u516c\u53f8.cn", "a.xn--55qx5d.cn a.xn--55qx5d.cn p=reject", "b.a.xn--55qx5d.cn a.xn--55qx5d.cn"},
		{"an A-label top-level domain", []string{"a.xn--p1ai p=reject"}, "b.a.xn--p1ai", "a.xn--p1ai a.xn--p1ai p=reject", "b.a.xn--p1ai a.xn--p1ai"},
		{"underscores", []string{"example.com p=reject"}, "_a._b.example.com", "example.com example.com p=reject", "_a._b.example.com example.com"},
		{"digits", nil, "192.0.2.1", " 192.0.2.1 ", "192.0.2.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z := zoneOf(t, tt.zone...)
			p, err := dmarc.Discover(t.Context(), z, tt.author, dmarc.PSL)
			if err != nil {
				t.Fatal(err)
			}
			checkPolicy(t, p, tt.want)
			if got := strings.Join(asked(z), " "); got != tt.asked {
				t.Errorf("looked up\n got %s\nwant %s", got, tt.asked)
			}
		})
	}
}

// TestPercent checks that the tag pct only counts in the mode PSL.
func TestPercent(t *testing.T) {
	z := zoneOf(t, "example.com p=reject; pct=20; t=y")
	if dmarc.TreeWalk.String() != "tree-walk" || dmarc.PSL.String() != "psl" {
		t.Errorf("modes %v and %v", dmarc.TreeWalk, dmarc.PSL)
	}
	for mode, want := range map[dmarc.Mode]int{dmarc.TreeWalk: 100, dmarc.PSL: 20} {
		p, err := dmarc.Discover(t.Context(), z, "example.com", mode)
		if err != nil || p.Percent != want || p.Effective() != quarantine || p.Record.Percent != 20 {
			t.Errorf("%v: percent %d, effective %s, %v", mode, p.Percent, p.Effective(), err)
		}
	}
}

func TestDiscoverErrors(t *testing.T) {
	tests := []struct {
		name      string
		zone      []string
		author    string
		temporary bool
		text      string
	}{
		{"not a domain name", nil, "a..b", false, "author domain: not a valid domain name"},
		{"no domain name", nil, "", false, "author domain: not a valid domain name"},
		{"an address literal", nil, "[192.0.2.1]", false, "author domain: not a valid domain name"},
		{"author domain fails", []string{"$RCODE SERVFAIL _dmarc.a.example.com", "example.com p=reject"}, "a.example.com", true,
			"TXT _dmarc.a.example.com: SERVFAIL"},
		{"organizational domain fails", []string{"$RCODE REFUSED _dmarc.example.com"}, "a.example.com", true,
			"TXT _dmarc.example.com: REFUSED"},
		{"top-level domain fails", []string{"$RCODE SERVFAIL _dmarc.com", "example.com p=reject"}, "example.com", true,
			"organizational domain: TXT _dmarc.com: SERVFAIL"},
		{"existence fails", []string{"$RCODE SERVFAIL a.example.com", "example.com p=none; np=reject"}, "a.example.com", true,
			"existence of a.example.com: A a.example.com: SERVFAIL"},
	}
	for _, tt := range tests {
		_, err := dmarc.Discover(t.Context(), zoneOf(t, tt.zone...), tt.author, dmarc.TreeWalk)
		if err == nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if !strings.HasPrefix(err.Error(), tt.text) {
			t.Errorf("%s: %q, want %q", tt.name, err, tt.text)
		}
		if invalid := errors.Is(err, domain.ErrInvalid); invalid == tt.temporary || !dns.IsTemporary(err) {
			t.Errorf("%s: %v: wraps ErrInvalid: %v", tt.name, err, invalid)
		}
	}
}

// TestSteps checks that steps report what was found.
func TestSteps(t *testing.T) {
	z := zoneOf(t,
		"_dmarc.a.example.com. CNAME d.example.net.", `d.example.net. TXT "v=spf1 -all"`,
		"b.example.com p=none", "b.example.com p=reject",
		"example.com p=reject; t=y")
	p, err := dmarc.Discover(t.Context(), z, "x.a.example.com", dmarc.TreeWalk)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Walk) != 4 {
		t.Fatalf("%d steps", len(p.Walk))
	}
	first, second, third := p.Walk[0], p.Walk[1], p.Walk[2]
	if !dns.IsNotFound(first.Err) || first.Name != "_dmarc.x.a.example.com" || first.Domain != "x.a.example.com" {
		t.Errorf("step 1: %+v", first)
	}
	if second.Err != nil || !slices.Equal(second.CNAMEs, []string{"d.example.net"}) ||
		!slices.Equal(second.Values, []string{"v=spf1 -all"}) || second.Found != 0 || second.Record != nil {
		t.Errorf("step 2: %+v", second)
	}
	if third.Record != p.Record || third.Found != 1 {
		t.Errorf("step 3: %+v", third)
	}
	p, err = dmarc.Discover(t.Context(), z, "b.example.com", dmarc.TreeWalk)
	if err != nil {
		t.Fatal(err)
	}
	if s := p.Walk[0]; s.Found != 2 || s.Record != nil || len(s.Values) != 2 {
		t.Errorf("several records: %+v", s)
	}
}
