package policy

import (
	"fmt"
	"slices"
	"strings"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/dmarc"
	"authmilter/verify/domain"
)

// trustedForwarder returns the reason to deliver a message that failed DMARC here
// but was authentic when a trusted sealer received it (RFC 8617 section 7.2.1).
//
// A set counts only if its sealer and every later one are trusted: each sealer
// can have changed what it received, and vouches only for the presence of older
// sets.
func (r *Rules) trustedForwarder(res *verify.Result) OverrideReason {
	// With several author domains, it is unclear which one the sealer saw.
	if len(r.TrustedSealers) == 0 || res.ARC.Status != arc.Pass || len(res.Author.Domains) != 1 {
		return OverrideReason{}
	}
	var found OverrideReason
	for _, set := range slices.Backward(res.ARC.Chain.Sets) {
		sealer := set.Seal.Domain
		if !slices.Contains(r.TrustedSealers, sealer) {
			break
		}
		// The oldest of them is the closest to the author.
		if evidence := evidence(set.Results, res.DMARC.Policy); evidence != "" {
			found = OverrideReason{TrustedForwarder, fmt.Sprintf("%s saw %s (i=%d)", sealer, evidence, set.Instance)}
		}
	}
	return found
}

// evidence returns the result in an ARC-Authentication-Results field that shows
// that the message passed DMARC for the author domain of p, "" if there is none.
func evidence(field string, p *dmarc.Policy) string {
	results, err := authres.Parse(field)
	if err != nil || p == nil {
		return ""
	}
	// A DMARC result settles it. If there are two that differ, a sender may have
	// written one of them.
	judged, passes, fails := false, false, false
	for _, m := range results.Methods {
		if !strings.EqualFold(m.Name, "dmarc") {
			continue
		}
		judged = true
		if from, ok := property(m, "header", "from"); ok && isDomain(from, p.AuthorDomain) {
			passes = passes || passed(m)
			fails = fails || !passed(m)
		}
	}
	switch {
	case passes && !fails:
		return "dmarc=pass"
	case judged:
		return ""
	}
	adkim, aspf := dmarc.Relaxed, dmarc.Relaxed
	if p.Record != nil {
		adkim, aspf = p.Record.ADKIM, p.Record.ASPF
	}
	for _, m := range results.Methods {
		if !passed(m) {
			continue
		}
		switch {
		case strings.EqualFold(m.Name, "dkim"):
			if d, ok := property(m, "header", "d"); ok && aligned(d, p, adkim) {
				return "dkim=pass header.d=" + d
			}
		case strings.EqualFold(m.Name, "spf"):
			from, ok := property(m, "smtp", "mailfrom")
			if d := from[strings.LastIndexByte(from, '@')+1:]; ok && aligned(d, p, aspf) {
				return "spf=pass smtp.mailfrom=" + d
			}
		}
	}
	return ""
}

func passed(m authres.Method) bool { return strings.EqualFold(m.Result, "pass") }

// property returns the value of a property of m; ok is false unless there is
// exactly one.
func property(m authres.Method, ptype, name string) (value string, ok bool) {
	for _, p := range m.Props {
		if !strings.EqualFold(p.Type, ptype) || !strings.EqualFold(p.Name, name) {
			continue
		}
		if ok {
			return "", false
		}
		value, ok = p.Value, true
	}
	return value, ok
}

// isDomain reports whether text is the domain name, which is in lower-case
// A-labels.
func isDomain(text, name string) bool {
	ascii, err := domain.ToASCII(text)
	return err == nil && ascii == name
}

// aligned reports whether the domain in text aligns with the author domain of p
// (RFC 9989 section 4.4). It looks nothing up: in relaxed alignment, the domain
// must be within the author's Organizational Domain or, if that is unknown, the
// author domain or below it.
func aligned(text string, p *dmarc.Policy, a dmarc.Alignment) bool {
	name, err := domain.ToASCII(text)
	switch {
	case err != nil:
		return false
	case name == p.AuthorDomain:
		return true
	case a == dmarc.Strict:
		return false
	case p.OrgDomain != "":
		return domain.IsSubdomain(name, p.OrgDomain)
	}
	return domain.IsSubdomain(name, p.AuthorDomain)
}
