package policy

import (
	"errors"
	"fmt"
	"slices"

	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/domain"
	"authmilter/verify/iprev"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// Reason is why a message is not simply accepted, in the words of the log.
type Reason string

// The reasons.
const (
	NoReason        Reason = ""
	ReasonDMARC     Reason = "dmarc"           // it failed DMARC, and its author domain has a policy
	ReasonAuthor    Reason = "author"          // DMARC cannot be evaluated: no author domain, one that cannot be judged, or too many
	ReasonFrom      Reason = "several_from"    // it has several From fields
	ReasonAuthors   Reason = "several_authors" // its From field names several domains
	ReasonSPF       Reason = "spf"             // SPF failed
	ReasonDKIM      Reason = "dkim"            // its author domain must sign, and has not
	ReasonIPRev     Reason = "iprev"           // the client's address has no verified name
	ReasonTempError Reason = "temperror"       // a look-up did not finish
)

// Reasons returns every Reason but NoReason.
func Reasons() []Reason {
	return []Reason{ReasonDMARC, ReasonAuthor, ReasonFrom, ReasonAuthors, ReasonSPF, ReasonDKIM, ReasonIPRev, ReasonTempError}
}

// PerReason says what is done with a message for each reason other than the
// policy of its author domain. An empty disposition is None.
type PerReason struct {
	// Author is for messages whose author domain is not known, or that have too
	// many; SeveralFrom for those with several From fields; and SeveralAuthors
	// for those with one field that names several domains. The latter two are
	// judged by DMARC too, as if each domain were the only one.
	Author, SeveralFrom, SeveralAuthors Disposition
	// SPF is for an SPF result of fail.
	SPF Disposition
	// DKIM is for messages of the author domains in DKIMRequired, lower-case
	// A-labels, and of those below them, without a signature of that domain or
	// one below it that passed.
	DKIM         Disposition
	DKIMRequired []string
	// IPRev is for clients whose address has no verified name.
	IPRev Disposition
	// TempErrors are for what could not be found out now.
	TempErrors TempErrors
}

// dmarc returns what the author domains ask for. Each counts for itself, so that
// none that is unknown, or milder, spares a message what another one asks for.
func (r *Rules) dmarc(list []finding, m *Message) []finding {
	all := results(m.Result)
	for i := range all {
		switch d := &all[i]; d.Status {
		case dmarc.Fail:
			list = with(list, r.failed(m, d, requested(d)))
		case dmarc.TempError:
			f := r.failed(m, d, Disposition(d.Pending))
			list = with(list, f.open(&methodDMARC, d.Author, r.PerReason.TempErrors.DMARC))
		}
	}
	return list
}

// results returns the DMARC result for each author domain, the strictest alone if
// that is all there is.
func results(res *verify.Result) []dmarc.Result {
	if len(res.Authors) > 0 {
		return res.Authors
	}
	return []dmarc.Result{res.DMARC}
}

// failed returns what is done with a message that fails, or may fail, for an
// author domain whose policy asks for a disposition.
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
		// RFC 7489 section 6.6.4: the rest is treated one level milder. In the
		// mode that RFC 9989 asks for, Percent is always 100.
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

// author returns what is done with a message that has an author whom DMARC cannot
// judge.
func (r *Rules) author(list []finding, m *Message) []finding {
	for _, d := range results(m.Result) {
		if d.Status != dmarc.PermError {
			continue
		}
		f := finding{
			disposition: orNone(r.PerReason.Author), reason: ReasonAuthor, code: "7.1",
			text: "DMARC cannot be evaluated: " + reason(d.Err),
		}
		// A message that cannot be evaluated is not better off than one that fails.
		if asked := (finding{disposition: Disposition(d.Pending)}); d.Pending != "" && r.gravest(f, asked) == asked {
			f.disposition = asked.disposition
		}
		list = with(list, f)
	}
	return list
}

// severalFrom returns what is done with a message with several From fields.
func (r *Rules) severalFrom(list []finding, m *Message) []finding {
	if !errors.Is(m.Result.Author.Err, message.ErrSeveralFrom) {
		return list
	}
	return with(list, finding{
		disposition: orNone(r.PerReason.SeveralFrom), reason: ReasonFrom, code: "7.1",
		text: "Message with several From fields",
	})
}

// severalAuthors returns what is done with a message whose authors are of several
// domains.
func (r *Rules) severalAuthors(list []finding, m *Message) []finding {
	if len(m.Result.Author.Domains) < 2 {
		return list
	}
	return with(list, finding{
		disposition: orNone(r.PerReason.SeveralAuthors), reason: ReasonAuthors, code: "7.1",
		text: "Message with authors of several domains",
	})
}

// spf returns what is done with a message that SPF says is forged. One that an
// aligned signature vouches for, for every author, is not.
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

// vouchable reports whether a signature may vouch for the author domain of d when
// the message is looked at again. That the author's policy is not known does not
// suffice: anybody can have such a domain.
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

// dkim returns what is done with a message that has an author whose domain must
// sign.
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

// dkimOf returns what is done with a message of an author whose domain must sign.
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

// within reports whether author and signer lie within the same domain of a list.
func within(author, signer string, list []string) bool {
	return slices.ContainsFunc(list, func(d string) bool {
		return domain.IsSubdomain(author, d) && domain.IsSubdomain(signer, d)
	})
}

// iprev returns what is done with mail of a client without a verified name.
func (r *Rules) iprev(list []finding, m *Message) []finding {
	p := m.Result.IPRev
	if p == nil || p.Status == iprev.Pass {
		return list
	}
	f := finding{
		disposition: orNone(r.PerReason.IPRev), reason: ReasonIPRev, code: "7.25",
		text: "Reverse DNS validation failed for " + clientText(m),
	}
	if p.Status == iprev.TempError {
		f = f.open(&methodIPRev, clientText(m), r.PerReason.TempErrors.IPRev)
	}
	return with(list, f)
}

func orNone(d Disposition) Disposition {
	if d == "" {
		return None
	}
	return d
}
