package verify

import (
	"errors"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/iprev"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// ErrHeaderTooLarge is the error of the results of a message whose header exceeds
// the bounds of [Options]: no signature and no chain was verified. DMARC still
// judges its authors, by SPF alone, and is permerror unless one of them fails.
var ErrHeaderTooLarge = errors.New("message header too large")

// Result is the facts about one message.
type Result struct {
	// Author is what the From fields say.
	Author message.Author
	// DKIM has a result for each DKIM-Signature field, in the order of the
	// header. It is empty for an unsigned message.
	DKIM []dkim.Result
	// SPF is the result for the MAIL FROM identity, or for HELO where the
	// sender is null.
	SPF spf.Result
	// Helo is the result for the HELO identity where Options.HeloResult asked
	// for it and SPF is not that already; otherwise nil.
	Helo *spf.Result
	// DMARC is the strictest of Authors: see [dmarc.Strictest].
	DMARC dmarc.Result
	// Authors has a DMARC result for each author domain, and one for what cannot be
	// judged. There is always one.
	Authors []dmarc.Result
	// IPRev is what is known of the client's name; nil unless Options.IPRev asked
	// for it.
	IPRev *iprev.Result
	// Header is the header as received, for conditions about a field that no method
	// reads. It is nil if it exceeded the bounds of [Options]: then nobody knows what
	// such a field said.
	Header message.Header
	// ListID is what the List-Id fields say. It proves nothing: a sender writes
	// them.
	ListID message.ListID
	// ARC is the result for the chain of the message.
	ARC arc.Result
	// Queries counts the look-ups made, cached ones included.
	Queries int
	// Exceeded is which budget was too small for the look-ups of the message:
	// their number (Options.MaxQueries and the shares in it) or their time
	// (Options.LookupTime). Those ended by Finish do not count.
	Exceeded dns.Budget
	// Size is the length of the body in octets, as far as it was received.
	Size int64
	// Lookups and Steps are recorded where Options.Explain is set: every
	// look-up with its answer, in the order of their ends, and every step of
	// SPF.
	Lookups []dns.Event
	Steps   []spf.Step
}

// DMARCDomain returns the author domain that the DMARC result is about, or the
// first one where the result is about all of them; "" where there is none.
func (r *Result) DMARCDomain() string {
	switch {
	case r.DMARC.Author != "":
		return r.DMARC.Author
	case len(r.Author.Domains) > 0:
		return r.Author.Domains[0]
	}
	return ""
}
