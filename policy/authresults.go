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
	"authmilter/verify/dkim"
	"authmilter/verify/iprev"
	"authmilter/verify/spf"
)

// headerB is how much of a signature tells it from the others of a message
// (RFC 6008 section 4).
const headerB = 8

// maxResults bounds the value of an Authentication-Results field, in octets. A
// packet of the milter protocol holds 64 KiB, and so does not every MTA on the
// way.
const maxResults = 32 << 10

// FormatResults returns the value of the Authentication-Results field for a
// message, without white space at its start. Where a sender has filled his
// signatures so that it would be too long, DKIM results are left out of it: the
// last ones, and those that did not pass first.
func FormatResults(authservID string, env verify.Envelope, r *verify.Result, d Decision) string {
	value, _ := fit(authservID, AuthenticationResults(env, r, d))
	return value
}

// fit returns the value of a field for methods, and those of them that are in
// it.
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
// false where there is none.
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

// AuthenticationResults returns the results of a message as they are written
// into its Authentication-Results field.
func AuthenticationResults(env verify.Envelope, r *verify.Result, d Decision) []authres.Method {
	methods := make([]authres.Method, 0, len(r.DKIM)+4)
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
	if r.IPRev != nil {
		methods = append(methods, iprevMethod(env, r.IPRev))
	}
	methods = append(methods, dmarcMethod(r, d))
	if r.ARC.Status != "" {
		methods = append(methods, arcMethod(env, &r.ARC))
	}
	return methods
}

// ARCResults returns the results of a message as they are written into the
// ARC-Authentication-Results field of a set of ours: where the message had no
// chain, with the address that it came from, which reports about it are to name
// (RFC 8617 section 7.2.2). They are within the bound of [FormatResults].
func ARCResults(authservID string, env verify.Envelope, r *verify.Result, d Decision) []authres.Method {
	_, methods := fit(authservID, AuthenticationResults(env, r, d))
	if last := &methods[len(methods)-1]; r.ARC.Status == arc.None {
		last.Props = remoteIP(env)
	}
	return methods
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

func dmarcMethod(r *verify.Result, decision Decision) authres.Method {
	d := &r.DMARC
	m := authres.Method{Name: "dmarc", Result: string(d.Status), Reason: reason(d.Err)}
	if r.Author.Err != nil {
		// What is wrong with the From field is why several domains were judged,
		// or none could be.
		m.Reason = reason(errors.Join(d.Err, r.Author.Err))
	}
	m.Props = props(prop("header", "from", r.DMARCDomain()))
	var comments []string
	if p := d.Policy; p != nil && p.Applies() {
		// The policy after its options (RFC 9989 section 9.1, policy.dmarc).
		policy := fmt.Sprintf("%s=%s", p.Tag, p.Published)
		if p.Testing {
			policy += " t=y"
		}
		comments = append(comments, policy)
		m.Props = append(m.Props, authres.Prop{Type: "policy", Name: "dmarc", Value: string(p.Effective())})
	}
	// Why what is done differs from that. The test flag is told already.
	if t := decision.Reason.Type; t != NoReason && t != TestMode {
		comments = append(comments, string(t)+": "+decision.Reason.Detail)
	}
	m.Comment = strings.Join(comments, ", ")
	return m
}

// iprevMethod reports the reverse name of the client (RFC 8601 section 2.7.3).
func iprevMethod(env verify.Envelope, r *iprev.Result) authres.Method {
	m := authres.Method{Name: "iprev", Result: string(r.Status), Comment: r.Name, Reason: reason(r.Err)}
	if env.ClientIP.IsValid() {
		m.Props = props(prop("policy", "iprev", env.ClientIP.String()))
	}
	return m
}

// arcMethod reports the chain (RFC 8617 section 6).
func arcMethod(env verify.Envelope, r *arc.Result) authres.Method {
	m := authres.Method{Name: "arc", Result: string(r.Status), Reason: reason(r.Err)}
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
	if !env.ClientIP.IsValid() {
		return nil
	}
	return props(prop("smtp", "remote-ip", env.ClientIP.String()))
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
