package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"authmilter/verify/clean"
	"authmilter/verify/dns"
)

// evaluation is the state of one evaluation, which all the records it meets
// share.
type evaluation struct {
	resolver dns.Resolver
	args     *Args
	ip       netip.Addr // without an IPv6 zone, and IPv4 where it is mapped

	// local and senderDomain make up <sender> (RFC 7208 section 4.1).
	local        string
	senderDomain string

	// lookups and void are counted over all records (RFC 7208 section 4.6.4).
	lookups int
	void    int
	maxVoid int
	// termVoid tells that the current term is among void.
	termVoid bool
	// explaining tells that the result is known and limits matter no more.
	explaining bool

	client clientNames
}

// exception is an error that ends an evaluation (RFC 7208 section 4.6.2).
type exception struct {
	status Status
	err    error
}

func tempError(err error) *exception { return &exception{TempError, err} }

func permError(err error) *exception { return &exception{PermError, err} }

// outcome is how check_host() ended.
type outcome struct {
	status Status
	term   string // what decided
	domain string // whose record decided; "" where none was found
	exp    MacroString
	err    error
}

// checkHost is the function check_host() of RFC 7208 section 4. Its recursion
// ends because each call but the first is a term that counts.
func (e *evaluation) checkHost(ctx context.Context, name string, depth int) outcome {
	text, o := e.findRecord(ctx, name)
	if o.status != "" {
		e.trace(Step{Depth: depth, Domain: name, Outcome: string(o.status), Reason: reason(o.err)})
		return o
	}
	if e.args.Trace != nil {
		e.trace(Step{Depth: depth, Domain: name, Record: text})
	}
	record, err := ParseRecord(text)
	if err != nil {
		e.trace(Step{Depth: depth, Domain: name, Outcome: string(PermError), Reason: reason(err)})
		return outcome{status: PermError, domain: name, err: err}
	}
	for i := range record.Mechanisms {
		m := &record.Mechanisms[i]
		target, match, x := e.match(ctx, m, name, depth)
		if e.args.Trace != nil {
			e.traceTerm(Step{Depth: depth, Domain: name, Term: m.String(), Target: target}, match, x)
		}
		if x != nil {
			return e.failed(m.String(), name, x)
		}
		if match {
			return outcome{status: m.Qualifier.Status(), term: m.String(), domain: name, exp: record.Exp}
		}
	}
	// RFC 7208 section 6.1: an "all" anywhere makes a redirect void; here it
	// would have matched.
	if !record.Redirect.IsZero() && e.expandable(record.Redirect) {
		return e.redirect(ctx, record, name, depth)
	}
	// RFC 7208 section 4.7.
	e.trace(Step{Depth: depth, Domain: name, Term: Default, Outcome: string(Neutral)})
	return outcome{status: Neutral, term: Default, domain: name}
}

// failed is the outcome of a term of the record of name that ended in x.
func (e *evaluation) failed(term, name string, x *exception) outcome {
	err := fmt.Errorf("%s: %w", clean.Text(term, maxShown), x.err)
	return outcome{status: x.status, term: term, domain: name, err: err}
}

// findRecord looks up the record of name (RFC 7208 sections 4.4 and 4.5). Where
// there is none to evaluate, the outcome has a status.
func (e *evaluation) findRecord(ctx context.Context, name string) (string, outcome) {
	if err := ctx.Err(); err != nil {
		return "", outcome{status: TempError, err: err}
	}
	a, err := e.resolver.TXT(ctx, name)
	if err != nil && !dns.IsNotFound(err) {
		return "", outcome{status: TempError, err: err}
	}
	if err != nil || len(a.Values) == 0 {
		// The first look-up is not that of a term.
		if e.lookups > 0 {
			if x := e.countVoid(); x != nil {
				return "", outcome{status: x.status, err: x.err}
			}
		}
		if err != nil {
			return "", outcome{status: None, err: errNotFound}
		}
		return "", outcome{status: None, err: errNoRecord}
	}
	text, found := "", false
	for _, txt := range a.Values {
		if !IsRecord(txt) {
			continue
		}
		if found {
			return "", outcome{status: PermError, err: errManyRecords}
		}
		text, found = txt, true
	}
	if !found {
		return "", outcome{status: None, err: errNoRecord}
	}
	return text, outcome{}
}

// redirect goes on with the record that a redirect names
// (RFC 7208 section 6.1).
func (e *evaluation) redirect(ctx context.Context, record *Record, name string, depth int) outcome {
	target, x := "", e.countLookup()
	if x == nil {
		target, x = e.recordTarget(ctx, record.Redirect, name)
	}
	if e.args.Trace != nil {
		s := Step{Depth: depth, Domain: name, Term: "redirect=" + record.Redirect.String(), Target: target}
		s.Outcome = "redirect"
		if x != nil {
			s.Outcome, s.Reason = string(x.status), reason(x.err)
		}
		e.trace(s)
	}
	if x == nil {
		o := e.checkHost(ctx, target, depth)
		switch {
		case o.domain != "":
			return o
		case o.status == None:
			x = permError(o.err)
		default:
			x = &exception{o.status, o.err}
		}
	}
	return e.failed("redirect="+record.Redirect.String(), name, x)
}

// recordTarget returns the name of the record that an "include" or "redirect"
// of spec asks for. The result "none" that RFC 7208 section 4.3 has for other
// names is a permerror for both (sections 5.2 and 6.1).
func (e *evaluation) recordTarget(ctx context.Context, spec MacroString, current string) (string, *exception) {
	target, ok, x := e.target(ctx, spec, current)
	if x != nil {
		return target, x
	}
	if !ok {
		return target, permError(errTarget)
	}
	if strings.IndexByte(target, '.') < 0 {
		return target, permError(errOneLabel)
	}
	return target, nil
}

// countLookup begins a term that causes look-ups.
func (e *evaluation) countLookup() *exception {
	if e.explaining {
		return nil
	}
	if e.lookups == MaxLookups {
		return permError(errLookups)
	}
	e.lookups++
	e.termVoid = false
	return nil
}

// countVoid notes that a look-up of the current term found nothing.
// RFC 7208 section 4.6.4 limits the number of terms of which that is true, so
// that a term counts once, however many exchangers of an "mx" have no address of
// the client's family.
func (e *evaluation) countVoid() *exception {
	if e.termVoid || e.explaining {
		return nil
	}
	if e.void == e.maxVoid {
		return permError(errVoid)
	}
	e.void++
	e.termVoid = true
	return nil
}

// empty is what a look-up without values means for the term it was for: err is
// its error, if it had one (RFC 7208 section 5).
func (e *evaluation) empty(err error) *exception {
	if err != nil && !dns.IsNotFound(err) {
		return tempError(err)
	}
	return e.countVoid()
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
