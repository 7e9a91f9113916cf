package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"authmilter/verify"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/spf"
)

// headerB is how much of a signature tells it from the others of a message (RFC
// 6008 section 4).
const headerB = 8

// maxResults bounds the value of an Authentication-Results field, in octets. A
// packet of the milter protocol holds 64 KiB, and so does not every MTA on the
// way.
const maxResults = 32 << 10

// FormatResults returns the value of the Authentication-Results field for a
// message, without white space at its start. Where a sender has filled his
// signatures so that it would be too long, DKIM results are left out of it: the
// last ones, and those that did not pass first.
func FormatResults(authservID string, env verify.Envelope, r *verify.Result) string {
	return formatMethods(authservID, AuthenticationResults(env, r))
}

func formatMethods(authservID string, methods []authres.Method) string {
	for {
		value := authres.Format(authservID, methods)
		drop := -1
		for i, m := range methods {
			if m.Name == "dkim" && (drop < 0 || m.Result != "pass" || methods[drop].Result == "pass") {
				drop = i
			}
		}
		if len(value) <= maxResults || drop < 0 {
			return value
		}
		methods = slices.Delete(methods, drop, drop+1)
	}
}

// AuthenticationResults returns the results of a message as they are written
// into its Authentication-Results field.
func AuthenticationResults(env verify.Envelope, r *verify.Result) []authres.Method {
	methods := make([]authres.Method, 0, len(r.DKIM)+3)
	if len(r.DKIM) == 0 {
		methods = append(methods, authres.Method{Name: "dkim", Result: string(dkim.None)})
	}
	for i := range r.DKIM {
		methods = append(methods, dkimMethod(&r.DKIM[i]))
	}
	methods = append(methods, spfMethod(env, &r.SPF))
	if r.Helo != nil {
		methods = append(methods, spfMethod(env, r.Helo))
	}
	return append(methods, dmarcMethod(r))
}

func dkimMethod(r *dkim.Result) authres.Method {
	m := authres.Method{Name: "dkim", Result: string(r.Status), Reason: reason(r.Err)}
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

// spfMethod reports MAIL FROM and HELO with the result for MAIL FROM, and HELO
// alone with that for HELO: who reads smtp.mailfrom with a pass may rely on it.
func spfMethod(env verify.Envelope, r *spf.Result) authres.Method {
	m := authres.Method{Name: "spf", Result: string(r.Status)}
	switch {
	case r.Status == spf.Pass:
	case r.Err != nil:
		m.Reason = r.Reason()
	default:
		m.Comment = r.Reason()
	}
	if r.Identity == spf.MailFrom {
		m.Props = props(prop("smtp", "mailfrom", env.MailFrom), prop("smtp", "helo", env.Helo))
	} else {
		m.Props = props(prop("smtp", "helo", env.Helo))
	}
	return m
}

func dmarcMethod(r *verify.Result) authres.Method {
	d := &r.DMARC
	m := authres.Method{Name: "dmarc", Result: string(d.Status), Reason: reason(d.Err)}
	if r.Author.Err != nil {
		// What is wrong with the From field is why several domains were judged,
		// or none could be.
		m.Reason = reason(errors.Join(d.Err, r.Author.Err))
	}
	m.Props = props(prop("header", "from", r.DMARCDomain()))
	if p := d.Policy; p != nil && p.Applies() {
		// The policy after its options (RFC 9989 section 9.1, policy.dmarc).
		m.Comment = fmt.Sprintf("%s=%s", p.Tag, p.Published)
		if p.Testing {
			m.Comment += " t=y"
		}
		m.Props = append(m.Props, authres.Prop{Type: "policy", Name: "dmarc", Value: string(p.Effective())})
	}
	return m
}

func prop(ptype, name, value string) authres.Prop {
	return authres.Prop{Type: ptype, Name: name, Value: value}
}

// props returns those of list that have a value.
func props(list ...authres.Prop) []authres.Prop {
	kept := list[:0]
	for _, p := range list {
		if p.Value != "" {
			kept = append(kept, p)
		}
	}
	return kept
}

// reason returns what err says, on one line.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return oneLine(err.Error())
}

// oneLine separates what errors.Join puts on lines by commas.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", ", ") }
