package policy

import (
	"strings"
	"testing"

	"authmilter/verify/authres"
)

func TestOwnFields(t *testing.T) {
	inbound := OwnFields{Claimant: authres.NewClaimant("mx.example.org"), Quarantine: "X-Disposition-Quarantine", ReceivedSPF: true}
	without := OwnFields{Claimant: inbound.Claimant}
	padded := "Authentication-Results" + strings.Repeat("\x01", 50)
	for _, test := range []struct {
		name, value string
		kind        OwnField
		forged      bool
		own         bool // even in our own mail, or if we write no other fields
	}{
		{"Authentication-Results", " mx.example.org; none", ResultsField, true, true},
		{"authentication-results\t", " mx.example.org; none", ResultsField, true, true},
		{"Authentication-\xadResults", " mx.example.org; none", ResultsField, true, true},
		{"Authentication-Results", " other.example; none", ResultsField, false, true},
		{"Authentication-Results ", " other.example; none", ResultsField, false, true},
		{padded, " other.example; none", ResultsField, true, true},
		{"X-Disposition-Quarantine", "", QuarantineField, true, false},
		{"x-disposition-quarantine", " DMARC policy of bank.example", QuarantineField, true, false},
		{"X-Disposition-Quarantine ", " no", QuarantineField, true, false},
		{"X-Disposition-\x00Quarantine", " no", QuarantineField, true, false},
		{"Received-SPF", " pass receiver=mx.example.org", ReceivedSPFField, true, false},
		{"RECEIVED-SPF ", " pass (mx.example.org: domain of a)", ReceivedSPFField, true, false},
		{"Received-SPF", " pass receiver=other.example", ReceivedSPFField, false, false},
		{"X-Disposition", " x", NoOwnField, false, false},
		{"X-Authentication-Results", " mx.example.org; none", NoOwnField, false, false},
		{"Subject", " mx.example.org; none", NoOwnField, false, false},
		{strings.Repeat("x", 200), " mx.example.org; none", NoOwnField, false, false},
	} {
		kind := inbound.Kind(test.name)
		if forged := inbound.Forged(kind, test.name, test.value); kind != test.kind || forged != test.forged {
			t.Errorf("%q:%q is %q, forged: %v", test.name, test.value, kind, forged)
		}
		for _, fields := range []OwnFields{inbound.OfOwnMail(), without} {
			if kind := fields.Kind(test.name); kind != NoOwnField != test.own {
				t.Errorf("%q in own mail is %q", test.name, kind)
			}
		}
	}
	if n := (Removed{ResultsField: 2, QuarantineField: 1}).Total(); n != 3 || Removed(nil).Total() != 0 {
		t.Errorf("%d removed in all", n)
	}
}
