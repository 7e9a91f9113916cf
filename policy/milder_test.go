package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/message"
)

// overrideItems are the items of random overrides. Random messages have some of
// them.
var overrideItems = map[string][]string{
	"author_domain": {"example.com", "news.example.com", "bank.example", "second.example"},
	"client":        {"192.0.2.0/24", "198.51.100.1"},
	"client_name":   {"example.net", "other.example"},
	"mail_from":     {"example.net", "other.example"},
	"dkim":          {"example.com", "other.example"},
	"sealer":        {"one.example", "other.example"},
	"list_id":       {"example.net", "c++.example.net", "example.org"},
	"recipient":     {"rcpt.example", "a.rcpt.example", "other.example"},
	"listener":      {"inet:8894@127.0.0.1", "inet:8895@127.0.0.1"},
}

// randomOverride returns an override with one to three conditions.
func randomOverride(rnd *rand.Rand) Override {
	o := Override{Action: pick(rnd, Actions()...)}
	list := Conditions()
	for range 1 + rnd.IntN(3) {
		c := list[rnd.IntN(len(list))]
		if rnd.IntN(2) == 0 { // prefer conditions that can match in part
			list := slices.DeleteFunc(slices.Clone(list), func(c Condition) bool { return !c.Several() })
			c = list[rnd.IntN(len(list))]
		}
		items := slices.Concat(overrideItems[c.Name()], samples[c.Name()].items)
		chosen := []string{pick(rnd, items...)}
		if rnd.IntN(3) == 0 {
			chosen = append(chosen, pick(rnd, items...))
		}
		if err := o.Ask(c.Name(), chosen...); err != nil {
			panic(err)
		}
	}
	return o
}

func randomListID(rnd *rand.Rand) (l message.ListID) {
	for range rnd.IntN(3) {
		l.IDs = append(l.IDs, pick(rnd, "list.example.net", "libstdc++.example.net", "list.example.org", "list.attacker.example"))
	}
	if rnd.IntN(8) == 0 {
		l.Err = message.ErrListID
	}
	return l
}

func randomRecipients(rnd *rand.Rand) (r Recipients) {
	for range 1 + rnd.IntN(2) {
		r.Add(pick(rnd, "a@rcpt.example", "a@a.rcpt.example", "b@other.example", "b@third.example"))
	}
	if rnd.IntN(16) == 0 {
		r.Add("postmaster")
	}
	return r
}

// matchInFull returns the index of the first override that m matches in full, or -1.
func matchInFull(r *Rules, m *Message) int {
	return slices.IndexFunc(r.Overrides, func(o Override) bool {
		e, _ := o.match(m)
		return e == inFull
	})
}

// tightensInPart reports whether an override that tightens matches m in part,
// before the first one that matches in full.
func tightensInPart(r *Rules, m *Message) bool {
	full := matchInFull(r, m)
	for i := range r.Overrides {
		o := &r.Overrides[i]
		if i == full {
			break
		}
		if e, _ := o.match(m); e == inPart && o.Action.Tightens() {
			return true
		}
	}
	return false
}

// randomAuthor returns the DMARC result of an author domain that a sender adds.
func randomAuthor(rnd *rand.Rand, name string) dmarc.Result {
	d := dmarc.Result{Author: name, Disposition: dmarc.DispositionNone, Pending: dmarc.DispositionNone}
	asked := pick(rnd, dmarc.DispositionNone, dmarc.DispositionQuarantine, dmarc.DispositionReject)
	switch d.Status = pick(rnd, dmarc.None, dmarc.Pass, dmarc.Fail, dmarc.TempError); d.Status {
	case dmarc.Fail:
		d.Disposition = asked
	case dmarc.TempError:
		d.Pending, d.Reason = asked, pick(rnd, dmarc.ReasonPolicyLookup, dmarc.ReasonIdentifier)
	}
	return d
}

// add adds one more thing to a message that its sender can write, and returns its
// name. It adds nothing and returns "" if the rules may rely on that thing.
func add(rnd *rand.Rand, r *Rules, m *Message) string {
	res := m.Result
	switch rnd.IntN(7) {
	case 0:
		name := pick(rnd, "attacker.example", "bank.example", "second.example", "news.example.com")
		if !slices.Contains(res.Author.Domains, name) {
			// Before, between or after the existing ones.
			at := rnd.IntN(len(res.Author.Domains) + 1)
			res.Author.Domains = slices.Insert(slices.Clone(res.Author.Domains), at, name)
			all := slices.Clone(results(res))
			res.Authors = slices.Insert(all, min(at, len(all)), randomAuthor(rnd, name))
			res.DMARC = dmarc.Strictest(res.Authors)
			res.Author.Unaddressed = false
			if rnd.IntN(2) == 0 {
				res.Author.Bracketed = "" // beside the display name
			}
		}
		return "author " + name
	case 1:
		err := pick(rnd, message.ErrAuthorBounds, message.ErrNoDomain)
		if res.Author.Err != nil {
			err = fmt.Errorf("%w, %w", res.Author.Err, err)
		}
		res.Author.Err, res.Author.Bracketed, res.Author.Unaddressed = err, "", false
		res.Authors = append(slices.Clone(results(res)), dmarc.Result{Status: dmarc.PermError, Reason: dmarc.ReasonAuthorSyntax, Err: err, Disposition: dmarc.DispositionNone})
		res.DMARC = dmarc.Strictest(res.Authors)
		return "unknown author"
	case 2:
		to := pick(rnd, "a@attacker.example", "a@rcpt.example", "a@a.rcpt.example", "a@other.example", "postmaster", "a@[192.0.2.1]")
		m.Recipients.Add(to)
		return "recipient " + to
	case 3:
		m.Recipients.Incomplete = true
		return "unknown recipients"
	case 4:
		// Rules for lists rely on the presence of a List-Id. A rule with no other
		// condition causes a warning.
		l := &res.ListID
		if len(l.IDs) == 0 && l.Err == nil {
			return ""
		}
		id := pick(rnd, "list.attacker.example", "list.example.net", "a.c++.example.net", "list.example.org")
		l.IDs = append(slices.Clone(l.IDs), id)
		return "List-Id " + id
	case 5:
		res.ListID.Err = message.ErrListID
		return "malformed List-Id"
	}
	// A signature that proves nothing about any domain of the rules.
	s := dkim.Result{Status: pick(rnd, dkim.Fail, dkim.Neutral, dkim.PermError, dkim.Policy), Signature: &dkim.Signature{Domain: "example.com"}}
	if rnd.IntN(2) == 0 {
		s = dkim.Result{Status: pick(rnd, dkim.Pass, dkim.TempError), Signature: &dkim.Signature{Domain: "attacker.example"}}
	}
	res.DKIM = append(slices.Clone(res.DKIM), s)
	return "signature " + string(s.Status)
}

// holdSeverity fails if adding to a random message makes its disposition under
// random rules milder. It returns the dispositions before and after, and what was
// added.
func holdSeverity(t *testing.T, rnd *rand.Rand) (before, after Disposition, added string) {
	m, r := randomMessage(rnd), randomRules(rnd, 4)
	r.Mode = ModeEnforce
	first := r.Decide(m)
	explained := r.Explain(m)
	for range 1 + rnd.IntN(3) {
		what := add(rnd, r, m)
		if what == "" {
			continue
		}
		added += what + "; "
		second := r.Decide(m)
		if second.Disposition.severity() < first.Disposition.severity() {
			t.Fatalf("%s\n%s (%s, %+v) became\n%s (%s, %+v)\nbefore %+v\nafter %+v\nrules %+v", added,
				first.Disposition, first.Reason, first.Override, second.Disposition, second.Reason, second.Override, explained, r.Explain(m), r)
		}
		if first.Disposition != None && second.Skip {
			t.Fatalf("%s: skipped", added)
		}
		after = second.Disposition
	}
	return first.Disposition, after, added
}

// TestNothingAddedMakesMilder checks that a sender gains nothing by adding
// authors, recipients, List-Ids or signatures.
func TestNothingAddedMakesMilder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	seen := map[string]int{}
	for range 100_000 {
		before, after, added := holdSeverity(t, rnd)
		if added != "" {
			seen[string(before)+" "+string(after)]++
		}
	}
	for _, pair := range []string{
		"none none", "none quarantine", "none defer", "none reject", "quarantine quarantine", "quarantine reject", "defer defer", "reject reject",
	} {
		if seen[pair] < 100 {
			t.Errorf("%s: only %d", pair, seen[pair])
		}
	}
}

// TestAdditions checks that add adds something for every condition of which a
// message can have several values: otherwise TestNothingAddedMakesMilder says
// nothing about it.
func TestAdditions(t *testing.T) {
	rnd := rand.New(rand.NewPCG(13, 14))
	changed := map[string]int{}
	for range 5_000 {
		m, r := randomMessage(rnd), randomRules(rnd, 1)
		before := valuesOf(t, m)
		add(rnd, r, m)
		for name, values := range valuesOf(t, m) {
			if values != before[name] {
				changed[name]++
			}
		}
	}
	for _, c := range Conditions() {
		if c.Several() && changed[c.Name()] < 50 {
			t.Errorf("add changed %s only %d times", c.Name(), changed[c.Name()])
		}
	}
}

// valuesOf returns what m has for each condition, as an explanation says it.
func valuesOf(t *testing.T, m *Message) map[string]string {
	values := map[string]string{}
	for _, c := range Conditions() {
		var o Override
		if err := o.Ask(c.Name(), c.Example()); err != nil {
			t.Fatal(err)
		}
		values[c.Name()] = o.demand(c.Name()).unmet(m)
	}
	return values
}

// FuzzNothingAddedMakesMilder does the same for any message, rules and additions.
func FuzzNothingAddedMakesMilder(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, seed*seed)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		holdSeverity(t, rand.New(rand.NewPCG(a, b)))
	})
}
