package policy

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/iprev"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// pick returns one of list.
func pick[T any](rnd *rand.Rand, list ...T) T { return list[rnd.IntN(len(list))] }

// randomMessage returns a message with any combination of results.
func randomMessage(rnd *rand.Rand) *Message {
	author := pick(rnd, "example.com", "news.example.com", "bank.example")
	res := &verify.Result{
		Author: message.Author{Domains: []string{author}},
		SPF:    spf.Result{Status: pick(rnd, spf.Statuses()...), Domain: "example.net"},
		DMARC:  dmarc.Result{Status: pick(rnd, dmarc.Statuses()...), Author: author, Disposition: dmarc.DispositionNone},
		ARC:    arc.Result{Status: arc.None},
		ListID: randomListID(rnd),
	}
	if res.DMARC.Status == dmarc.TempError {
		res.DMARC.Reason = pick(rnd, dmarc.ReasonPolicyLookup, dmarc.ReasonIdentifier)
		res.DMARC.Pending = pick(rnd, dmarc.DispositionNone, dmarc.DispositionQuarantine, dmarc.DispositionReject)
	}
	if res.DMARC.Status == dmarc.Fail {
		published := pick(rnd, dmarc.DispositionNone, dmarc.DispositionQuarantine, dmarc.DispositionReject)
		p := &dmarc.Policy{
			AuthorDomain: author, Published: published, Tag: "p", RecordDomain: author, Testing: pick(rnd, false, false, true),
			Percent: pick(rnd, 100, 100, 0, 50), Record: &dmarc.Record{ADKIM: dmarc.Relaxed, ASPF: dmarc.Relaxed},
		}
		res.DMARC.Policy, res.DMARC.Disposition = p, p.Effective()
	}
	for range rnd.IntN(3) {
		res.DKIM = append(res.DKIM, dkim.Result{
			Status: pick(rnd, dkim.Statuses()...), Signature: &dkim.Signature{Domain: pick(rnd, "example.com", "bank.example", "other.example")},
		})
	}
	switch rnd.IntN(10) {
	case 0:
		res.Author.Err = message.ErrSeveralFrom
		res.Author.Domains = append(res.Author.Domains, "second.example")
	case 1:
		res.Author.Domains = append(res.Author.Domains, "second.example")
	case 3:
		res.Author.Err = message.ErrAuthorBounds
	case 4: // readers are split
		res.Author.Domains = append(res.Author.Domains, "docs.example")
		res.Author.Bracketed = "docs.example"
		shown := randomAuthor(rnd, "docs.example")
		if rnd.IntN(2) == 0 {
			shown = dmarc.Result{Status: dmarc.Pass, Author: "docs.example"}
		}
		res.Authors = []dmarc.Result{res.DMARC, shown}
		res.DMARC = dmarc.Strictest(res.Authors)
	case 5: // no author at all, as in many bounces
		res.Author = message.Author{Err: message.ErrNoDomain, Unaddressed: true}
		res.DMARC = dmarc.Result{Status: dmarc.PermError, Reason: dmarc.ReasonNoAuthor}
	case 2:
		res.ARC = chainOf("one.example mx; dmarc=pass header.from=" + author)
	}
	if rnd.IntN(2) == 0 {
		res.IPRev = &iprev.Result{Status: pick(rnd, iprev.Statuses()...), Err: errors.New("x")}
	}
	return &Message{
		Envelope: verify.Envelope{
			ClientIP: netip.MustParseAddr(pick(rnd, "192.0.2.1", "198.51.100.1")), ClientName: pick(rnd, "", "mx.example.net"),
			MailFrom: pick(rnd, "", "joe@example.net"),
		},
		Recipients: randomRecipients(rnd),
		Listener:   pick(rnd, "inet:8894@127.0.0.1", "inet:8895@127.0.0.1"),
		Result:     res,
		Sample:     rnd.IntN(100),
	}
}

// randomRules returns rules, with at most n overrides.
func randomRules(rnd *rand.Rand, n int) *Rules {
	any := func() Disposition { return pick(rnd, "", None, Quarantine, Reject) }
	r := &Rules{
		Mode:         pick(rnd, "", ModeReport, ModeEnforce, ModeEnforce),
		QuarantineBy: pick(rnd, "", ByHeader, ByHold, ByReject),
		PerReason: PerReason{
			Author: any(), SeveralFrom: any(), SeveralAuthors: any(), SPF: any(), DKIM: any(), IPRev: any(),
			DKIMRequired: pick(rnd, nil, []string{"example.com"}),
		},
	}
	r.PerReason.Bounce = pick(rnd, None, r.PerReason.Author)
	setting := func() TempError { return pick(rnd, TempErrorByPolicy, TempErrorAccept, TempErrorTempfail) }
	r.PerReason.TempErrors = TempErrors{setting(), setting(), setting(), setting()}
	if rnd.IntN(2) == 0 {
		r.TrustedSealers = []string{"one.example"}
	}
	for range rnd.IntN(n + 1) {
		r.Overrides = append(r.Overrides, randomOverride(rnd))
	}
	return r
}

// TestProperties checks, with random messages and rules, what must hold whatever
// the rules are.
func TestProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	seen := map[Disposition]int{}
	for range 300_000 {
		m, r := randomMessage(rnd), randomRules(rnd, 2)
		d := r.Decide(m)
		seen[d.Disposition]++
		fail := func(what string) {
			t.Helper()
			t.Fatalf("%s\n%+v\nrules %+v\nresult %+v, DMARC %+v", what, d, r, m.Result, m.Result.DMARC)
		}

		if r.Mode != ModeEnforce && (d.Disposition != None || d.Reply != (Reply{}) || d.HoldReason+d.QuarantineText != "") {
			fail("report mode changes what happens to the message")
		}
		// The reply and the quarantine text match the disposition.
		refused := d.Disposition == Reject || d.Disposition == Defer
		if (d.Reply != (Reply{})) != refused || (d.HoldReason+d.QuarantineText != "") != (d.Disposition == Quarantine) || d.HoldReason != "" && d.QuarantineText != "" {
			fail("the disposition and its texts differ")
		}
		if refused {
			class := "5."
			if d.Disposition == Defer {
				class = "4."
			}
			if !strings.HasPrefix(d.Reply.Status, class) || d.Reply.Code/100 != int(class[0]-'0') || d.Reply.Text == "" {
				fail("reply")
			}
		}
		if d.Intended != None && d.Reason == NoReason {
			fail("no reason")
		}

		// A temporary error that leaves the result open never leads to a
		// rejection. Only independent facts do.
		failed := slices.ContainsFunc(m.Result.Authors, func(d dmarc.Result) bool { return d.Status == dmarc.Fail })
		if m.Result.DMARC.Status == dmarc.TempError && !failed && d.Intended == Reject &&
			!slices.Contains([]Reason{ReasonFrom, ReasonAuthors, ReasonIPRev, ReasonDKIM, ReasonSPF}, d.Reason) {
			fail("rejected because of a temporary error")
		}
		openKey := slices.ContainsFunc(m.Result.DKIM, func(s dkim.Result) bool {
			return s.Status == dkim.TempError && s.Signature.Domain == "example.com"
		})
		if d.Reason == ReasonDKIM && d.Intended != None && openKey {
			fail("rejected because of a key that cannot be looked up now")
		}
		// DMARC and SPF never stop a message that passes DMARC.
		openElse := openKey || m.Result.IPRev != nil && m.Result.IPRev.Status == iprev.TempError
		if m.Result.DMARC.Status == dmarc.Pass && (d.Reason == ReasonDMARC || d.Reason == ReasonSPF || d.Reason == ReasonTempError && !openElse) {
			fail("stopped although DMARC passed")
		}

		// Compare with the same rules without overrides.
		plain := *r
		plain.Overrides = nil
		without := plain.Decide(m)
		full, inPart := matchInFull(r, m), tightensInPart(r, m)
		if full < 0 && !inPart && d != without {
			fail("no override, but another decision")
		}
		if full < 0 && d.Intended.severity() < without.Intended.severity() {
			fail("loosened by a rule that matches in part")
		}
		if full >= 0 && !inPart {
			switch action := r.Overrides[full].Action; action {
			case ActionReportOnly:
				if d.Disposition != None || d.Skip {
					fail("not only reported")
				}
			case ActionAccept, ActionSkip:
				if d.Intended != None || d.Skip != (action == ActionSkip) {
					fail("not spared")
				}
			case ActionQuarantine:
				// It loosens or tightens to a quarantine, no further. A temporary
				// error still defers.
				quarantine := Quarantine
				if r.QuarantineBy == ByReject {
					quarantine = Reject
				}
				if without.Intended != None && d.Intended != quarantine && d.Intended != without.Intended && d.Intended != Defer {
					fail("not quarantined")
				}
				if without.Intended != None && d.Intended == None {
					fail("loosened too far")
				}
			case ActionReject:
				if d.Intended.severity() < without.Intended.severity() {
					fail("loosened")
				}
			}
		}
		// What is reported does not depend on the rules that only report.
		plain.Overrides = slices.DeleteFunc(slices.Clone(r.Overrides), func(o Override) bool { return o.Action == ActionReportOnly })
		if len(plain.Overrides) < len(r.Overrides) && d.Intended != plain.Decide(m).Intended {
			fail("a rule that only reports changes what is reported")
		}
		if d.Intended != without.Intended && d.Override.Type != LocalPolicy && d.Override.Type != MailingList {
			fail("changed without a reason")
		}
		if (m.Result.DMARC.Status == dmarc.Pass || m.Result.DMARC.Status == dmarc.None) && without.Intended == None && d.Intended != None {
			fail("an override stops a message that fails nothing")
		}
	}
	for _, d := range Dispositions() {
		if seen[d] < 1000 {
			t.Errorf("%s: only %d", d, seen[d])
		}
	}
}
