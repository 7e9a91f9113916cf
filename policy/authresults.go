package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/clean"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/iprev"
	"authmilter/verify/spf"
)

// headerB is the number of characters of a signature that distinguish it from the
// others of a message (RFC 6008 section 4).
const headerB = 8

// maxResults is the maximum length of the value of an Authentication-Results
// field, in octets. A packet of the milter protocol holds 64 KiB, but not every
// MTA on the way accepts that much.
const maxResults = 32 << 10

// FormatResults returns the value of the Authentication-Results field for a
// message, without leading white space. If a sender's signatures would make it too
// long, it leaves out DKIM results: first failed ones, then others, each time the
// last. If o hides every result, the field says "none" (RFC 8601 section 2.2).
func FormatResults(authservID string, env verify.Envelope, r *verify.Result, d Decision, o ResultsOptions) string {
	value, methods := fit(authservID, AuthenticationResults(env, r, d, o))
	if shown := o.shown(methods); len(shown) < len(methods) {
		return authres.Format(authservID, shown)
	}
	return value
}

// fit returns the value of a field for as many of methods as it can hold, and
// those methods.
func fit(authservID string, methods []authres.Method) (value string, kept []authres.Method) {
	for {
		value := authres.Format(authservID, methods)
		if len(value) <= maxResults {
			return value, methods
		}
		var ok bool
		if methods, ok = dropDKIM(methods); !ok {
			return value, methods
		}
	}
}

// dropDKIM returns methods without the DKIM result that matters least; ok is
// false if there is none.
func dropDKIM(methods []authres.Method) (rest []authres.Method, ok bool) {
	drop := -1
	for i, m := range methods {
		if m.Name == "dkim" && (drop < 0 || m.Result != "pass" || methods[drop].Result == "pass") {
			drop = i
		}
	}
	if drop < 0 {
		return methods, false
	}
	return slices.Delete(methods, drop, drop+1), true
}

// AuthenticationResults returns the results of a message for its
// Authentication-Results field, including those that o hides.
func AuthenticationResults(env verify.Envelope, r *verify.Result, d Decision, o ResultsOptions) []authres.Method {
	methods := dkimMethods(r.DKIM)
	methods = append(methods, spfMethod(env, &r.SPF))
	if r.Helo != nil {
		methods = append(methods, spfMethod(env, r.Helo))
	}
	if r.IPRev != nil {
		methods = append(methods, iprevMethod(env, r.IPRev))
	}
	methods = append(methods, dmarcMethod(r, d))
	if o.EachAuthor {
		methods = append(methods, furtherAuthors(r)...)
	}
	if r.ARC.Status != "" {
		methods = append(methods, arcMethod(env, &r.ARC))
	}
	return methods
}

// ARCResults returns the results of a message for the ARC-Authentication-Results
// field of our set. If the message had no chain, they include the address that it
// came from, for use in reports (RFC 8617 section 7.2.2). They are limited like
// [FormatResults]. Nothing is hidden.
//
// The field must have all results of the ADMD (RFC 8617 section 4.1.1), so those of
// relays follow, unless there are too many.
func ARCResults(authservID string, env verify.Envelope, r *verify.Result, d Decision, o ResultsOptions, relays []authres.Method) []authres.Method {
	_, methods := fit(authservID, AuthenticationResults(env, r, d, o))
	if last := &methods[len(methods)-1]; r.ARC.Status == arc.None {
		last.Props = remoteIP(env)
	}
	all := slices.Concat(methods, relays)
	if len(all) > maxARCResults || len(authres.FormatARC(1, authservID, all)) > maxResults {
		return methods
	}
	return all
}

// maxARCResults bounds the results in an ARC-Authentication-Results field.
const maxARCResults = 200

// dkimMethods returns a result for each signature, or one that says that there is
// none. It leaves room for the results of the other methods.
func dkimMethods(results []dkim.Result) []authres.Method {
	methods := make([]authres.Method, 0, len(results)+4)
	if len(results) == 0 {
		methods = append(methods, authres.Method{Name: "dkim", Result: string(dkim.None)})
	}
	for i := range results {
		methods = append(methods, dkimMethod(&results[i]))
	}
	return methods
}

func dkimMethod(r *dkim.Result) authres.Method {
	m := authres.Method{Name: "dkim", Result: string(r.Status), Reason: clean.Err(r.Err)}
	if k := r.Key; k != nil {
		m.Comment = fmt.Sprintf("%d-bit %s key", k.Bits, k.Type)
		if k.Testing {
			m.Comment += ", testing"
		}
	}
	s := r.Signature
	m.Props = props(
		prop("header", "d", s.Domain),
		prop("header", "i", s.Identity),
		prop("header", "s", s.Selector),
		prop("header", "a", s.Algorithm),
		prop("header", "b", s.Text[:min(len(s.Text), headerB)]),
	)
	return m
}

// spfMethod includes MAIL FROM and HELO in the result for MAIL FROM, and only HELO
// in the result for HELO: readers rely on smtp.mailfrom next to a pass.
func spfMethod(env verify.Envelope, r *spf.Result) authres.Method {
	m := authres.Method{Name: "spf", Result: string(r.Status)}
	switch {
	case r.Status == spf.Pass:
	case r.Err != nil:
		m.Reason = r.Text()
	default:
		m.Comment = r.Text()
	}
	if r.Identity == spf.MailFrom {
		m.Props = props(prop("smtp", "mailfrom", env.MailFrom), prop("smtp", "helo", env.Helo))
	} else {
		m.Props = props(prop("smtp", "helo", env.Helo))
	}
	return m
}

func dmarcMethod(r *verify.Result, d Decision) authres.Method {
	return authorMethod(r, &r.DMARC, r.DMARCDomain(), d.Override)
}

// authorMethod returns one DMARC result of a message, for the author domain from. o
// is why something else is done with the message, if it is to be reported here.
func authorMethod(r *verify.Result, d *dmarc.Result, from string, o OverrideReason) authres.Method {
	m := authres.Method{Name: "dmarc", Result: string(d.Status), Reason: clean.Err(d.Err)}
	if r.Author.Err != nil {
		// The error in the From field is why several domains were evaluated, or
		// none could be.
		m.Reason = clean.Err(errors.Join(d.Err, r.Author.Err))
	}
	m.Props = props(prop("header", "from", from))
	var comments []string
	if p := d.Policy; p != nil && p.Applies() {
		// The policy after its options apply (RFC 9989 section 9.1, policy.dmarc).
		policy := fmt.Sprintf("%s=%s", p.Tag, p.Published)
		if p.Testing {
			policy += " t=y"
		}
		comments = append(comments, policy)
		m.Props = append(m.Props, authres.Prop{Type: "policy", Name: "dmarc", Value: string(p.Effective())})
	}
	// Why the disposition differs from that. The comment has the test flag already.
	if o.Type != NotOverridden && o.Type != TestMode {
		comments = append(comments, string(o.Type)+": "+o.Detail)
	}
	m.Comment = strings.Join(comments, ", ")
	return m
}

// iprevMethod reports the reverse name of the client (RFC 8601 section 2.7.3).
func iprevMethod(env verify.Envelope, r *iprev.Result) authres.Method {
	return authres.Method{
		Name: "iprev", Result: string(r.Status), Comment: r.Name, Reason: clean.Err(r.Err),
		Props: props(prop("policy", "iprev", env.Client())),
	}
}

// arcMethod reports the chain (RFC 8617 section 6).
func arcMethod(env verify.Envelope, r *arc.Result) authres.Method {
	m := authres.Method{Name: "arc", Result: string(r.Status), Reason: clean.Err(r.Err)}
	if r.Status == arc.None {
		return m
	}
	if r.Status == arc.Pass {
		m.Props = append(m.Props, prop("header", "oldest-pass", strconv.Itoa(r.OldestPass)))
	}
	m.Props = append(m.Props, remoteIP(env)...)
	return m
}

func remoteIP(env verify.Envelope) []authres.Prop {
	return props(prop("smtp", "remote-ip", env.Client()))
}

func prop(ptype, name, value string) authres.Prop {
	return authres.Prop{Type: ptype, Name: name, Value: value}
}

// props returns the properties in list that have a value.
func props(list ...authres.Prop) []authres.Prop {
	kept := list[:0]
	for _, p := range list {
		if p.Value != "" {
			kept = append(kept, p)
		}
	}
	return kept
}
