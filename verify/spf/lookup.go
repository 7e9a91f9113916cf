package spf

import (
	"context"
	"net/netip"

	"authmilter/verify/dns"
	"authmilter/verify/fault"
)

// Limits of an evaluation, RFC 7208 section 4.6.4.
const (
	// MaxLookups is the maximum number of terms that cause look-ups.
	MaxLookups = 10
	// DefaultMaxVoid is the default for how many of them may find nothing.
	DefaultMaxVoid = 2
	// MaxNames is the maximum number of mail exchangers of an "mx", and the
	// number of client names that count.
	MaxNames = 10
	// MaxQueries is the maximum number of look-ups that result: one for the first
	// record, and for each term one plus one for each name.
	MaxQueries = 1 + MaxLookups*(1+MaxNames)
	// MaxExplainQueries is the maximum number of look-ups for an explanation: one
	// for its text, and those for %{p}.
	MaxExplainQueries = 1 + 1 + MaxNames
)

var (
	errNotFound    = fault.New(None, ReasonNotFound, "domain does not exist")
	errNoRecord    = fault.New(None, ReasonNoRecord, "no SPF record")
	errManyRecords = fault.New(PermError, ReasonSeveralRecords, "more than one SPF record")
	errLookups     = fault.New(PermError, ReasonLookups, "more than 10 terms with DNS look-ups")
	errVoid        = fault.New(PermError, ReasonVoidLookups, "too many terms whose DNS look-ups found nothing")
	errNames       = fault.New(PermError, ReasonNames, "more than 10 mail exchangers")
)

// unanswered returns the error for a look-up that did not finish.
func unanswered(err error) *Error { return fault.Wrap(TempError, ReasonDNS, err) }

// findRecord returns the text of the record of name (RFC 7208 sections 4.4 and
// 4.5).
func (e *evaluation) findRecord(ctx context.Context, name string) (string, *Error) {
	if err := ctx.Err(); err != nil {
		return "", unanswered(err)
	}
	a, err := e.resolver.TXT(ctx, name)
	if err != nil && !dns.IsNotFound(err) {
		return "", unanswered(err)
	}
	if err != nil || len(a.Values) == 0 {
		// The first look-up belongs to no term.
		if e.lookups > 0 {
			if x := e.countVoid(); x != nil {
				return "", x
			}
		}
		if err != nil {
			return "", errNotFound
		}
		return "", errNoRecord
	}
	text, found := "", false
	for _, txt := range a.Values {
		if !IsRecord(txt) {
			continue
		}
		if found {
			return "", errManyRecords
		}
		text, found = txt, true
	}
	if !found {
		return "", errNoRecord
	}
	return text, nil
}

// addresses looks up the addresses of name in the client's address family.
func (e *evaluation) addresses(ctx context.Context, name string) (dns.Answer[netip.Addr], error) {
	if e.ip.Is4() {
		return e.resolver.A(ctx, name)
	}
	return e.resolver.AAAA(ctx, name)
}

// unfinished returns an error if a look-up was ended on our side. Such an error
// says nothing about the client, unlike the DNS errors that "ptr" ignores.
func unfinished(ctx context.Context, err error) *Error {
	if err != nil && (ctx.Err() != nil || dns.IsBudget(err)) {
		return unanswered(err)
	}
	return nil
}

// countLookup counts a term that causes look-ups.
func (e *evaluation) countLookup() *Error {
	if e.explaining {
		return nil
	}
	if e.lookups == MaxLookups {
		return errLookups
	}
	e.lookups++
	e.termVoid = false
	return nil
}

// countVoid notes that a look-up of the current term found nothing.
// RFC 7208 section 4.6.4 limits the number of such terms, so a term counts only
// once, however many exchangers of an "mx" have no address in the client's family.
func (e *evaluation) countVoid() *Error {
	if e.termVoid || e.explaining {
		return nil
	}
	if e.void == e.maxVoid {
		return errVoid
	}
	e.void++
	e.termVoid = true
	return nil
}

// empty handles a look-up of the current term that found no values. err is the
// error of the look-up, if any (RFC 7208 section 5).
func (e *evaluation) empty(err error) *Error {
	if err != nil && !dns.IsNotFound(err) {
		return unanswered(err)
	}
	return e.countVoid()
}
