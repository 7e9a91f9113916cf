package policy

import (
	"slices"
	"strings"

	"authmilter/verify/authres"
	"authmilter/verify/dmarc"
	"authmilter/verify/domain"
)

// evidence returns the result in an ARC-Authentication-Results field that shows
// that the message passed DMARC for the author domain of p, "" if there is none.
//
// The sealer is trusted, but senders choose some of the values that it writes, and
// not every sealer quotes them. So what is written in two ways is no evidence.
func evidence(field string, p *dmarc.Policy) string {
	results, err := authres.Parse(field)
	if err != nil || p == nil {
		return ""
	}
	// A DMARC result settles it.
	switch judged, pass := dmarcEvidence(results, p.AuthorDomain); {
	case pass:
		return "dmarc=pass"
	case judged:
		return ""
	}
	adkim, aspf := dmarc.Relaxed, dmarc.Relaxed
	if p.Record != nil {
		adkim, aspf = p.Record.ADKIM, p.Record.ASPF
	}
	for _, m := range results.Methods {
		if !strings.EqualFold(m.Name, "dkim") || !passed(m) {
			continue
		}
		if shown := dkimEvidence(m, p, adkim); shown != "" {
			return shown
		}
	}
	return spfEvidence(results, p, aspf)
}

// dmarcEvidence reports whether results has a DMARC result, and whether all of them say
// that author passed. Results for other domains do not matter. One that did not pass
// and names no domain, or that was not read, may be about author. A pass that names no
// domain ("dmarc=pass d=example.com") shows nothing and contradicts nothing.
func dmarcEvidence(results *authres.Results, author string) (judged, pass bool) {
	// Text that was not read and has header.from is the rest of a DMARC result, in
	// whose comment somebody may have written another one.
	fail := results.Lost("dmarc") || slices.ContainsFunc(results.Skipped, func(text string) bool {
		return strings.Contains(strings.ToLower(text), "header.from")
	})
	judged = fail
	for _, m := range results.Methods {
		if !strings.EqualFold(m.Name, "dmarc") {
			continue
		}
		from, one := property(m, "header", "from")
		if one && from == "" && passed(m) {
			continue // for a domain that it does not name: other results count
		}
		judged = true
		name, known := domainIn(from)
		switch {
		case known && name != author:
		case !passed(m):
			fail = true
		case known:
			pass = true
		}
	}
	return judged, pass && !fail
}

// dkimEvidence returns m, a DKIM result that passed, in short if the signature's
// domain aligns with the author domain of p, otherwise "".
func dkimEvidence(m authres.Method, p *dmarc.Policy, mode dmarc.Alignment) string {
	d, oneD := property(m, "header", "d")
	i, oneI := property(m, "header", "i")
	identity, known := domainIn(i)
	if !oneD || !oneI || i != "" && !known {
		return ""
	}
	if d == "" {
		if known && aligned(identity, p, mode) && (mode == dmarc.Relaxed || signsItself(p)) {
			return "dkim=pass header.i=@" + identity
		}
		return ""
	}
	signer, err := domain.ToASCII(d)
	// RFC 6376 section 3.5: the domain in i= is the one in d= or below it.
	if err != nil || known && !domain.IsSubdomain(identity, signer) || !aligned(signer, p, mode) {
		return ""
	}
	return "dkim=pass header.d=" + signer
}

// signsItself reports whether a signature whose i= names the author domain of p
// must be one by that domain. The d= of the signature is the author domain or above
// it (RFC 6376 section 3.5). That makes no difference in relaxed alignment: whatever
// is between the author domain and its Organizational Domain aligns. In strict
// alignment it makes none if only public suffixes are above the author domain. They
// do not sign mail.
func signsItself(p *dmarc.Policy) bool {
	return p.AuthorDomain == p.OrgDomain || domain.Labels(p.AuthorDomain) == 2
}

// spfEvidence returns the SPF result in short if MAIL FROM passed and aligns with the
// author domain of p, otherwise "". A message has one MAIL FROM, so all results
// about it must agree.
func spfEvidence(results *authres.Results, p *dmarc.Policy, mode dmarc.Alignment) string {
	if results.Lost("spf") {
		return ""
	}
	name := ""
	for _, m := range results.Methods {
		if !strings.EqualFold(m.Name, "spf") {
			continue
		}
		from, one := property(m, "smtp", "mailfrom")
		if one && from == "" {
			continue // another identity
		}
		var known bool
		if name, known = domainIn(from); !known || !passed(m) || !aligned(name, p, mode) {
			return ""
		}
	}
	if name == "" {
		return ""
	}
	return "spf=pass smtp.mailfrom=" + name
}

func passed(m authres.Method) bool { return strings.EqualFold(m.Result, "pass") }

// property returns the value of a property of m, "" if there is none. ok is false
// if there are several: then value is "".
func property(m authres.Method, ptype, name string) (value string, ok bool) {
	found := false
	for _, p := range m.Props {
		if !strings.EqualFold(p.Type, ptype) || !strings.EqualFold(p.Name, name) {
			continue
		}
		if found {
			return "", false
		}
		value, found = p.Value, true
	}
	return value, true
}

// domainIn returns the domain in the value of a property, as [domain.ToASCII]
// returns it. ok is false if there is none, or if it is unclear which.
func domainIn(value string) (name string, ok bool) {
	if name, ok = authres.Domain(value); !ok {
		return "", false
	}
	name, err := domain.ToASCII(name)
	return name, err == nil
}

// aligned reports whether name aligns with the author domain of p
// (RFC 9989 section 4.4). It looks nothing up: in relaxed alignment, name must be
// within the author's Organizational Domain or, if that is unknown, the author
// domain or below it.
func aligned(name string, p *dmarc.Policy, mode dmarc.Alignment) bool {
	switch {
	case name == p.AuthorDomain:
		return true
	case mode == dmarc.Strict:
		return false
	case p.OrgDomain != "":
		return domain.IsSubdomain(name, p.OrgDomain)
	}
	return domain.IsSubdomain(name, p.AuthorDomain)
}
