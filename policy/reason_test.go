package policy

import (
	"errors"
	"fmt"
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

// unjudged returns a message from example.com, which has no DMARC policy. It
// passes nothing.
func unjudged() *verify.Result {
	return &verify.Result{
		Author: message.Author{Domains: []string{"example.com"}},
		SPF:    spf.Result{Status: spf.None},
		DMARC:  dmarc.Result{Status: dmarc.None, Author: "example.com"},
		ARC:    arc.Result{Status: arc.None},
	}
}

func signatures(list ...any) []dkim.Result {
	var all []dkim.Result
	for i := 0; i < len(list); i += 2 {
		all = append(all, dkim.Result{Status: list[i].(dkim.Status), Signature: &dkim.Signature{Domain: list[i+1].(string)}})
	}
	return all
}

// openResult returns the result for an author domain if something did not finish.
// pendingResult returns one with a policy that may ask for a disposition.
func openResult(why dmarc.Reason) dmarc.Result {
	return dmarc.Result{Status: dmarc.TempError, Reason: why, Author: "example.com", Disposition: dmarc.DispositionNone, Pending: dmarc.DispositionNone}
}

func pendingResult(d dmarc.Disposition) dmarc.Result {
	r := openResult(dmarc.ReasonPolicyLookup)
	r.Pending = d
	return r
}

// TestReasons checks each reason alone and with facts that outweigh it.
func TestReasons(t *testing.T) {
	all := PerReason{
		Author: Reject, SeveralFrom: Reject, SeveralAuthors: Reject, SPF: Reject, DKIM: Reject, IPRev: Reject,
		DKIMRequired: []string{"example.com"}, TempErrors: TempErrors{TempErrorTempfail, TempErrorTempfail, TempErrorTempfail, TempErrorTempfail},
	}
	required := PerReason{DKIM: Reject, DKIMRequired: []string{"example.com"}}
	for _, test := range []struct {
		name   string
		change func(*verify.Result)
		rules  PerReason
		want   string // DISPOSITION REASON STATUS
	}{
		{"nothing wrong", func(r *verify.Result) { r.DKIM = signatures(dkim.Pass, "example.com") }, all, "none  "},

		{"SPF fails", func(r *verify.Result) { r.SPF.Status = spf.Fail }, PerReason{SPF: Reject}, "reject spf 5.7.23"},
		{"SPF fails, quarantined", func(r *verify.Result) { r.SPF.Status = spf.Fail }, PerReason{SPF: Quarantine}, "quarantine spf "},
		{"SPF fails, accepted", func(r *verify.Result) { r.SPF.Status = spf.Fail }, PerReason{}, "none  "},
		{"SPF fails, DMARC passes", func(r *verify.Result) { r.SPF.Status, r.DMARC.Status = spf.Fail, dmarc.Pass }, PerReason{SPF: Reject}, "none  "},
		{"SPF fails, the author's policy is not known", func(r *verify.Result) { r.SPF.Status, r.DMARC = spf.Fail, openResult(dmarc.ReasonPolicyLookup) }, PerReason{SPF: Reject}, "reject spf 5.7.23"},
		{"SPF fails, the author's policy is not known, and a stranger has signed", func(r *verify.Result) {
			r.SPF.Status, r.DMARC, r.DKIM = spf.Fail, openResult(dmarc.ReasonPolicyLookup), signatures(dkim.Pass, "a.example")
		}, PerReason{SPF: Reject}, "reject spf 5.7.23"},
		{"SPF fails, the author's policy is not known, and the author has signed", func(r *verify.Result) {
			r.SPF.Status, r.DMARC, r.DKIM = spf.Fail, openResult(dmarc.ReasonPolicyLookup), signatures(dkim.Pass, "mail.example.com")
		}, PerReason{SPF: Reject}, "defer temperror 4.7.1"},
		{"SPF fails, the author may have signed", func(r *verify.Result) { r.SPF.Status, r.DMARC = spf.Fail, openResult(dmarc.ReasonIdentifier) }, PerReason{SPF: Reject}, "defer temperror 4.7.1"},
		{"SPF fails, the author may have signed, accepted", func(r *verify.Result) { r.SPF.Status, r.DMARC = spf.Fail, openResult(dmarc.ReasonIdentifier) },
			PerReason{SPF: Reject, TempErrors: TempErrors{DMARC: TempErrorAccept}}, "none  "},
		{"SPF fails, one author passes and one is not known", func(r *verify.Result) {
			r.SPF.Status, r.Authors = spf.Fail, []dmarc.Result{{Status: dmarc.Pass, Author: "example.com"}, openResult(dmarc.ReasonPolicyLookup)}
		}, PerReason{SPF: Reject}, "reject spf 5.7.23"},
		{"SPF fails, a subdomain has signed, and that does not align", func(r *verify.Result) {
			r.SPF.Status, r.DKIM = spf.Fail, signatures(dkim.Pass, "mail.example.com")
			r.DMARC.Status, r.DMARC.Reason = dmarc.Fail, dmarc.ReasonNotAligned
		}, PerReason{SPF: Reject}, "reject spf 5.7.23"},
		{"SPF fails, a subdomain has signed, and the author has no policy", func(r *verify.Result) {
			r.SPF.Status, r.DKIM = spf.Fail, signatures(dkim.Pass, "mail.example.com")
		}, PerReason{SPF: Reject}, "reject spf 5.7.23"},
		{"SPF softfails", func(r *verify.Result) { r.SPF.Status = spf.SoftFail }, all, "reject dkim 5.7.20"},
		{"SPF is permerror", func(r *verify.Result) { r.SPF.Status = spf.PermError }, PerReason{SPF: Reject}, "none  "},

		{"not signed", func(*verify.Result) {}, required, "reject dkim 5.7.20"},
		{"not signed, and need not be", func(r *verify.Result) { r.Author.Domains = []string{"example.net"} }, required, "none  "},
		{"not signed, below a domain that must", func(r *verify.Result) { r.Author.Domains = []string{"a.example.com"} }, required, "reject dkim 5.7.20"},
		{"signed", func(r *verify.Result) { r.DKIM = signatures(dkim.Pass, "example.com") }, required, "none  "},
		{"signed by a subdomain", func(r *verify.Result) { r.DKIM = signatures(dkim.Pass, "mail.example.com") }, required, "none  "},
		{"signed by another", func(r *verify.Result) { r.DKIM = signatures(dkim.Pass, "example.net") }, required, "reject dkim 5.7.22"},
		{"signed weakly", func(r *verify.Result) { r.DKIM = signatures(dkim.Policy, "example.com") }, required, "reject dkim 5.7.21"},
		{"a broken signature", func(r *verify.Result) { r.DKIM = signatures(dkim.Fail, "example.com") }, required, "reject dkim 5.7.20"},
		{"a broken one and one that passes", func(r *verify.Result) { r.DKIM = signatures(dkim.Fail, "example.com", dkim.Pass, "example.com") }, required, "none  "},
		{"one that is unknown for now", func(r *verify.Result) { r.DKIM = signatures(dkim.Fail, "example.com", dkim.TempError, "example.com") }, required, "defer temperror 4.7.20"},
		{"one that is unknown for now, accepted", func(r *verify.Result) { r.DKIM = signatures(dkim.TempError, "example.com") },
			PerReason{DKIM: Reject, DKIMRequired: []string{"example.com"}, TempErrors: TempErrors{DKIM: TempErrorAccept}}, "none  "},
		{"one that is unknown for now, and need not be", func(r *verify.Result) { r.DKIM = signatures(dkim.TempError, "example.com") }, PerReason{}, "none  "},
		{"one of another that is unknown for now", func(r *verify.Result) { r.DKIM = signatures(dkim.TempError, "example.net") }, required, "reject dkim 5.7.20"},
		{"not signed, with another author first", func(r *verify.Result) { r.Author.Domains = []string{"example.net", "example.com"} }, required, "reject dkim 5.7.20"},
		{"signed, with another author first", func(r *verify.Result) {
			r.Author.Domains, r.DKIM = []string{"example.net", "a.example.com"}, signatures(dkim.Pass, "example.com")
		}, required, "none  "},

		{"iprev fails", func(r *verify.Result) { r.IPRev = &iprev.Result{Status: iprev.Fail} }, PerReason{IPRev: Reject}, "reject iprev 5.7.25"},
		{"no name", func(r *verify.Result) { r.IPRev = &iprev.Result{Status: iprev.PermError} }, PerReason{IPRev: Reject}, "reject iprev 5.7.25"},
		{"iprev passes", func(r *verify.Result) { r.IPRev = &iprev.Result{Status: iprev.Pass} }, PerReason{IPRev: Reject}, "none  "},
		{"iprev is open", func(r *verify.Result) { r.IPRev = &iprev.Result{Status: iprev.TempError} }, PerReason{IPRev: Reject}, "defer temperror 4.7.25"},
		{"iprev is open, accepted", func(r *verify.Result) { r.IPRev = &iprev.Result{Status: iprev.TempError} }, PerReason{IPRev: Reject, TempErrors: TempErrors{IPRev: TempErrorAccept}}, "none  "},
		{"iprev is open, and would not matter", func(r *verify.Result) { r.IPRev = &iprev.Result{Status: iprev.TempError} }, PerReason{}, "none  "},
		{"iprev was not asked for", func(*verify.Result) {}, PerReason{IPRev: Reject}, "none  "},

		{"no author", func(r *verify.Result) { r.DMARC.Status, r.DMARC.Err = dmarc.PermError, errors.New("no author domain") }, PerReason{Author: Reject}, "reject author 5.7.1"},
		{"not evaluated, and the policy asks for more", func(r *verify.Result) {
			r.DMARC = dmarc.Result{Status: dmarc.PermError, Pending: dmarc.DispositionReject, Err: errors.New("message header too large")}
		}, PerReason{Author: Quarantine}, "reject author 5.7.1"},
		{"not evaluated, and the policy asks for less", func(r *verify.Result) {
			r.DMARC = dmarc.Result{Status: dmarc.PermError, Pending: dmarc.DispositionNone}
		}, PerReason{Author: Quarantine}, "quarantine author "},
		{"not evaluated, and accepted", func(r *verify.Result) {
			r.DMARC = dmarc.Result{Status: dmarc.PermError, Pending: dmarc.DispositionQuarantine}
		}, PerReason{}, "quarantine author "},
		{"no author, marked", func(r *verify.Result) { r.DMARC.Status = dmarc.PermError }, PerReason{Author: Quarantine}, "quarantine author "},
		{"two From fields", func(r *verify.Result) { r.Author.Err = message.ErrSeveralFrom }, PerReason{SeveralFrom: Reject}, "reject several_from 5.7.1"},
		{"two From fields and more that is wrong", func(r *verify.Result) { r.Author.Err = errors.Join(message.ErrFromSyntax, message.ErrSeveralFrom) }, PerReason{SeveralFrom: Quarantine}, "quarantine several_from "},
		{"two authors", func(r *verify.Result) { r.Author.Domains = append(r.Author.Domains, "example.net") }, PerReason{SeveralAuthors: Reject}, "reject several_authors 5.7.1"},
		{"two authors, accepted", func(r *verify.Result) { r.Author.Domains = append(r.Author.Domains, "example.net") }, PerReason{}, "none  "},

		{"DMARC is open", func(r *verify.Result) { r.DMARC.Status = dmarc.TempError }, PerReason{TempErrors: TempErrors{DMARC: TempErrorTempfail}}, "defer temperror 4.7.1"},
		{"DMARC is open, accepted", func(r *verify.Result) { r.DMARC.Status = dmarc.TempError }, PerReason{TempErrors: TempErrors{TempErrorAccept, TempErrorTempfail, TempErrorTempfail, TempErrorTempfail}}, "none  "},
		{"SPF is open", func(r *verify.Result) { r.SPF.Status = spf.TempError }, PerReason{TempErrors: TempErrors{SPF: TempErrorTempfail}}, "defer temperror 4.7.24"},
		{"DMARC is open, and nothing is known", func(r *verify.Result) { r.DMARC = openResult(dmarc.ReasonPolicyLookup) }, PerReason{}, "none  "},
		{"DMARC is open, and a policy asks for reject", func(r *verify.Result) { r.DMARC = pendingResult(dmarc.DispositionReject) }, PerReason{}, "defer temperror 4.7.1"},
		{"DMARC is open, and a policy asks for quarantine", func(r *verify.Result) { r.DMARC = pendingResult(dmarc.DispositionQuarantine) }, PerReason{}, "defer temperror 4.7.1"},
		{"DMARC is open, and a policy asks for reject, accepted", func(r *verify.Result) { r.DMARC = pendingResult(dmarc.DispositionReject) }, PerReason{TempErrors: TempErrors{DMARC: TempErrorAccept}}, "none  "},
		{"another author is milder, and known", func(r *verify.Result) {
			quarantined := dmarc.Result{Status: dmarc.Fail, Disposition: dmarc.DispositionQuarantine, Author: "a.example"}
			r.DMARC, r.Authors = quarantined, []dmarc.Result{quarantined, pendingResult(dmarc.DispositionReject)}
		}, PerReason{}, "defer temperror 4.7.1"},
		{"another author is milder, and known, the other accepted", func(r *verify.Result) {
			quarantined := dmarc.Result{Status: dmarc.Fail, Disposition: dmarc.DispositionQuarantine, Author: "a.example"}
			r.DMARC, r.Authors = quarantined, []dmarc.Result{pendingResult(dmarc.DispositionReject), quarantined}
		}, PerReason{TempErrors: TempErrors{DMARC: TempErrorAccept}}, "quarantine dmarc "},
		{"SPF is open, and a fail would be rejected", func(r *verify.Result) { r.SPF.Status = spf.TempError }, PerReason{SPF: Reject}, "defer temperror 4.7.24"},
		{"SPF is open, and a fail would be rejected, accepted", func(r *verify.Result) { r.SPF.Status = spf.TempError }, PerReason{SPF: Reject, TempErrors: TempErrors{SPF: TempErrorAccept}}, "none  "},
		{"SPF is open, and nothing depends on it", func(r *verify.Result) { r.SPF.Status = spf.TempError }, PerReason{}, "none  "},
		{"SPF is open, DMARC passes", func(r *verify.Result) { r.SPF.Status, r.DMARC.Status = spf.TempError, dmarc.Pass }, PerReason{TempErrors: TempErrors{SPF: TempErrorTempfail}}, "none  "},
		{"a key is unknown for now", func(r *verify.Result) { r.DKIM = signatures(dkim.TempError, "a.example") }, PerReason{TempErrors: TempErrors{DKIM: TempErrorTempfail}}, "defer temperror 4.7.20"},
		{"the client's name is unknown for now", func(r *verify.Result) { r.IPRev = &iprev.Result{Status: iprev.TempError} }, PerReason{TempErrors: TempErrors{IPRev: TempErrorTempfail}}, "defer temperror 4.7.25"},

		{"what is rejected need not come again", func(r *verify.Result) {
			r.SPF.Status, r.IPRev = spf.TempError, &iprev.Result{Status: iprev.Fail}
		}, PerReason{IPRev: Reject, TempErrors: TempErrors{SPF: TempErrorTempfail}}, "reject iprev 5.7.25"},
		{"what is marked may come again", func(r *verify.Result) {
			r.SPF.Status, r.IPRev = spf.TempError, &iprev.Result{Status: iprev.Fail}
		}, PerReason{IPRev: Quarantine, TempErrors: TempErrors{SPF: TempErrorTempfail}}, "defer temperror 4.7.24"},
	} {
		res := unjudged()
		test.change(res)
		r := &Rules{Mode: ModeEnforce, PerReason: test.rules}
		d := r.Decide(&Message{Envelope: envelope, Result: res})
		if got := fmt.Sprintf("%s %s %s", d.Disposition, d.Reason, d.Reply.Status); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		// A trusted forwarder is excused for what it vouches for, but not for its
		// own address or for what was never established.
		if (d.Reason == ReasonSPF || d.Reason == ReasonDKIM) && len(res.Author.Domains)+len(res.Authors) == 1 {
			res.ARC = chainOf("one.example mx; dkim=pass header.d=example.com")
			res.DMARC.Policy = &dmarc.Policy{AuthorDomain: res.DMARC.Author, OrgDomain: "example.com"}
			r.TrustedSealers = []string{"one.example"}
			if d := r.Decide(&Message{Envelope: envelope, Result: res}); d.Disposition != None {
				t.Errorf("%s, by a trusted forwarder: %+v", test.name, d)
			}
		}
	}
}

// TestDMARCDispositions checks every policy with every way to carry it out.
func TestDMARCDispositions(t *testing.T) {
	for _, test := range []struct {
		asked   dmarc.Disposition
		testing bool
		percent int
		sample  int
		by      QuarantineBy
		want    string // DISPOSITION REASON
	}{
		{dmarc.DispositionReject, false, 100, 99, "", "reject "},
		{dmarc.DispositionQuarantine, false, 100, 99, "", "quarantine "},
		{dmarc.DispositionQuarantine, false, 100, 99, ByHold, "quarantine "},
		{dmarc.DispositionQuarantine, false, 100, 99, ByReject, "reject "},
		{dmarc.DispositionNone, false, 100, 99, ByReject, "none "},
		{dmarc.DispositionReject, true, 100, 0, "", "quarantine policy_test_mode"},
		{dmarc.DispositionQuarantine, true, 100, 0, "", "none policy_test_mode"},
		{dmarc.DispositionNone, true, 100, 0, "", "none "},
		{dmarc.DispositionReject, false, 10, 9, "", "reject "},
		{dmarc.DispositionReject, false, 10, 10, "", "quarantine sampled_out"},
		{dmarc.DispositionQuarantine, false, 10, 10, "", "none sampled_out"},
		{dmarc.DispositionReject, false, 0, 0, "", "quarantine sampled_out"},
	} {
		res := failed("example.com", dmarc.Relaxed, dmarc.Relaxed)
		p := res.DMARC.Policy
		p.Published, p.Testing, p.Percent, p.Tag, p.RecordDomain = test.asked, test.testing, test.percent, "p", "example.com"
		res.DMARC.Disposition = p.Effective()
		r := &Rules{Mode: ModeEnforce, QuarantineBy: test.by}
		d := r.Decide(&Message{Envelope: envelope, Result: res, Sample: test.sample})
		if got := fmt.Sprintf("%s %s", d.Disposition, d.Override.Type); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
		if (d.HoldReason != "") != (test.by == ByHold && d.Disposition == Quarantine) || d.QuarantineText != "" && d.QuarantineText != "DMARC policy of example.com" {
			t.Errorf("%+v: %+v", test, d)
		}
		if d.Disposition == Reject && (d.Reply != Reply{550, "5.7.1", "Email rejected per DMARC policy for example.com"}) {
			t.Errorf("%+v: %+v", test, d.Reply)
		}
	}
}

// TestReplies checks that replies are one line of printable ASCII, whatever a
// sender writes.
func TestReplies(t *testing.T) {
	for _, text := range append(hostile, "{author_domain}", "{client}{policy}", strings.Repeat("%", 5000)) {
		res := failed(text, dmarc.Relaxed, dmarc.Relaxed)
		res.SPF = spf.Result{Status: spf.Fail, Domain: text}
		res.DMARC.Err = errors.New(text)
		for _, r := range []*Rules{
			{Mode: ModeEnforce, Reply: ReplyTemplate{Status: "5.7.26", Text: "{author_domain} {mail_from} {policy} {client} {author_domain}"}},
			{Mode: ModeEnforce, PerReason: PerReason{SPF: Reject}},
			{Mode: ModeEnforce, PerReason: PerReason{Author: Reject}},
			{Mode: ModeEnforce, PerReason: PerReason{TempErrors: TempErrors{DMARC: TempErrorTempfail}}},
		} {
			want := Reject
			if r.PerReason.SPF != "" {
				res.DMARC.Status = dmarc.None
			}
			if r.PerReason.Author != "" {
				res.DMARC.Status = dmarc.PermError
			}
			if r.PerReason.TempErrors.DMARC == TempErrorTempfail {
				res.DMARC.Status, want = dmarc.TempError, Defer
			}
			d := r.Decide(&Message{Envelope: verify.Envelope{ClientIP: envelope.ClientIP, MailFrom: text}, Result: res})
			line := fmt.Sprintf("%d %s %s", d.Reply.Code, d.Reply.Status, d.Reply.Text)
			if d.Disposition != want || len(line)+strings.Count(line, "%")+2 > 512 {
				t.Errorf("%.40q: %+v", text, d)
			}
			for _, c := range []byte(line) {
				if c < ' ' || c >= 0x7f {
					t.Errorf("%.40q: %q", text, line)
					break
				}
			}
		}
	}
	if got := (ReplyTemplate{Text: "{policy} {author_domain}"}).expand(&Message{Result: failed("{policy}", "r", "r")}); got != "reject {policy}" {
		t.Errorf("expanded twice: %q", got)
	}
}

// TestDeferrals checks that a reply names the domain whose DNS does not answer.
func TestDeferrals(t *testing.T) {
	all := TempErrors{TempErrorTempfail, TempErrorTempfail, TempErrorTempfail, TempErrorTempfail}
	for _, test := range []struct {
		change func(*verify.Result)
		want   string
	}{
		{func(r *verify.Result) { r.DMARC = openResult(dmarc.ReasonPolicyLookup) }, "4.7.1 Cannot check DMARC of example.com now, please try again later"},
		{func(r *verify.Result) {
			r.DMARC = openResult(dmarc.ReasonPolicyLookup)
			r.Authors = []dmarc.Result{{Status: dmarc.None, Author: "a.example"}, r.DMARC}
		}, "4.7.1 Cannot check DMARC of example.com now, please try again later"},
		{func(r *verify.Result) { r.SPF = spf.Result{Status: spf.TempError, Domain: "b.example"} }, "4.7.24 Cannot check SPF of b.example now, please try again later"},
		{func(r *verify.Result) { r.DKIM = signatures(dkim.Fail, "a.example", dkim.TempError, "c.example") },
			"4.7.20 Cannot check the DKIM signature of c.example now, please try again later"},
		{func(r *verify.Result) { r.IPRev = &iprev.Result{Status: iprev.TempError} },
			"4.7.25 Cannot check reverse DNS of " + envelope.ClientIP.String() + " now, please try again later"},
		// After an internal error, nothing is known.
		{func(r *verify.Result) { *r = *verify.Failed(errors.New("fault")) }, "4.7.1 Cannot check DMARC now, please try again later"},
	} {
		res := unjudged()
		test.change(res)
		r := &Rules{Mode: ModeEnforce, PerReason: PerReason{TempErrors: all}}
		m := &Message{Envelope: envelope, Result: res}
		d := r.Decide(m)
		if got := d.Reply.Status + " " + d.Reply.Text; d.Reply.Code != 451 || got != test.want {
			t.Errorf("%d %s, want 451 %s", d.Reply.Code, got, test.want)
		}
		if steps := r.Explain(m); !strings.Contains(steps[0].Outcome, d.Reply.Text) {
			t.Errorf("the explanation %q does not say so", steps[0].Outcome)
		}
	}
}

// TestPlaceholdersOfNothing checks that unknown values expand to nothing.
func TestPlaceholdersOfNothing(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"rejected {client}", "rejected "},
		{"rejected {client}: {mail_from}", "rejected : "},
		{"rejected for {author_domain}", "rejected for "},
		{"asks for {policy}", "asks for none"},
	} {
		if got := (ReplyTemplate{Text: test.text}).expand(&Message{Result: &verify.Result{}}); got != test.want {
			t.Errorf("%s: %q", test.text, got)
		}
	}
	// Other replies leave the client out as well.
	res := unjudged()
	res.IPRev = &iprev.Result{Status: iprev.PermError}
	r := &Rules{Mode: ModeEnforce, PerReason: PerReason{IPRev: Reject}}
	if d := r.Decide(&Message{Result: res}); d.Reply.Text != "Reverse DNS validation failed for " {
		t.Errorf("%q", d.Reply.Text)
	}
}

func TestReceivedSPF(t *testing.T) {
	env := envelope
	env.MailFrom = `"odd\" local"@example.com`
	got := ReceivedSPF("mx.example.org", env, &spf.Result{Status: spf.Fail, Identity: spf.MailFrom, Mechanism: "-all"})
	want := strings.ReplaceAll(`fail
	receiver=mx.example.org;
	client-ip=192.0.2.1;
	envelope-from="\"odd\\\" local\"@example.com";
	helo=out.example.com;
	identity=mailfrom;
	mechanism=-all`, "\n", "\r\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, text := range hostile {
		got := ReceivedSPF("mx", verify.Envelope{Helo: text, MailFrom: text}, &spf.Result{Status: spf.TempError, Identity: spf.Helo, Err: errors.New(text), Mechanism: text})
		for line := range strings.SplitSeq(strings.ReplaceAll(got, "\r\n\t", "\n"), "\n") {
			if strings.ContainsAny(line, "\r\x00\t") || len(line) > 998 {
				t.Errorf("%.40q: %q", text, line)
			}
		}
	}
}
