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

// Args are the arguments of an evaluation.
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
	// MaxVoid is the number of terms whose look-ups may find nothing; one more
	// ends the evaluation with [PermError]. 0 means DefaultMaxVoid, a negative
	// number allows none.
	MaxVoid int
	// Explain asks for the explanation of a [Fail]. It costs another look-up,
	// and the domain owner chooses the text.
	Explain bool
	// Trace, if set, is called for each step.
	Trace func(Step)
}

// Check evaluates SPF for the MAIL FROM identity, or for the HELO identity if
// the sender is null (RFC 7208 section 2.4). It returns [TempError] soon after
// ctx ends. It makes at most [MaxQueries] look-ups, and [MaxExplainQueries] more
// if Args.Explain is set.
func Check(ctx context.Context, r dns.Resolver, a Args) Result {
	if a.MailFrom == "" {
		return CheckHelo(ctx, r, a)
	}
	local, name := splitSender(a.MailFrom)
	e := newEvaluation(r, &a, local)
	return e.check(ctx, MailFrom, name, errBadSender)
}

// WithoutOrigin returns the result for a message that a relay of ours passed on if
// it is not known, because of why, which client gave it to the relay: [TempError]
// if temporary is set, otherwise [None].
func WithoutOrigin(a Args, temporary bool, why error) Result {
	a.IP = netip.Addr{}
	r := Check(context.Background(), nil, a) // looks nothing up without an address
	switch {
	case r.Reason != ReasonNoAddress:
		return r
	case temporary:
		return r.because(errNoOriginNow.Because(why))
	}
	return r.because(errNoOrigin.Because(why))
}

// CheckHelo evaluates SPF for the HELO identity (RFC 7208 section 2.3).
func CheckHelo(ctx context.Context, r dns.Resolver, a Args) Result {
	e := newEvaluation(r, &a, "")
	return e.check(ctx, Helo, a.Helo, errBadHelo)
}

var (
	errNoAddress   = fault.New(None, ReasonNoAddress, "client address unknown")
	errNoOrigin    = fault.New(None, ReasonNoOrigin, "client address unknown")
	errNoOriginNow = fault.New(TempError, ReasonNoOrigin, "client address unknown")
	errTarget      = fault.New(PermError, ReasonTarget, "not a possible domain name")
	errTargetLabel = fault.New(PermError, ReasonTarget, oneLabel)
)

// evaluation is the state of one evaluation, shared by all records it visits.
type evaluation struct {
	resolver dns.Resolver
	args     *Args
	ip       netip.Addr // without an IPv6 zone; IPv4 if it was IPv4-mapped

	// local and senderDomain make up <sender> (RFC 7208 section 4.1).
	local        string
	senderDomain string

	// lookups and void are counted over all records (RFC 7208 section 4.6.4).
	lookups int
	void    int
	maxVoid int
	// termVoid reports whether the current term is already counted in void.
	termVoid bool
	// explaining reports whether the result is known, so that the limits no
	// longer apply.
	explaining bool

	client clientNames
}

// outcome is how check_host() ended.
type outcome struct {
	status Status
	term   string // the term that decided
	domain string // the domain whose record decided; "" if none was found
	exp    MacroString
	err    *Error // nil for the statuses that a record asks for
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

// check evaluates identity id, whose domain is text.
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

// checkHost is the function check_host() of RFC 7208 section 4. The recursion is
// bounded: each call but the first belongs to a term that counts as a look-up.
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
	// RFC 7208 section 6.1: "all" anywhere in the record disables the redirect;
	// it would have matched above.
	if !record.Redirect.IsZero() && e.expandable(record.Redirect) {
		return e.redirect(ctx, record, name, depth)
	}
	// RFC 7208 section 4.7.
	e.trace(Step{Depth: depth, Domain: name, Term: Default, Outcome: string(Neutral)})
	return outcome{status: Neutral, term: Default, domain: name}
}

// failed returns the outcome for a term in the record of name that failed with x.
func (e *evaluation) failed(term, name string, x *Error) outcome {
	err := fault.New(x.Status, x.Reason, clean.Text(term, maxShown)).Because(x)
	return outcome{status: x.Status, term: term, domain: name, err: err}
}

// redirect continues with the record that a redirect names
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

// withoutRecord returns the error for an "include" or "redirect" to a domain
// without a record; err is the cause (RFC 7208 sections 5.2 and 6.1).
func withoutRecord(err *Error) *Error { return fault.Wrap(PermError, ReasonInclude, err) }

// recordTarget returns the domain that an "include" or "redirect" with the
// domain-spec spec names. A malformed or single-label domain is "none" by
// RFC 7208 section 4.3, which is a permerror for both (sections 5.2 and 6.1).
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
