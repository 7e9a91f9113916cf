package policy

import (
	"fmt"
	"slices"
	"testing"
)

func TestRecipients(t *testing.T) {
	for _, test := range []struct {
		addresses  []string
		domains    []string
		incomplete bool
	}{
		{nil, nil, false},
		{[]string{"a@one.example", "<b@ONE.example>", "c@one.example."}, []string{"one.example"}, false},
		{[]string{"a@bücher.example", "b@xn--bcher-kva.example"}, []string{"xn--bcher-kva.example"}, false},
		{[]string{"a@one.example", "a@two.example"}, []string{"one.example", "two.example"}, false},
		{[]string{`"x@evil.example"@one.example`, "@relay.example:a@two.example"}, []string{"one.example", "two.example"}, false},
		// Without a domain that can match.
		{[]string{"a@one.example", "postmaster"}, []string{"one.example"}, true},
		{[]string{"one.example"}, nil, true},
		{[]string{"a@[192.0.2.1]", "a@one.example"}, []string{"one.example"}, true},
		{[]string{"a@"}, nil, true},
		{[]string{""}, nil, true},
		{[]string{"<>"}, nil, true},
		{[]string{"a@one..example"}, nil, true},
	} {
		r := NewRecipients(test.addresses...)
		if r.Count != len(test.addresses) || !slices.Equal(r.Domains, test.domains) || r.Incomplete != test.incomplete {
			t.Errorf("%q: %d, %q, %t", test.addresses, r.Count, r.Domains, r.Incomplete)
		}
	}
}

func TestRecipientBounds(t *testing.T) {
	var r Recipients
	for i := range MaxRecipientDomains {
		r.Add(fmt.Sprintf("a@d%d.example", i))
		r.Add("b@d0.example")
	}
	if r.Count != 2*MaxRecipientDomains || len(r.Domains) != MaxRecipientDomains || r.Incomplete {
		t.Errorf("%d recipients in %d domains, %t", r.Count, len(r.Domains), r.Incomplete)
	}
	r.Add("a@one-more.example")
	if r.Count != 2*MaxRecipientDomains+1 || len(r.Domains) != MaxRecipientDomains || !r.Incomplete {
		t.Errorf("past the bound: %d recipients in %d domains, %t", r.Count, len(r.Domains), r.Incomplete)
	}
}
