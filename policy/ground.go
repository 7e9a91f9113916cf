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

// Ground is a reason to do something with a message.
type Ground string

// The grounds.
const (
	NoGround        Ground = ""
	GroundDMARC     Ground = "dmarc"           // it failed DMARC, and its author domain has a policy
	GroundAuthor    Ground = "author"          // DMARC cannot be evaluated: it has no author domain, or too many
	GroundFrom      Ground = "several_from"    // it has several From fields
	GroundAuthors   Ground = "several_authors" // its From field names several domains
	GroundSPF       Ground = "spf"             // SPF failed
	GroundDKIM      Ground = "dkim"            // its author domain must sign, and has not
	GroundIPRev     Ground = "iprev"           // the client's address has no verified name
	GroundTempError Ground = "temperror"       // a look-up did not finish
)

// AllGrounds returns every Ground but NoGround.
func AllGrounds() []Ground {
	return []Ground{GroundDMARC, GroundAuthor, GroundFrom, GroundAuthors, GroundSPF, GroundDKIM, GroundIPRev, GroundTempError}
}

// Grounds say what is done for reasons other than the policy of an author
// domain. A disposition that is empty is None.
type Grounds struct {
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
	// DeferOn are the methods, by their names in Authentication-Results, whose
	// temporary errors defer a message.
	DeferOn []string
}

// finding is what the facts, without overrides, ask for.
type finding struct {
	disposition Disposition
	ground      Ground
	// code is the enhanced status code without its class that says so to the
	// client (RFC 7372), and text what does.
	code, text string
	// reason is why it is less than what ground asks for.
	reason Reason
}

// findings returns all that the facts ask for.
func (r *Rules) findings(m *Message) []finding {
	return []finding{r.dmarc(m), r.author(m), r.spf(m), r.dkim(m), r.iprev(m), r.tempError(m)}
}

// gravest returns the gravest of list, which is not empty; of several alike, the
// first.
func gravest(list ...finding) finding {
	best := list[0]
	for _, f := range list[1:] {
		if f.disposition.severity() > best.disposition.severity() {
			best = f
		}
	}
	return best
}

// dmarc returns what the author domain asks for.
func (r *Rules) dmarc(m *Message) finding {
	res := m.Result
	d := &res.DMARC
	if d.Status != dmarc.Fail {
		return finding{disposition: None}
	}
	f := finding{disposition: requested(d), ground: GroundDMARC}
	if f.reason = r.trustedForwarder(res); f.reason.Type != NoReason {
		f.disposition = None
		return f
	}
	p := d.Policy
	if p == nil {
		return f
	}
	if p.Testing && p.Published != p.Effective() {
		f.reason = Reason{TestMode, fmt.Sprintf("%s tests %s=%s", p.RecordDomain, p.Tag, p.Published)}
	}
	if m.Sample >= p.Percent && f.disposition != None {
		// RFC 7489 section 6.6.4: the rest is treated one level milder. In the
		// mode that RFC 9989 asks for, Percent is always 100.
		f.disposition = milder(f.disposition)
		f.reason = Reason{SampledOut, fmt.Sprintf("%s asks it for %d%% of its mail", p.RecordDomain, p.Percent)}
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

// author returns what is done with a message whose author is in doubt.
func (r *Rules) author(m *Message) finding {
	a := &m.Result.Author
	switch {
	case m.Result.DMARC.Status == dmarc.PermError:
		return finding{
			disposition: orNone(r.Grounds.Author), ground: GroundAuthor, code: "7.1",
			text: "DMARC cannot be evaluated: " + reason(m.Result.DMARC.Err),
		}
	case errors.Is(a.Err, message.ErrSeveralFrom):
		return finding{
			disposition: orNone(r.Grounds.SeveralFrom), ground: GroundFrom, code: "7.1",
			text: "Message with several From fields",
		}
	case len(a.Domains) > 1:
		return finding{
			disposition: orNone(r.Grounds.SeveralAuthors), ground: GroundAuthors, code: "7.1",
			text: "Message with authors of several domains",
		}
	}
	return finding{disposition: None}
}

// spf returns what is done with a message that SPF says is forged. One that an
// aligned signature vouches for is not, or that one may vouch for, which is not
// known now.
func (r *Rules) spf(m *Message) finding {
	res := m.Result
	if res.SPF.Status != spf.Fail || res.DMARC.Status == dmarc.Pass || res.DMARC.Status == dmarc.TempError || r.trustedForwarder(res).Type != NoReason {
		return finding{disposition: None}
	}
	return finding{
		disposition: orNone(r.Grounds.SPF), ground: GroundSPF, code: "7.23",
		text: "SPF validation failed for " + res.SPF.Domain,
	}
}

// dkim returns what is done with a message whose author domain must sign.
func (r *Rules) dkim(m *Message) finding {
	res := m.Result
	author := res.DMARCDomain()
	required := slices.ContainsFunc(r.Grounds.DKIMRequired, func(d string) bool { return domain.IsSubdomain(author, d) })
	if !required || r.trustedForwarder(res).Type != NoReason {
		return finding{disposition: None}
	}
	f := finding{disposition: orNone(r.Grounds.DKIM), ground: GroundDKIM, code: "7.20", text: "No passing DKIM signature found"}
	for i := range res.DKIM {
		d := &res.DKIM[i]
		own := d.Signature != nil && within(author, d.Signature.Domain, r.Grounds.DKIMRequired)
		switch {
		case d.Status == dkim.Pass && own, d.Status == dkim.TempError:
			// It has signed; or it may have, which is not known now.
			return finding{disposition: None}
		case d.Status == dkim.Pass:
			f.code, f.text = "7.22", "No valid author-matched DKIM signature found"
		case d.Status == dkim.Policy && f.code == "7.20":
			f.code, f.text = "7.21", "No acceptable DKIM signature found"
		}
	}
	return f
}

// within tells whether author and signer lie within the same domain of a list.
func within(author, signer string, list []string) bool {
	return slices.ContainsFunc(list, func(d string) bool {
		return domain.IsSubdomain(author, d) && domain.IsSubdomain(signer, d)
	})
}

// iprev returns what is done with mail of a client without a verified name.
func (r *Rules) iprev(m *Message) finding {
	p := m.Result.IPRev
	if p == nil || p.Status != iprev.Fail && p.Status != iprev.PermError {
		return finding{disposition: None}
	}
	return finding{
		disposition: orNone(r.Grounds.IPRev), ground: GroundIPRev, code: "7.25",
		text: "Reverse DNS validation failed for " + clientText(m),
	}
}

// tempErrors are the methods that may defer a message, the code that says so,
// and whether they have a temporary error.
var tempErrors = []struct {
	method, code string
	is           func(*verify.Result) bool
}{
	{"dmarc", "7.1", func(r *verify.Result) bool { return r.DMARC.Status == dmarc.TempError }},
	{"spf", "7.24", func(r *verify.Result) bool { return r.SPF.Status == spf.TempError }},
	{"dkim", "7.20", func(r *verify.Result) bool {
		return slices.ContainsFunc(r.DKIM, func(d dkim.Result) bool { return d.Status == dkim.TempError })
	}},
	{"iprev", "7.25", func(r *verify.Result) bool { return r.IPRev != nil && r.IPRev.Status == iprev.TempError }},
}

// TempErrorMethods returns the methods that Grounds.DeferOn may name.
func TempErrorMethods() []string {
	var all []string
	for _, t := range tempErrors {
		all = append(all, t.method)
	}
	return all
}

// tempError returns what is done with a message that could not be judged now. A
// message that passed DMARC has been.
func (r *Rules) tempError(m *Message) finding {
	if m.Result.DMARC.Status == dmarc.Pass {
		return finding{disposition: None}
	}
	for _, t := range tempErrors {
		if slices.Contains(r.Grounds.DeferOn, t.method) && t.is(m.Result) {
			return temporary(t.method, t.code)
		}
	}
	return finding{disposition: None}
}

// temporary returns that a message is deferred for a temporary error of a method.
func temporary(method, code string) finding {
	return finding{
		disposition: Defer, ground: GroundTempError, code: code,
		text: "Temporary error of " + method + ", please try again",
	}
}

func orNone(d Disposition) Disposition {
	if d == "" {
		return None
	}
	return d
}
