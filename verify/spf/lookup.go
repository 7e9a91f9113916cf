package spf

import (
	"context"
	"net/netip"

	"authmilter/verify/dns"
	"authmilter/verify/fault"
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
	// the ones for %{p}.
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

// unanswered is a look-up that did not finish.
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

// addresses looks up the addresses of name that can equal the client's.
func (e *evaluation) addresses(ctx context.Context, name string) (dns.Answer[netip.Addr], error) {
	if e.ip.Is4() {
		return e.resolver.A(ctx, name)
	}
	return e.resolver.AAAA(ctx, name)
}

// unfinished returns the error of a look-up that was ended on our side. It
// says nothing of the client, unlike the DNS errors that "ptr" passes over.
func unfinished(ctx context.Context, err error) *Error {
	if err != nil && (ctx.Err() != nil || dns.IsBudget(err)) {
		return unanswered(err)
	}
	return nil
}

// countLookup begins a term that causes look-ups.
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
// RFC 7208 section 4.6.4 limits the number of terms of which that is true, so that a
// term counts once, however many exchangers of an "mx" have no address of the
// client's family.
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

// empty is what a look-up without values means for the term it was for: err is
// its error, if it had one (RFC 7208 section 5).
func (e *evaluation) empty(err error) *Error {
	if err != nil && !dns.IsNotFound(err) {
		return unanswered(err)
	}
	return e.countVoid()
}
