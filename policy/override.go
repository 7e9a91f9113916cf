package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/domain"
)

// Action is what an [Override] has done.
type Action string

// The actions.
const (
	Accept     Action = "accept"      // the message passes on, whatever was found
	ReportOnly Action = "report-only" // the same: as if the mode were "report" for it
	Mark       Action = "quarantine"  // a message that fails is quarantined, neither less nor more
	Refuse     Action = "reject"      // a message that fails is rejected
	Skipped    Action = "skip"        // the message is left alone, and no results are written into it
)

// Actions returns every Action.
func Actions() []Action { return []Action{Accept, ReportOnly, Mark, Refuse, Skipped} }

// apply returns what is done with a message for which the facts ask f.
//
// To quarantine or reject is for messages that fail: for which there is a ground,
// or that fail DMARC though their domain asks for nothing. A temporary error is
// neither.
func (a Action) apply(f finding, r *verify.Result) Disposition {
	switch a {
	case Accept, ReportOnly, Skipped:
		return None
	}
	if f.ground == GroundTempError || f.disposition == None && r.DMARC.Status != dmarc.Fail {
		return f.disposition
	}
	if f.reason.Type == TrustedForwarder {
		return f.disposition
	}
	if a == Refuse {
		return Reject
	}
	return Quarantine
}

// Override is a rule of the receiver's own. Each list that is not empty must
// match, by one of its items; lists without items match everything.
//
// Names are lower-case A-labels, and match the domains below them too, but for
// Sealers.
type Override struct {
	// Name is what people call the rule; "" for none.
	Name   string
	Action Action

	AuthorDomains []string
	Clients       []netip.Prefix
	// ClientNames are host names that the MTA has verified.
	ClientNames []string
	// MailFrom are the domains of MAIL FROM, whether SPF passed or not.
	MailFrom []string
	// DKIM are the domains of signatures that passed.
	DKIM []string
	// Sealers are the domains of the newest seal of an ARC chain that passed.
	Sealers []string
	ListIDs []string
	// Recipients are the domains of the recipients, all of which must match: a
	// message has one fate.
	Recipients []string
	Listeners  []string
}

// condition is one condition of an override.
type condition struct {
	// name is what the configuration calls it.
	name  string
	items []string
	// values are what the message has; all tells that each must match an item,
	// not just one.
	values []string
	all    bool
	match  func(item, value string) bool
}

// conditions returns those conditions of o that are set, for m.
func (o *Override) conditions(m *Message) []condition {
	var clients []string
	for _, c := range o.Clients {
		clients = append(clients, c.String())
	}
	res := m.Result
	list := []condition{
		{name: "author_domain", items: o.AuthorDomains, values: res.Author.Domains, all: true, match: isWithin},
		{name: "client", items: clients, values: []string{m.Envelope.ClientIP.String()}, match: isInNetwork},
		{name: "client_name", items: o.ClientNames, values: some(m.Envelope.ClientName), match: isWithin},
		{name: "mail_from", items: o.MailFrom, values: some(domainOf(m.Envelope.MailFrom)), match: isWithin},
		{name: "dkim", items: o.DKIM, values: signers(res), match: isWithin},
		{name: "sealer", items: o.Sealers, values: sealers(res), match: isSame},
		{name: "list_id", items: o.ListIDs, values: some(res.ListID), match: isWithin},
		{name: "recipient", items: o.Recipients, values: domainsOf(m.Recipients), all: true, match: isWithin},
		{name: "listener", items: o.Listeners, values: some(m.Listener), match: isSame},
	}
	return slices.DeleteFunc(list, func(c condition) bool { return len(c.items) == 0 })
}

// holds tells whether the condition is met.
func (c *condition) holds() bool {
	if len(c.values) == 0 {
		return false
	}
	matches := func(value string) bool {
		return slices.ContainsFunc(c.items, func(item string) bool { return c.match(item, value) })
	}
	if c.all {
		return !slices.ContainsFunc(c.values, func(v string) bool { return !matches(v) })
	}
	return slices.ContainsFunc(c.values, matches)
}

// unmet returns the first condition that m does not meet, nil where it meets all.
func (o *Override) unmet(m *Message) *condition {
	all := o.conditions(m)
	for i := range all {
		if !all[i].holds() {
			return &all[i]
		}
	}
	return nil
}

// match returns the position of the first override that m meets, or -1.
func (r *Rules) match(m *Message) int {
	return slices.IndexFunc(r.Overrides, func(o Override) bool { return o.unmet(m) == nil })
}

// title is what the i-th override, from 0, is called.
func (o *Override) title(i int) string {
	if o.Name != "" {
		return o.Name
	}
	return fmt.Sprintf("override %d", i+1)
}

func (o *Override) reason(i int) Reason {
	t := LocalPolicy
	if len(o.ListIDs) > 0 {
		t = MailingList
	}
	return Reason{t, o.title(i) + ": " + string(o.Action)}
}

// Loosens tells whether the action can spare a message what there is a ground
// for.
func (o *Override) Loosens() bool { return o.Action != Refuse }

// Forgeable tells whether everything that the override asks for is what a sender
// writes as he likes. An author domain alone is not meant: who names it gives up
// its protection knowingly.
func (o *Override) Forgeable() bool {
	return len(o.MailFrom)+len(o.ListIDs) > 0 &&
		len(o.Clients)+len(o.ClientNames)+len(o.DKIM)+len(o.Sealers)+len(o.Recipients)+len(o.Listeners) == 0
}

// Covers tells whether every message that other matches, o does too, so that
// other never counts where it comes after o.
func (o *Override) Covers(other *Override) bool {
	for _, c := range []struct {
		own, others []string
		match       func(item, value string) bool
	}{
		{o.AuthorDomains, other.AuthorDomains, isWithin},
		{prefixes(o.Clients), prefixes(other.Clients), isSubnet},
		{o.ClientNames, other.ClientNames, isWithin},
		{o.MailFrom, other.MailFrom, isWithin},
		{o.DKIM, other.DKIM, isWithin},
		{o.Sealers, other.Sealers, isSame},
		{o.ListIDs, other.ListIDs, isWithin},
		{o.Recipients, other.Recipients, isWithin},
		{o.Listeners, other.Listeners, isSame},
	} {
		if len(c.own) == 0 {
			continue
		}
		if len(c.others) == 0 {
			return false
		}
		for _, value := range c.others {
			if !slices.ContainsFunc(c.own, func(item string) bool { return c.match(item, value) }) {
				return false
			}
		}
	}
	return true
}

func prefixes(list []netip.Prefix) []string {
	var all []string
	for _, p := range list {
		all = append(all, p.Masked().String())
	}
	return all
}

func isSame(item, value string) bool { return item == value }

// isWithin tells whether the name in value, in any spelling, is item or below it.
func isWithin(item, value string) bool {
	name, err := domain.ToASCII(value)
	return err == nil && domain.IsSubdomain(name, item)
}

func isInNetwork(item, value string) bool {
	network, err := netip.ParsePrefix(item)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(value)
	return err == nil && network.Contains(a)
}

func isSubnet(item, value string) bool {
	a, err := netip.ParsePrefix(item)
	if err != nil {
		return false
	}
	b, err := netip.ParsePrefix(value)
	return err == nil && a.Bits() <= b.Bits() && a.Contains(b.Addr())
}

func some(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

func domainsOf(addresses []string) []string {
	var all []string
	for _, a := range addresses {
		all = append(all, domainOf(strings.Trim(a, "<>")))
	}
	return all
}

// signers returns the domains of the signatures that passed.
func signers(r *verify.Result) []string {
	var all []string
	for i := range r.DKIM {
		if d := &r.DKIM[i]; d.Status == dkim.Pass {
			all = append(all, d.Signature.Domain)
		}
	}
	return all
}

// sealers returns the domain of the newest seal, where the chain passed.
func sealers(r *verify.Result) []string {
	if r.ARC.Status != arc.Pass {
		return nil
	}
	return some(r.ARC.Chain.Newest().Seal.Domain)
}
