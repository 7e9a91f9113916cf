package spf

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
)

// Bounds of an evaluation, RFC 7208 section 4.6.4.
const (
	// MaxLookups is how many terms that cause look-ups an evaluation may meet.
	MaxLookups = 10
	// DefaultMaxVoid is how many of them may find nothing.
	DefaultMaxVoid = 2
	// MaxNames is how many names an "mx" may have, and how many names of a
	// client count.
	MaxNames = 10
	// MaxQueries is how many look-ups follow: one for the first record, and for
	// each term one and one for each name.
	MaxQueries = 1 + MaxLookups*(1+MaxNames)
	// MaxExplainQueries is how many more an explanation may take: its own, and
	// those of %{p}.
	MaxExplainQueries = 1 + 1 + MaxNames
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
	// brings text that whoever controls the domain wrote.
	Explain bool
	// Trace, where set, is told of each step.
	Trace func(Step)
}

var (
	errNoAddress   = errors.New("client address unknown")
	errBadSender   = errors.New("sender has no valid domain name")
	errBadHelo     = errors.New("HELO is not a domain name")
	errOneLabel    = errors.New("domain name of a single label")
	errNotFound    = errors.New("domain does not exist")
	errNoRecord    = errors.New("no SPF record")
	errManyRecords = errors.New("more than one SPF record")
	errTarget      = errors.New("not a possible domain name")
	errLookups     = errors.New("more than 10 terms with DNS look-ups")
	errVoid        = errors.New("too many terms whose DNS look-ups found nothing")
	errNames       = errors.New("more than 10 mail exchangers")
)

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

// splitSender splits a reverse-path at the last "@". The domain is "" where
// there is none.
func splitSender(path string) (local, name string) {
	at := strings.LastIndexByte(path, '@')
	if at < 0 {
		return path, ""
	}
	local, name = path[:at], path[at+1:]
	if strings.HasPrefix(local, "@") {
		// A source route, which RFC 5321 appendix F.2 has us ignore.
		if colon := strings.IndexByte(local, ':'); colon >= 0 {
			local = local[colon+1:]
		}
	}
	return local, name
}

// initialDomain returns the domain to begin with, as A-labels.
// RFC 7208 section 4.3 has no use for names that are malformed or of a single
// label, and a name whose last label is a number is an address
// (RFC 3696 section 2).
func initialDomain(text string, malformed error) (string, error) {
	name, err := domain.ToASCII(text)
	if err != nil {
		return "", malformed
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return "", errOneLabel
	}
	for i := dot + 1; i < len(name); i++ {
		if !isDigit(name[i]) {
			return name, nil
		}
	}
	return "", malformed
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
func (e *evaluation) check(ctx context.Context, id Identity, text string, malformed error) Result {
	r := Result{Status: None, Identity: id}
	name, err := initialDomain(text, malformed)
	if err != nil {
		r.Err = err
		return r
	}
	r.Domain = name
	if !e.ip.IsValid() {
		r.Err = errNoAddress
		return r
	}
	e.senderDomain = name
	defer e.client.end()
	o := e.checkHost(ctx, name, 0)
	r.Status, r.Mechanism, r.Err = o.status, o.term, o.err
	r.Record = o.domain
	if o.status == Fail && e.args.Explain {
		r.Explanation = e.explain(ctx, o)
	}
	r.Lookups, r.Void = e.lookups, e.void
	return r
}
