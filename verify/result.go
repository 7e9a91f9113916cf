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

// ErrHeaderTooLarge is the error in the results of a message whose header exceeds
// the bounds in [Options]: no signature and no chain was verified. DMARC still
// evaluates the authors, by SPF alone, and is permerror unless one of them fails.
var ErrHeaderTooLarge = errors.New("message header too large")

// Result holds the facts about one message.
type Result struct {
	// Author is what the From fields say.
	Author message.Author
	// DKIM has a result for each DKIM-Signature field, in the order of the
	// header. It is empty for an unsigned message.
	DKIM []dkim.Result
	// SPF is the result for the MAIL FROM identity, or for HELO if the sender is
	// null.
	SPF spf.Result
	// Helo is the result for the HELO identity if Options.HeloResult is set and
	// SPF is not already that result; otherwise nil.
	Helo *spf.Result
	// DMARC is the strictest of Authors: see [dmarc.Strictest].
	DMARC dmarc.Result
	// Authors has a DMARC result for each author domain, and one for authors that
	// cannot be evaluated. It has at least one result.
	Authors []dmarc.Result
	// IPRev is the iprev result; nil unless Options.IPRev is set.
	IPRev *iprev.Result
	// Header is the header as received, for conditions on fields that no method
	// reads. It is nil if it exceeded the bounds of [Options]: then nobody knows what
	// such a field said.
	Header message.Header
	// ListID is what the List-Id fields say. It proves nothing: the sender chose
	// them.
	ListID message.ListID
	// ARC is the result for the message's chain.
	ARC arc.Result
	// Queries counts the look-ups made, including cached ones.
	Queries int
	// Exceeded is the budget that was too small for the look-ups: their number
	// (Options.MaxQueries and its shares) or their time (Options.LookupTime).
	// Look-ups ended by Finish do not count.
	Exceeded dns.Budget
	// Size is the length of the body in octets, as far as it was received.
	Size int64
	// Lookups and Steps are recorded if Options.Explain is set: every look-up with
	// its answer, in the order in which they ended, and every step of SPF.
	Lookups []dns.Event
	Steps   []spf.Step
}

// DMARCDomain returns the author domain of the DMARC result, or the first author
// domain if the result is for all of them; "" if there is none.
func (r *Result) DMARCDomain() string {
	switch {
	case r.DMARC.Author != "":
		return r.DMARC.Author
	case len(r.Author.Domains) > 0:
		return r.Author.Domains[0]
	}
	return ""
}
