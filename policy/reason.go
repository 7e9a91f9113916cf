package policy

import (
	"errors"
	"fmt"
	"slices"

	"authmilter/verify"
	"authmilter/verify/clean"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/domain"
	"authmilter/verify/iprev"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// Reason is why a message is not simply accepted, as it appears in the log.
type Reason string

// The reasons.
const (
	NoReason        Reason = ""
	ReasonDMARC     Reason = "dmarc"           // it failed DMARC, and its author domain has a policy
	ReasonAuthor    Reason = "author"          // DMARC cannot be evaluated: no valid author domain, or too many
	ReasonFrom      Reason = "several_from"    // it has several From fields
	ReasonAuthors   Reason = "several_authors" // its From field names several domains
	ReasonSPF       Reason = "spf"             // SPF failed
	ReasonDKIM      Reason = "dkim"            // its author domain must sign, but did not
	ReasonIPRev     Reason = "iprev"           // the client's address has no verified name
	ReasonTempError Reason = "temperror"       // a look-up did not finish
)

// Reasons returns every Reason except NoReason.
func Reasons() []Reason {
	return []Reason{ReasonDMARC, ReasonAuthor, ReasonFrom, ReasonAuthors, ReasonSPF, ReasonDKIM, ReasonIPRev, ReasonTempError}
}

// PerReason says what happens to a message for each reason other than the policy
// of its author domain. An empty disposition is None.
type PerReason struct {
	// Author is for messages with no known author domain, or with too many, and
	// Bounce for messages with a null sender and no author domain at all: there is
	// no domain to protect, and many bounces are like that.
	// SeveralFrom is for messages with several From fields, and SeveralAuthors for
	// messages with one From field that names several domains. DMARC is evaluated
	// for the latter two as well, as if each domain were the only one.
	Author, Bounce, SeveralFrom, SeveralAuthors Disposition
	// SPF is for an SPF result of fail.
	SPF Disposition
	// DKIM is for messages from the author domains in DKIMRequired (lower-case
	// A-labels), and from domains below them, if no signature by that domain or
	// one below it passed.
	DKIM         Disposition
	DKIMRequired []string
	// IPRev is for clients whose address has no verified name.
	IPRev Disposition
	// TempErrors are for checks that a temporary error kept from finishing.
	TempErrors TempErrors
}

// dmarc adds what the author domains ask for. Each is judged separately, so that an
// unknown or milder policy does not spare a message what another domain asks for.
func (r *Rules) dmarc(list []finding, m *Message) []finding {
	all, split := results(m.Result), splitAuthor(m.Result)
	for i := range all {
		switch d := &all[i]; d.Status {
		case dmarc.Fail:
			list = with(list, r.soften(r.failed(m, d, requested(d)), split))
		case dmarc.TempError:
			f := r.failed(m, d, Disposition(d.Pending)).open(&methodDMARC, d.Author, r.PerReason.TempErrors.DMARC)
			list = with(list, r.soften(f, split))
		}
	}
	return list
}

// results returns the DMARC result for each author domain, or only the strictest if
// res has no others.
func results(res *verify.Result) []dmarc.Result {
	if len(res.Authors) > 0 {
		return res.Authors
	}
	return []dmarc.Result{res.DMARC}
}

// failed returns the finding for a message that fails DMARC, or may fail it, for
// an author domain whose policy asks for a disposition.
func (r *Rules) failed(m *Message, d *dmarc.Result, asked Disposition) finding {
	f := finding{disposition: asked, reason: ReasonDMARC}
	if f.override = r.trustedForwarder(m.Result); f.override.Type != NotOverridden {
		f.disposition = None
		return f
	}
	p := d.Policy
	if p == nil {
		return f
	}
	if p.Testing && p.Published != p.Effective() {
		f.override = OverrideReason{TestMode, fmt.Sprintf("%s tests %s=%s", p.RecordDomain, p.Tag, p.Published)}
	}
	if m.Sample >= p.Percent && f.disposition != None {
		// RFC 7489 section 6.6.4: the rest is treated one level milder. In
		// RFC 9989 mode, Percent is always 100.
		f.disposition = milder(f.disposition)
		f.override = OverrideReason{SampledOut, fmt.Sprintf("%s asks it for %d%% of its mail", p.RecordDomain, p.Percent)}
	}
	return f
}

// milder returns the disposition one level below d.
func milder(d Disposition) Disposition {
	if d == Reject {
		return Quarantine
	}
	return None
}

// author adds the finding for a message with an author for whom DMARC cannot be
// evaluated.
func (r *Rules) author(list []finding, m *Message) []finding {
	for _, d := range results(m.Result) {
		if d.Status != dmarc.PermError {
			continue
		}
		f := finding{
			disposition: orNone(r.PerReason.Author), reason: ReasonAuthor, code: "7.1",
			text: "DMARC cannot be evaluated: " + clean.Err(d.Err),
		}
		if d.Reason == dmarc.ReasonNoAuthor && m.Envelope.MailFrom == "" && m.Result.Author.Unaddressed {
			f.disposition = orNone(r.PerReason.Bounce)
		}
		// A message that cannot be evaluated fares no better than one that fails.
		if asked := (finding{disposition: Disposition(d.Pending)}); d.Pending != "" && r.strictest(f, asked) == asked {
			f.disposition = asked.disposition
		}
		list = with(list, f)
	}
	return list
}

// severalFrom adds the finding for a message with several From fields.
func (r *Rules) severalFrom(list []finding, m *Message) []finding {
	if !errors.Is(m.Result.Author.Err, message.ErrSeveralFrom) {
		return list
	}
	return with(list, finding{
		disposition: orNone(r.PerReason.SeveralFrom), reason: ReasonFrom, code: "7.1",
		text: "Message with several From fields",
	})
}

// severalAuthors adds the finding for a message with authors in several domains.
func (r *Rules) severalAuthors(list []finding, m *Message) []finding {
	if len(m.Result.Author.Domains) < 2 {
		return list
	}
	return with(list, finding{
		disposition: orNone(r.PerReason.SeveralAuthors), reason: ReasonAuthors, code: "7.1",
		text: "Message with authors of several domains",
	})
}

// spf adds the finding for a message that fails SPF. There is none if an aligned
// signature vouches for every author.
func (r *Rules) spf(list []finding, m *Message) []finding {
	res := m.Result
	if res.DMARC.Status == dmarc.Pass || r.trustedForwarder(res).Type != NotOverridden {
		return list
	}
	f := finding{disposition: orNone(r.PerReason.SPF), reason: ReasonSPF, code: "7.23"}
	switch res.SPF.Status {
	case spf.TempError:
		return with(list, f.open(&methodSPF, res.SPF.Domain, r.PerReason.TempErrors.SPF))
	case spf.Fail:
		f.text = "SPF validation failed for " + res.SPF.Domain
	default:
		return list
	}
	for _, d := range results(res) {
		switch {
		case d.Status == dmarc.Pass:
		case vouchable(&d, res):
			list = with(list, f.open(&methodDMARC, d.Author, r.PerReason.TempErrors.DMARC))
		default:
			list = with(list, f)
		}
	}
	return list
}

// vouchable reports whether a signature could vouch for the author domain of d
// when the message is checked again. An unknown policy is not enough: anybody can
// set up a domain whose policy cannot be looked up.
func vouchable(d *dmarc.Result, res *verify.Result) bool {
	switch {
	case d.Status != dmarc.TempError:
		return false
	case d.Reason == dmarc.ReasonIdentifier || d.Reason == dmarc.ReasonAlignmentLookup:
		return true
	}
	return slices.ContainsFunc(res.DKIM, func(s dkim.Result) bool {
		signer := s.Signature.Domain
		return (s.Status == dkim.Pass || s.Status == dkim.TempError) &&
			(domain.IsSubdomain(d.Author, signer) || domain.IsSubdomain(signer, d.Author))
	})
}

// dkim adds the findings for a message with authors whose domains must sign.
func (r *Rules) dkim(list []finding, m *Message) []finding {
	if r.trustedForwarder(m.Result).Type != NotOverridden {
		return list
	}
	for _, author := range m.Result.Author.Domains {
		if slices.ContainsFunc(r.PerReason.DKIMRequired, func(d string) bool { return domain.IsSubdomain(author, d) }) {
			list = with(list, r.dkimOf(author, m.Result.DKIM))
		}
	}
	return list
}

// dkimOf returns the finding for a message from an author whose domain must sign.
func (r *Rules) dkimOf(author string, signatures []dkim.Result) finding {
	f := finding{disposition: orNone(r.PerReason.DKIM), reason: ReasonDKIM, code: "7.20", text: "No passing DKIM signature found"}
	open := false
	for i := range signatures {
		d := &signatures[i]
		own := d.Signature != nil && within(author, d.Signature.Domain, r.PerReason.DKIMRequired)
		switch {
		case d.Status == dkim.Pass && own:
			return finding{disposition: None}
		case d.Status == dkim.TempError && own:
			open = true
		case d.Status == dkim.Pass:
			f.code, f.text = "7.22", "No valid author-matched DKIM signature found"
		case d.Status == dkim.Policy && f.code == "7.20":
			f.code, f.text = "7.21", "No acceptable DKIM signature found"
		}
	}
	if open {
		return f.open(&methodDKIM, author, r.PerReason.TempErrors.DKIM)
	}
	return f
}

// within reports whether one of the domains in list contains both author and signer.
func within(author, signer string, list []string) bool {
	return slices.ContainsFunc(list, func(d string) bool {
		return domain.IsSubdomain(author, d) && domain.IsSubdomain(signer, d)
	})
}

// iprev adds the finding for mail from a client without a verified name.
func (r *Rules) iprev(list []finding, m *Message) []finding {
	p := m.Result.IPRev
	if p == nil || p.Status == iprev.Pass {
		return list
	}
	client := m.Envelope.Client()
	f := finding{
		disposition: orNone(r.PerReason.IPRev), reason: ReasonIPRev, code: "7.25",
		text: "Reverse DNS validation failed for " + client,
	}
	if p.Status == iprev.TempError {
		f = f.open(&methodIPRev, client, r.PerReason.TempErrors.IPRev)
	}
	return with(list, f)
}

func orNone(d Disposition) Disposition {
	if d == "" {
		return None
	}
	return d
}
