package policy

import (
	"strings"

	"authmilter/verify/domain"
)

// MaxRecipientDomains bounds the domains that [Recipients] remembers.
const MaxRecipientDomains = 1000

// Recipients are the recipients of a message, as far as rules ask about them. The
// zero value has none.
type Recipients struct {
	// Count is the number of recipients.
	Count int
	// Domains are their distinct domains in order of appearance, as
	// [domain.ToASCII] returns them, [MaxRecipientDomains] at most.
	Domains []string
	// Incomplete reports that some recipient is not in one of Domains: there are
	// more domains than are remembered, or its address has none, but is a local
	// name or has an address literal.
	Incomplete bool
	seen       map[string]bool
}

// NewRecipients returns the recipients with the addresses given.
func NewRecipients(addresses ...string) Recipients {
	var r Recipients
	for _, a := range addresses {
		r.Add(a)
	}
	return r
}

// Add adds the recipient with an address, as in RCPT TO, with or without angle
// brackets.
func (r *Recipients) Add(address string) {
	r.Count++
	name, err := domain.ToASCII(domainOf(address))
	switch {
	case err != nil:
		r.Incomplete = true
	case r.seen[name]:
	case len(r.Domains) == MaxRecipientDomains:
		r.Incomplete = true
	default:
		if r.seen == nil {
			r.seen = map[string]bool{}
		}
		r.seen[name] = true
		r.Domains = append(r.Domains, name)
	}
}

// domainOf returns what follows the last @ in an address, "" if there is none.
func domainOf(address string) string {
	address = strings.Trim(address, "<>")
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ""
	}
	return address[at+1:]
}
