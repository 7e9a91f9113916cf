package policy

import (
	"slices"
	"strings"

	"authmilter/verify/domain"
)

// MaxRecipientDomains is the maximum number of domains that [Recipients] keeps.
const MaxRecipientDomains = 1000

// fewDomains is the number of domains up to which a linear search is cheaper than
// a map. Most messages have one recipient.
const fewDomains = 8

// Recipients are the recipients of a message, as far as rules need them. The zero
// value has none.
type Recipients struct {
	// Count is the number of recipients.
	Count int
	// Domains are their distinct domains in order of appearance, as
	// [domain.ToASCII] returns them, at most [MaxRecipientDomains].
	Domains []string
	// Incomplete reports that some recipient is not in any of Domains: there are
	// too many domains, or its address is a local name or has an address literal.
	Incomplete bool
	// seen holds Domains once there are more than fewDomains.
	seen map[string]bool
}

// NewRecipients returns the recipients with the given addresses.
func NewRecipients(addresses ...string) Recipients {
	var r Recipients
	for _, a := range addresses {
		r.Add(a)
	}
	return r
}

// Add adds the recipient with an address as in RCPT TO, with or without angle
// brackets.
func (r *Recipients) Add(address string) {
	r.Count++
	name, err := domain.ToASCII(domainOf(address))
	switch {
	case err != nil:
		r.Incomplete = true
	case r.has(name):
	case len(r.Domains) == MaxRecipientDomains:
		r.Incomplete = true
	default:
		r.Domains = append(r.Domains, name)
		if r.seen != nil {
			r.seen[name] = true
		}
	}
}

// has reports whether name is one of Domains.
func (r *Recipients) has(name string) bool {
	if len(r.Domains) <= fewDomains {
		return slices.Contains(r.Domains, name)
	}
	if r.seen == nil {
		r.seen = make(map[string]bool, 2*len(r.Domains))
		for _, d := range r.Domains {
			r.seen[d] = true
		}
	}
	return r.seen[name]
}

// domainOf returns the part after the last @ of an address, "" if there is none.
func domainOf(address string) string {
	address = strings.Trim(address, "<>")
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ""
	}
	return address[at+1:]
}
