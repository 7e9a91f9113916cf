package dmarc_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// model is the DNS of one random test, and a second implementation of
// RFC 9989 section 4.10: to the letter, with every walk made in full and nothing
// shared, skipped or limited.
type model struct {
	records map[string]modelRecord
	exists  map[string]bool
}

type modelRecord struct {
	p, sp, np, psd string
	strict         bool
	twice          bool // several records: all are discarded
}

func (r modelRecord) text() string {
	text := "v=DMARC1; p=" + r.p
	for _, t := range []struct{ name, value string }{{"sp", r.sp}, {"np", r.np}, {"psd", r.psd}} {
		if t.value != "" {
			text += "; " + t.name + "=" + t.value
		}
	}
	if r.strict {
		text += "; adkim=s"
	}
	return text
}

// walk returns the domains that a walk visits, and which of them have a record.
func (m *model) walk(start string) (targets, found []string) {
	target := start
	for {
		targets = append(targets, target)
		r, ok := m.records[target]
		ok = ok && !r.twice
		if ok {
			found = append(found, target)
		}
		if ok && (r.psd == "n" || r.psd == "y") {
			return targets, found
		}
		labels := strings.Split(target, ".")
		if len(labels) == 1 {
			return targets, found
		}
		if len(labels) < 8 {
			labels = labels[1:]
		} else {
			labels = labels[len(labels)-7:]
		}
		target = strings.Join(labels, ".")
	}
}

func (m *model) organizational(start string) string {
	_, found := m.walk(start)
	for _, name := range found {
		if m.records[name].psd == "n" {
			return name
		}
		if m.records[name].psd == "y" && name != start {
			labels := strings.Split(start, ".")
			return strings.Join(labels[len(labels)-strings.Count(name, ".")-2:], ".")
		}
	}
	if len(found) > 0 {
		return found[len(found)-1]
	}
	return start
}

// evaluate returns the verdict on a message whose only identifier passed.
func (m *model) evaluate(author, signer string) string {
	targets, found := m.walk(author)
	if len(found) == 0 {
		for _, name := range targets {
			if m.records[name].twice {
				return "none several_policies"
			}
		}
		return "none no_policy"
	}
	at := found[len(found)-1]
	org := m.organizational(author)
	for _, name := range found {
		if name == org {
			at = org
		}
	}
	if found[0] == author {
		at = author
	}
	r := m.records[at]
	if signer == author || !r.strict && m.organizational(signer) == org {
		return "pass dkim:" + signer
	}
	policy := r.p
	if at != author {
		if r.sp != "" {
			policy = r.sp
		}
		if r.np != "" && !m.exists[author] {
			policy = r.np
		}
	}
	return "fail not_aligned " + policy
}

// random picks mostly short names with few labels, so that they often match, and
// sometimes long ones.
type random struct{ *rand.Rand }

func (r random) name() string {
	labels := 1 + r.IntN(4)
	if r.IntN(4) == 0 {
		labels = 6 + r.IntN(5)
	}
	name := "t"
	for range labels - 1 {
		name = string("ab"[r.IntN(2)]) + "." + name
	}
	return name
}

func (r random) parents(name string) string {
	for up := r.IntN(4); up > 0; up-- {
		if _, parent, ok := strings.Cut(name, "."); ok {
			name = parent
		}
	}
	return name
}

func (r random) pick(choices ...string) string { return choices[r.IntN(len(choices))] }

// scene makes a zone with records for the two domains of a message and their
// parents.
func (r random) scene() (m *model, z *dnstest.Zone, author, signer string) {
	author = r.name()
	signer = r.name()
	if r.IntN(2) == 0 {
		signer = r.pick("a.", "b.", "a.b.", "") + r.parents(author)
	}
	m = &model{records: map[string]modelRecord{}, exists: map[string]bool{}}
	z, err := dnstest.Parse("")
	if err != nil {
		panic(err)
	}
	for range 1 + r.IntN(6) {
		m.records[r.parents(r.pick(author, signer))] = modelRecord{
			p:      r.pick("none", "quarantine", "reject"),
			sp:     r.pick("", "none", "reject"),
			np:     r.pick("", "", "quarantine", "reject"),
			psd:    r.pick("", "", "", "u", "y", "n"),
			strict: r.IntN(6) == 0,
			twice:  r.IntN(8) == 0,
		}
	}
	touch := func(name string) {
		for ok := true; ok; _, name, ok = strings.Cut(name, ".") {
			m.exists[name] = true
		}
	}
	for name, record := range m.records {
		z.AddTXT("_dmarc."+name, record.text())
		if record.twice {
			z.AddTXT("_dmarc."+name, record.text()+"; x=y")
		}
		touch(name)
	}
	if r.IntN(3) == 0 {
		z.AddTXT(author, "anything")
		touch(author)
	}
	return m, z, author, signer
}

func judge(t *testing.T, z dns.Resolver, author, signer string) string {
	ids := []dmarc.Identifier{{Method: dmarc.MethodDKIM, Domain: signer, Pass: true}}
	r := dmarc.Lookup(t.Context(), z, dmarc.Query{Authors: []string{author}, Candidates: ids}).Evaluate(ids)
	checkResult(t, r)
	return verdict(r)
}

// TestAgainstModel checks that the package agrees with the model, and needs no more
// look-ups than two walks and one for the existence of the author domain. If
// look-ups fail, the verdict must be the same or temperror.
func TestAgainstModel(t *testing.T) {
	const rounds = 3000
	verdicts := map[string]int{}
	for seed := range uint64(rounds) {
		r := random{rand.New(rand.NewPCG(seed, 9989))}
		m, z, author, signer := r.scene()
		want := m.evaluate(author, signer)
		got := judge(t, z, author, signer)
		if got != want {
			t.Fatalf("seed %d: author %s, signer %s, records %v:\n got %s\nwant %s", seed, author, signer, m.records, got, want)
		}
		queries := z.Queries()
		if len(queries) > 2*dmarc.MaxWalk+1 {
			t.Fatalf("seed %d: %d look-ups", seed, len(queries))
		}
		kind, _, _ := strings.Cut(got, ":")
		verdicts[kind]++

		for range 1 + r.IntN(2) {
			kind, name, _ := strings.Cut(queries[r.IntN(len(queries))], " ")
			z.Fail(name, kind, "SERVFAIL")
		}
		broken := judge(t, z, author, signer)
		if broken != want && !strings.HasPrefix(broken, "temperror ") {
			t.Fatalf("seed %d: author %s, signer %s, records %v, SERVFAIL:\n got %s\nwant %s or temperror", seed, author, signer, m.records, broken, want)
		}
		if strings.HasPrefix(broken, "temperror ") {
			verdicts["temperror"]++
		} else {
			verdicts["unharmed"]++
		}
	}
	// The test proves nothing about cases that do not occur.
	for _, kind := range []string{
		"none no_policy", "none several_policies", "pass dkim", "fail not_aligned none",
		"fail not_aligned quarantine", "fail not_aligned reject", "temperror", "unharmed",
	} {
		if verdicts[kind] < rounds/200 {
			t.Errorf("only %d of %q in %v", verdicts[kind], kind, fmt.Sprint(verdicts))
		}
	}
}

// TestBoundsHold checks that the number of look-ups is limited for any zone and
// message, and that the result is temperror if the DNS is down.
func TestBoundsHold(t *testing.T) {
	for seed := range uint64(300) {
		r := random{rand.New(rand.NewPCG(seed, 7489))}
		_, z, author, signer := r.scene()
		mode := dmarc.Mode(r.IntN(2))
		q := dmarc.Query{Authors: []string{author, signer}, Mode: mode}
		for range r.IntN(4) {
			q.Authors = append(q.Authors, r.name())
		}
		for range r.IntN(60) {
			q.Candidates = append(q.Candidates, dmarc.Identifier{Method: r.pick("dkim", "spf"), Domain: r.name(), Pass: r.IntN(2) == 0})
		}
		dmarc.Lookup(t.Context(), z, q).Evaluate(q.Candidates)
		if n := len(z.Queries()); n > dmarc.MaxLookups {
			t.Fatalf("seed %d: %d look-ups", seed, n)
		}
		if _, err := dmarc.Discover(t.Context(), z, author, mode); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}

		for _, name := range []string{"t", "a.t", "b.t", author, signer} {
			z.Timeout("_dmarc."+name, "TXT")
		}
		for _, a := range []string{author, signer} {
			q.Authors = []string{a}
			if res := dmarc.Lookup(t.Context(), z, q).Evaluate(q.Candidates); res.Status != dmarc.TempError {
				t.Fatalf("seed %d: %s with dead DNS for %s", seed, verdict(res), a)
			}
		}
	}
}
