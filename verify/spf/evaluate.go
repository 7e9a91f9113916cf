package spf

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"authmilter/verify/clean"
	"authmilter/verify/dns"
	"authmilter/verify/fault"
)

// Args are what an evaluation is about.
type Args struct {
	// IP is the address of the client. An IPv4-mapped IPv6 address counts as
	// the IPv4 address.
	IP netip.Addr
	// Helo is the argument of HELO or EHLO.
	Helo string
	// MailFrom is the reverse-path without angle brackets; "" is the null
	// sender.
	MailFrom string
	// Receiver is the name of this host, for the macro %{r} of explanations.
	Receiver string
	// Now is the time for the macro %{t} of explanations.
	Now time.Time
	// MaxVoid is how many terms may find nothing before the evaluation ends
	// with [PermError]. 0 means DefaultMaxVoid, a negative number none.
	MaxVoid int
	// Explain asks for the explanation of a [Fail]. It costs a look-up, and
	// brings text that the domain owner chose.
	Explain bool
	// Trace, if set, is called for each step.
	Trace func(Step)
}

// Check evaluates SPF for the MAIL FROM identity, or for the HELO identity where
// the sender is null (RFC 7208 section 2.4). It ends with [TempError] soon after
// ctx ends. It makes at most [MaxQueries] look-ups, and [MaxExplainQueries] more
// where Args.Explain is set.
func Check(ctx context.Context, r dns.Resolver, a Args) Result {
	if a.MailFrom == "" {
		return CheckHelo(ctx, r, a)
	}
	local, name := splitSender(a.MailFrom)
	e := newEvaluation(r, &a, local)
	return e.check(ctx, MailFrom, name, errBadSender)
}

// CheckHelo evaluates SPF for the HELO identity (RFC 7208 section 2.3).
func CheckHelo(ctx context.Context, r dns.Resolver, a Args) Result {
	e := newEvaluation(r, &a, "")
	return e.check(ctx, Helo, a.Helo, errBadHelo)
}

var (
	errNoAddress   = fault.New(None, ReasonNoAddress, "client address unknown")
	errTarget      = fault.New(PermError, ReasonTarget, "not a possible domain name")
	errTargetLabel = fault.New(PermError, ReasonTarget, oneLabel)
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
	// termVoid reports that the current term is counted in void.
	termVoid bool
	// explaining reports that the result is known and limits matter no more.
	explaining bool

	client clientNames
}

// outcome is how check_host() ended.
type outcome struct {
	status Status
	term   string // what decided
	domain string // whose record decided; "" where none was found
	exp    MacroString
	err    *Error // nil for the statuses that the record itself gives
}

func newEvaluation(r dns.Resolver, a *Args, local string) *evaluation {
	e := &evaluation{resolver: r, args: a, local: local, maxVoid: a.MaxVoid}
	if local == "" {
		// RFC 7208 section 4.3.
		e.local = "postmaster"
	}
	switch {
	case a.MaxVoid == 0:
		e.maxVoid = DefaultMaxVoid
	case a.MaxVoid < 0:
		e.maxVoid = 0
	}
	e.ip = a.IP.Unmap().WithZone("")
	return e
}

// check evaluates the identity whose domain is text.
func (e *evaluation) check(ctx context.Context, id Identity, text string, malformed *Error) Result {
	r := Result{Identity: id}
	name, err := initialDomain(text, malformed)
	if err != nil {
		return r.because(err)
	}
	r.Domain = name
	if !e.ip.IsValid() {
		return r.because(errNoAddress)
	}
	e.senderDomain = name
	defer e.client.end()
	o := e.checkHost(ctx, name, 0)
	r.Status, r.Mechanism, r.Record = o.status, o.term, o.domain
	if o.err != nil {
		r = r.because(o.err)
	}
	if o.status == Fail && e.args.Explain {
		r.Explanation = e.explain(ctx, o)
	}
	r.Lookups, r.Void = e.lookups, e.void
	return r
}

// checkHost is the function check_host() of RFC 7208 section 4. Its recursion
// ends because each call but the first is a term that counts.
func (e *evaluation) checkHost(ctx context.Context, name string, depth int) outcome {
	text, err := e.findRecord(ctx, name)
	if err != nil {
		e.trace(Step{Depth: depth, Domain: name, Outcome: string(err.Status), Reason: err.Error()})
		return outcome{status: err.Status, err: err}
	}
	if e.args.Trace != nil {
		e.trace(Step{Depth: depth, Domain: name, Record: text})
	}
	record, err := parseRecord(text)
	if err != nil {
		e.trace(Step{Depth: depth, Domain: name, Outcome: string(err.Status), Reason: err.Error()})
		return outcome{status: err.Status, domain: name, err: err}
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
func (e *evaluation) failed(term, name string, x *Error) outcome {
	err := fault.New(x.Status, x.Reason, clean.Text(term, maxShown)).Because(x)
	return outcome{status: x.Status, term: term, domain: name, err: err}
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
			s.Outcome, s.Reason = string(x.Status), x.Error()
		}
		e.trace(s)
	}
	if x == nil {
		o := e.checkHost(ctx, target, depth)
		switch {
		case o.domain != "":
			return o
		case o.status == None:
			x = withoutRecord(o.err)
		default:
			x = o.err
		}
	}
	return e.failed("redirect="+record.Redirect.String(), name, x)
}

// withoutRecord is an "include" or a "redirect" to a domain without a record, for
// the reason err (RFC 7208 sections 5.2 and 6.1).
func withoutRecord(err *Error) *Error { return fault.Wrap(PermError, ReasonInclude, err) }

// recordTarget returns the name of the record that an "include" or "redirect"
// of spec asks for. The result "none" that RFC 7208 section 4.3 has for other
// names is a permerror for both (sections 5.2 and 6.1).
func (e *evaluation) recordTarget(ctx context.Context, spec MacroString, current string) (string, *Error) {
	target, ok, x := e.target(ctx, spec, current)
	if x != nil {
		return target, x
	}
	if !ok {
		return target, errTarget
	}
	if strings.IndexByte(target, '.') < 0 {
		return target, errTargetLabel
	}
	return target, nil
}
