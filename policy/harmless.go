package policy

import (
	"slices"
	"strings"

	"authmilter/verify"
	"authmilter/verify/authres"
	"authmilter/verify/dmarc"
	"authmilter/verify/domain"
	"authmilter/verify/spf"
)

// Harmless reports whether an Authentication-Results field that claims to be ours
// misleads nobody: it says "pass" only where r, our own result, does. r is nil if the
// message was not verified. Microsoft 365 writes such fields: it puts the recipient's
// domain where the name of the verifier belongs.
//
// If readers may read different things in the field, it is not harmless.
func Harmless(field string, r *verify.Result) bool {
	passes, plain := countPasses(field)
	switch {
	case !plain:
		return false
	case passes == 0:
		return true
	case r == nil:
		return false
	}
	results, err := authres.Parse(field)
	if err != nil {
		return false
	}
	for _, m := range results.Methods {
		if !passed(m) {
			continue
		}
		if !confirms(r, m) {
			return false
		}
		passes--
	}
	// What is left stands in a comment or elsewhere, where some reader may find it.
	return passes == 0
}

// countPasses returns how often a field says "pass" where some reader may take it for
// a result: at the beginning of a word. plain reports whether the field consists of
// printable ASCII on folded lines, without quotes, backslashes and encoded-words, so
// that no reader finds the word anywhere else.
func countPasses(field string) (n int, plain bool) {
	const pass = "pass"
	if strings.Contains(field, "=?") {
		return 0, false
	}
	for i := range len(field) {
		switch c := field[i]; {
		case c == '"' || c == '\\' || c > '~' || c < ' ' && c != '\t' && c != '\r' && c != '\n':
			return 0, false
		case len(field)-i >= len(pass) && strings.EqualFold(field[i:i+len(pass)], pass) && (i == 0 || !inName(field[i-1])):
			n++
		}
	}
	return n, true
}

// inName reports whether c can stand in a name, of which no reader takes the rest for
// a result: "compass.example", "mx.passau.example".
func inName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '@'
}

// confirms reports whether r has the pass of m for the same domain, and m names no
// other domain that some reader could take for the one that passed.
func confirms(r *verify.Result, m authres.Method) bool {
	of := func(name, ptype, prop string) bool {
		value, _ := property(m, ptype, prop)
		d, ok := domainIn(value)
		return ok && d == name && namesOnly(m, d)
	}
	switch strings.ToLower(m.Name) {
	case "dkim":
		return slices.ContainsFunc(signers(&Message{Result: r}).values, func(d string) bool { return of(d, "header", "d") })
	case "spf":
		return r.SPF.Status == spf.Pass && r.SPF.Identity == spf.MailFrom && of(r.SPF.Domain, "smtp", "mailfrom")
	case "dmarc":
		return r.DMARC.Status == dmarc.Pass && of(r.DMARCDomain(), "header", "from")
	}
	return false
}

// namesOnly reports whether every identity in m is name or below it. A signer chooses
// its header.d, and could write another author's domain into header.i beside it.
func namesOnly(m authres.Method, name string) bool {
	return !slices.ContainsFunc(m.Props, func(p authres.Prop) bool {
		switch strings.ToLower(p.Type + "." + p.Name) {
		case "header.d", "header.i", "header.from", "smtp.mailfrom", "smtp.mail":
			d, ok := domainIn(p.Value)
			return p.Value != "" && !(ok && domain.IsSubdomain(d, name))
		}
		return false
	})
}
