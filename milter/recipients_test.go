package milter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
)

// TestOverridesSeeAllRecipients checks that an override for recipients spares a
// message only if all of its recipients match, however many there are.
func TestOverridesSeeAllRecipients(t *testing.T) {
	r := start(t, options{set: func(s *Settings) {
		s.Rules = &policy.Rules{Mode: policy.ModeEnforce, Overrides: []policy.Override{asking(policy.ActionAccept, "recipient", "customer.example")}}
	}})
	people := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("u%d@customer.example", i))
		}
		return all
	}
	domains := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("u@d%d.customer.example", i))
		}
		return all
	}
	victim := []string{"victim@elsewhere.example"}
	for _, test := range []struct {
		name       string
		recipients []string
		domains    int // remembered
		spared     bool
	}{
		{"one matches", people(1), 1, true},
		{"many match", people(3000), 1, true},
		{"as many domains match as are remembered", domains(policy.MaxRecipientDomains), policy.MaxRecipientDomains, true},
		{"more domains match", domains(policy.MaxRecipientDomains + 1), policy.MaxRecipientDomains, false},
		{"one does not", victim, 1, false},
		{"the last of some does not", slices.Concat(people(10), victim), 2, false},
		{"the last of many does not", slices.Concat(people(1000), victim), 2, false},
		{"the first of many does not", slices.Concat(victim, people(1000)), 2, false},
		{"the last does not, after all domains remembered", slices.Concat(domains(policy.MaxRecipientDomains), victim), policy.MaxRecipientDomains, false},
		{"a local name", slices.Concat(people(10), []string{"postmaster"}), 1, false},
		{"an address literal", slices.Concat(people(10), []string{"victim@[192.0.2.1]"}), 1, false},
	} {
		m := unsigned()
		m.from, m.client = "x@attacker.example", "203.0.113.9"
		s, err := gomilter.NewClient("tcp", r.addr).Session(gomilter.NewMacroBag())
		if err != nil {
			t.Fatal(err)
		}
		r.open(s, m)
		r.must(s.Mail(m.from, ""))
		for _, to := range test.recipients {
			r.must(s.Rcpt(to, ""))
		}
		r.must(s.DataStart())
		r.header(s, m)
		_, a, err := s.BodyReadFrom(strings.NewReader(m.body))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if (a.Type == gomilter.ActionAccept) != test.spared {
			t.Errorf("%s: %v", test.name, a)
		}
		seen := r.seen.list()
		got := seen[len(seen)-1].Recipients
		if got.Count != len(test.recipients) || len(got.Domains) != test.domains {
			t.Errorf("%s: %d recipients in %d domains", test.name, got.Count, len(got.Domains))
		}
	}
}

// asking returns an override with one item for each condition, named by its key.
func asking(action policy.Action, keysAndItems ...string) policy.Override {
	o := policy.Override{Action: action}
	for pair := range slices.Chunk(keysAndItems, 2) {
		if err := o.Ask(pair[0], pair[1]); err != nil {
			panic(err)
		}
	}
	return o
}
