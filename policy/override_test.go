package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// parseRules parses overrides, one per line: an action followed by conditions of
// the form NAME=ITEM,ITEM.
func parseRules(t *testing.T, text string) (all []Override) {
	t.Helper()
	for line := range strings.SplitSeq(text, ";") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		o := Override{Action: Action(words[0])}
		for _, w := range words[1:] {
			name, items, _ := strings.Cut(w, "=")
			if err := o.Ask(name, strings.Split(items, ",")...); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, o)
	}
	return all
}

// TestOverrides checks single overrides and lists of them. The message is from
// bank.example to customer.example, through a list with the List-Id
// bank.lists.example.
func TestOverrides(t *testing.T) {
	asks := func(p dmarc.Disposition) func(*Message) {
		return func(m *Message) {
			m.Result.DMARC.Policy.Published, m.Result.DMARC.Disposition = p, p
		}
	}
	status := func(s dmarc.Status) func(*Message) {
		return func(m *Message) { m.Result.DMARC = dmarc.Result{Status: s, Author: "bank.example"} }
	}
	spfFails := func(m *Message) { status(dmarc.None)(m); m.Result.SPF.Status = spf.Fail }
	plain := func(*Message) {}
	author := func(more ...string) func(*Message) {
		return func(m *Message) { m.Result.Author.Domains = append(m.Result.Author.Domains, more...) }
	}
	recipient := func(more ...string) func(*Message) {
		return func(m *Message) {
			for _, a := range more {
				m.Recipients.Add(a)
			}
		}
	}
	list := func(more ...string) func(*Message) {
		return func(m *Message) { m.Result.ListID.IDs = append(m.Result.ListID.IDs, more...) }
	}
	and := func(changes ...func(*Message)) func(*Message) {
		return func(m *Message) {
			for _, c := range changes {
				c(m)
			}
		}
	}
	for _, test := range []struct {
		rules  string
		change func(*Message)
		want   string // DISPOSITION (INTENDED) REASON and the rule that decided
	}{
		// A rule that matches in full.
		{"", plain, "reject dmarc"},
		{"accept author_domain=bank.example", plain, "none dmarc override 1: accept"},
		{"report-only author_domain=bank.example", plain, "none (reject) dmarc override 1: report-only"},
		{"report-only author_domain=bank.example", asks(dmarc.DispositionNone), "none dmarc"},
		{"report-only author_domain=bank.example", spfFails, "none (quarantine) spf override 1: report-only"},
		{"report-only author_domain=bank.example", status(dmarc.Pass), "none"},
		{"skip author_domain=bank.example", plain, "none skipped dmarc override 1: skip"},
		{"skip author_domain=bank.example", status(dmarc.Pass), "none skipped override 1: skip"},
		{"quarantine author_domain=bank.example", plain, "quarantine dmarc override 1: quarantine"},
		{"quarantine author_domain=bank.example", asks(dmarc.DispositionNone), "quarantine dmarc override 1: quarantine"},
		{"quarantine author_domain=bank.example", asks(dmarc.DispositionQuarantine), "quarantine dmarc"},
		{"reject author_domain=bank.example", asks(dmarc.DispositionNone), "reject dmarc override 1: reject"},
		{"reject author_domain=bank.example", plain, "reject dmarc"},
		{"reject author_domain=bank.example", status(dmarc.Pass), "none"},
		{"reject author_domain=bank.example", status(dmarc.None), "none"},
		{"reject author_domain=bank.example", spfFails, "reject spf override 1: reject"},
		{"reject author_domain=bank.example", status(dmarc.PermError), "reject author override 1: reject"},
		{"quarantine author_domain=x.example", and(status(dmarc.PermError), author("x.example")), "quarantine author override 1: quarantine"},
		{"", status(dmarc.PermError), "none"},
		{"accept author_domain=bank.example", status(dmarc.PermError), "none"},

		// One more author, recipient or list: rules that tighten still do, rules
		// that loosen do not.
		{"accept author_domain=bank.example", author("x.example"), "reject dmarc"},
		{"skip author_domain=bank.example", author("x.example"), "reject dmarc"},
		{"quarantine author_domain=bank.example", author("x.example"), "reject dmarc"},
		{"accept recipient=customer.example", recipient("a@x.example"), "reject dmarc"},
		{"accept recipient=customer.example", recipient("postmaster"), "reject dmarc"},
		{"accept recipient=customer.example", recipient("a@mail.customer.example"), "none dmarc override 1: accept"},
		{"accept list_id=lists.example dkim=lists.example", and(signed(dkim.Pass, "lists.example"), list("x.example")), "reject dmarc"},
		{"accept list_id=lists.example dkim=lists.example", and(signed(dkim.Pass, "lists.example"), listError(message.ErrListID)), "reject dmarc"},
		{"accept author_domain=bank.example", authorError(message.ErrAuthorBounds), "reject dmarc"},
		{"reject author_domain=bank.example", and(asks(dmarc.DispositionNone), author("x.example")), "reject dmarc override 1: reject"},
		{"quarantine author_domain=bank.example", and(asks(dmarc.DispositionNone), author("x.example")), "quarantine dmarc override 1: quarantine"},
		{"reject author_domain=bank.example", and(asks(dmarc.DispositionNone), authorError(message.ErrAuthorBounds)), "reject dmarc override 1: reject"},
		{"reject author_domain=x.example", and(asks(dmarc.DispositionNone), author("x.example")), "reject dmarc override 1: reject"},
		{"reject recipient=customer.example", and(asks(dmarc.DispositionNone), recipient("a@x.example")), "reject dmarc override 1: reject"},
		{"reject list_id=lists.example", and(asks(dmarc.DispositionNone), list("x.example")), "reject list dmarc override 1: reject"},
		// One condition in part makes the whole match in part.
		{"accept author_domain=bank.example recipient=customer.example", recipient("a@x.example"), "reject dmarc"},
		{"reject author_domain=bank.example recipient=customer.example", and(asks(dmarc.DispositionNone), recipient("a@x.example")), "reject dmarc override 1: reject"},
		{"reject author_domain=x.example recipient=customer.example", and(asks(dmarc.DispositionNone), recipient("a@x.example")), "none dmarc"},

		// Several rules: the first that matches in full ends the search.
		{"accept author_domain=bank.example; reject author_domain=bank.example", plain, "none dmarc override 1: accept"},
		{"accept author_domain=x.example; quarantine author_domain=bank.example; accept author_domain=bank.example", plain, "quarantine dmarc override 2: quarantine"},
		// A match in part does not end it.
		{"accept author_domain=bank.example; reject author_domain=bank.example", and(asks(dmarc.DispositionNone), author("x.example")), "reject dmarc override 2: reject"},
		{"accept author_domain=bank.example; accept author_domain=x.example", author("x.example"), "reject dmarc"},
		{"accept author_domain=bank.example; accept author_domain=x.example,bank.example", author("x.example"), "none dmarc override 2: accept"},
		{"accept author_domain=bank.example; quarantine client=192.0.2.1", author("x.example"), "quarantine dmarc override 2: quarantine"},
		// And it sets the minimum.
		{"reject author_domain=bank.example; accept client=192.0.2.1", author("x.example"), "reject dmarc"},
		{"reject author_domain=bank.example; accept client=192.0.2.1", and(asks(dmarc.DispositionNone), author("x.example")), "reject dmarc override 1: reject"},
		{"reject author_domain=bank.example; skip client=192.0.2.1", and(asks(dmarc.DispositionNone), author("x.example")), "reject dmarc override 1: reject"},
		{"quarantine author_domain=bank.example; accept client=192.0.2.1", author("x.example"), "quarantine dmarc override 1: quarantine"},
		{"quarantine author_domain=bank.example; reject client=192.0.2.1", and(asks(dmarc.DispositionNone), author("x.example")), "reject dmarc override 2: reject"},
		{"reject author_domain=bank.example; skip client=192.0.2.1", and(status(dmarc.Pass), author("x.example")), "none skipped override 2: skip"},
		{"reject author_domain=bank.example; quarantine client=192.0.2.1", and(asks(dmarc.DispositionNone), author("x.example")), "reject dmarc override 1: reject"},
		{"quarantine recipient=customer.example; quarantine author_domain=bank.example; accept client=192.0.2.1",
			and(author("x.example"), recipient("a@x.example")), "quarantine dmarc override 1: quarantine"},
		// A rule that only reports hides the later ones from the message, but not from
		// what is reported.
		{"report-only client=192.0.2.1; quarantine author_domain=bank.example", plain, "none (quarantine) dmarc override 1: report-only"},
		{"report-only client=192.0.2.1; accept author_domain=bank.example", plain, "none dmarc override 1: report-only"},
		{"report-only client=192.0.2.1; skip author_domain=bank.example", plain, "none dmarc override 1: report-only"},
		{"report-only client=192.0.2.1; report-only author_domain=bank.example", plain, "none (reject) dmarc override 1: report-only"},
		{"report-only client=192.0.2.1; reject author_domain=bank.example", asks(dmarc.DispositionNone), "none (reject) dmarc override 1: report-only"},
		{"report-only client=192.0.2.1; reject author_domain=bank.example", status(dmarc.PermError), "none (reject) author override 1: report-only"},
		{"accept client=192.0.2.1; report-only author_domain=bank.example", plain, "none dmarc override 1: accept"},
		// Nor does it undo an earlier one that matches in part.
		{"quarantine author_domain=bank.example; report-only client=192.0.2.1", author("x.example"), "quarantine (reject) dmarc override 1: quarantine"},
		{"reject author_domain=bank.example; report-only client=192.0.2.1", and(asks(dmarc.DispositionNone), author("x.example")), "reject dmarc override 1: reject"},
		// In part it does nothing.
		{"report-only author_domain=bank.example", author("x.example"), "reject dmarc"},
	} {
		m := &Message{
			Envelope:   verify.Envelope{ClientIP: netip.MustParseAddr("192.0.2.1"), MailFrom: "joe@bank.example"},
			Recipients: NewRecipients("bob@customer.example"),
			Result:     failed("bank.example", dmarc.Relaxed, dmarc.Relaxed),
		}
		m.Result.Author.Domains = []string{"bank.example"}
		m.Result.ListID.IDs = []string{"bank.lists.example"}
		test.change(m)
		r := &Rules{Mode: ModeEnforce, Overrides: parseRules(t, test.rules), PerReason: PerReason{SPF: Quarantine}}
		d := r.Decide(m)
		got := string(d.Disposition)
		if d.Intended != d.Disposition {
			got += " (" + string(d.Intended) + ")"
		}
		if d.Skip {
			got += " skipped"
		}
		if d.Override.Type == MailingList {
			got += " list"
		}
		if got = strings.TrimSpace(fmt.Sprintf("%s %s", got, d.Reason)); d.Override.Detail != "" {
			got += " " + d.Override.Detail
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.rules, got, test.want)
		}
		// The other mode carries nothing out, and says the same.
		r.Mode = ModeReport
		only := d
		only.Disposition, only.Reply, only.QuarantineText = None, Reply{}, ""
		if d := r.Decide(m); d != only {
			t.Errorf("%s: in mode report %+v, want %+v", test.rules, d, only)
		}
	}
}

// TestOverrideOfTemporaryErrors checks overrides after a look-up that did not
// finish.
func TestOverrideOfTemporaryErrors(t *testing.T) {
	for _, test := range []struct {
		action  Action
		dmarc   dmarc.Status
		found   []finding // besides the default
		setting TempErrors
		want    string // DISPOSITION REASON
	}{
		// Nothing is known against the message.
		{ActionAccept, dmarc.TempError, []finding{methodDMARC.deferral("a.example")}, TempErrors{}, "none temperror"},
		{ActionReject, dmarc.TempError, []finding{methodDMARC.deferral("a.example")}, TempErrors{}, "defer temperror"},
		{ActionQuarantine, dmarc.TempError, []finding{methodDMARC.deferral("a.example")}, TempErrors{}, "defer temperror"},
		{ActionReject, dmarc.None, []finding{methodSPF.deferral("a.example")}, TempErrors{}, "defer temperror"},
		{ActionReject, dmarc.TempError, nil, TempErrors{DMARC: TempErrorAccept}, "none "},
		// The policy lets it pass, but the override would not if DMARC failed.
		{ActionReject, dmarc.TempError, nil, TempErrors{DMARC: TempErrorTempfail}, "defer temperror"},
		{ActionQuarantine, dmarc.TempError, nil, TempErrors{DMARC: TempErrorTempfail}, "defer temperror"},
		{ActionAccept, dmarc.TempError, nil, TempErrors{DMARC: TempErrorTempfail}, "none "},
		{ActionReject, dmarc.TempError, nil, TempErrors{}, "defer temperror"},
		{ActionQuarantine, dmarc.TempError, nil, TempErrors{}, "defer temperror"},
		{ActionAccept, dmarc.TempError, nil, TempErrors{}, "none "},
		{ActionReject, dmarc.Pass, nil, TempErrors{DMARC: TempErrorTempfail}, "none "},
		// Something is known: then a temporary error is no way around the rule.
		{ActionReject, dmarc.Fail, []finding{{disposition: None, reason: ReasonDMARC}, methodDKIM.deferral("a.example")}, TempErrors{}, "reject dmarc"},
		{ActionReject, dmarc.TempError, []finding{{disposition: Quarantine, reason: ReasonIPRev}, methodDMARC.deferral("a.example")}, TempErrors{}, "reject iprev"},
		{ActionQuarantine, dmarc.Fail, []finding{{disposition: None, reason: ReasonDMARC}, methodDKIM.deferral("a.example")}, TempErrors{}, "defer temperror"},
		{ActionQuarantine, dmarc.Fail, []finding{{disposition: Reject, reason: ReasonDMARC}, methodDKIM.deferral("a.example")}, TempErrors{}, "defer temperror"},
		{ActionQuarantine, dmarc.Fail, []finding{{disposition: Reject, reason: ReasonDMARC}}, TempErrors{}, "quarantine dmarc"},
	} {
		r := &Rules{PerReason: PerReason{TempErrors: test.setting}, Overrides: []Override{{Action: test.action}}}
		res := &verify.Result{DMARC: dmarc.Result{Status: test.dmarc}}
		f, _, _ := r.override(append([]finding{{disposition: None}}, test.found...), &Message{Result: res})
		if got := fmt.Sprintf("%s %s", f.disposition, f.reason); got != test.want {
			t.Errorf("%s of %v, %+v: %s, want %s", test.action, test.dmarc, test.found, got, test.want)
		}
	}
}

func TestForgeable(t *testing.T) {
	for _, test := range []struct {
		conditions string
		want       bool
	}{
		{"mail_from=a.example", true},
		{"list_id=a.example", true},
		{"list_id=a.example mail_from=a.example", true},
		{"mail_from=a.example recipient=own.example", true},
		{"list_id=a.example author_domain=a.example", true},
		{"list_id=a.example mail_from=a.example author_domain=a.example recipient=own.example", true},
		// Authors and recipients are named knowingly.
		{"author_domain=a.example", false},
		{"recipient=own.example", false},
		{"author_domain=a.example recipient=own.example", false},
		// Proven conditions.
		{"mail_from=a.example client=192.0.2.1", false},
		{"mail_from=a.example client_name=a.example", false},
		{"list_id=a.example dkim=a.example", false},
		{"list_id=a.example sealer=a.example", false},
		{"mail_from=a.example listener=inet:8894@127.0.0.1", false},
		{"dkim=a.example", false},
	} {
		o := parseRules(t, "accept "+test.conditions)[0]
		if got := o.Forgeable(); got != test.want {
			t.Errorf("%s: %t", test.conditions, got)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, test := range []struct {
		first, second string
		want          bool
	}{
		{"author_domain=a.example", "author_domain=a.example", true},
		{"author_domain=a.example", "author_domain=b.a.example", true},
		{"author_domain=b.a.example", "author_domain=a.example", false},
		{"author_domain=a.example", "author_domain=a.example,b.example", false},
		{"author_domain=a.example", "author_domain=a.example dkim=b.example", true},
		{"author_domain=a.example dkim=b.example", "author_domain=a.example", false},
		{"client=192.0.2.0/24", "client=192.0.2.128/25,192.0.2.1", true},
		{"client=192.0.2.0/24", "client=192.0.0.0/16", false},
		{"client=192.0.2.0/24", "client=2001:db8::/32", false},
		{"sealer=a.example", "sealer=b.a.example", false},
		{"list_id=a.example", "list_id=b++.a.example", true},
		{"recipient=a.example", "recipient=b.a.example", true},
		{"listener=inet:1@a", "listener=inet:2@a", false},
	} {
		first, second := parseRules(t, "accept "+test.first)[0], parseRules(t, "accept "+test.second)[0]
		if got := first.Covers(&second); got != test.want {
			t.Errorf("%s, %s: %t", test.first, test.second, got)
		}
	}
}

func TestExplain(t *testing.T) {
	res := failed("example.com", dmarc.Relaxed, dmarc.Relaxed)
	res.Author.Domains = []string{"example.com", "x.example"}
	r := &Rules{Mode: ModeEnforce, Overrides: []Override{
		asking(ActionReject, "author_domain", "other.example"),
		asking(ActionReject, "author_domain", "example.com"),
		asking(ActionAccept, "author_domain", "example.com"),
		asking(ActionReportOnly, "client", "192.0.2.1"),
		asking(ActionQuarantine, "mail_from", "example.com"),
		asking(ActionReject, "mail_from", "example.com"),
	}}
	r.Overrides[2].Name, r.Overrides[4].Name = "third", "fifth"
	want := []Step{
		{Rule: "override 1", Outcome: "author_domain is example.com, x.example, not other.example"},
		{Rule: "override 2", Applies: true, Part: true, Outcome: "reject, matches in part and only tightens: author_domain is also x.example, not only example.com"},
		{Rule: "third", Part: true, Outcome: "matches in part and loosens nothing: author_domain is also x.example, not only example.com"},
		{Rule: "override 4", Applies: true, Outcome: "report-only"},
		{Rule: "fifth", Applies: true, Outcome: "quarantine"},
		{Rule: "dmarc", Applies: true, Outcome: "reject"},
		{Rule: "several_authors", Applies: true, Outcome: "none"},
	}
	if got := r.Explain(&Message{Envelope: envelope, Result: res}); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}
