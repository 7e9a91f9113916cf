package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/domain"
	"authmilter/verify/message"
)

// Values of a message.

// knownTexts returns the texts that are not empty.
func knownTexts(list ...string) known[string] {
	return known[string]{values: slices.DeleteFunc(list, func(s string) bool { return s == "" })}
}

// knownNames returns the domain names in list, in any spelling, as
// [domain.ToASCII] returns them. An empty text is not a value.
func knownNames(list ...string) (k known[string]) {
	for _, s := range list {
		if s == "" {
			continue
		}
		name, err := domain.ToASCII(s)
		if err != nil {
			k.incomplete = true
			continue
		}
		k.values = append(k.values, name)
	}
	return k
}

func authorDomains(m *Message) known[string] {
	a := &m.Result.Author
	return known[string]{
		values:     a.Domains,
		incomplete: a.Unjudged(),
	}
}

func clientAddress(m *Message) (k known[netip.Addr]) {
	if a := m.Envelope.ClientIP; a.IsValid() {
		k.values = []netip.Addr{a.Unmap().WithZone("")}
	}
	return k
}

// signers returns the domains of the signatures that passed.
func signers(m *Message) known[string] {
	var all []string
	for i := range m.Result.DKIM {
		if d := &m.Result.DKIM[i]; d.Status == dkim.Pass {
			all = append(all, d.Signature.Domain)
		}
	}
	return knownNames(all...)
}

// newestSealer returns the domain of the newest seal, if the chain passed.
func newestSealer(m *Message) known[string] {
	if m.Result.ARC.Status != arc.Pass {
		return known[string]{}
	}
	return knownNames(m.Result.ARC.Chain.Newest().Seal.Domain)
}

func listIDs(m *Message) known[string] {
	l := &m.Result.ListID
	return known[string]{values: l.IDs, incomplete: l.Err != nil}
}

func recipientDomains(m *Message) known[string] {
	return known[string]{values: m.Recipients.Domains, incomplete: m.Recipients.Incomplete}
}

// Items of an override.

// parseName returns a domain name. It accepts a leading dot, which some people
// write to include the names below.
func parseName(text string) (string, error) {
	name, err := domain.ToASCII(strings.TrimPrefix(text, "."))
	if err != nil {
		return "", fmt.Errorf("%q is %w", text, err)
	}
	return name, nil
}

// parseListID returns a list identifier, or a common suffix of several.
func parseListID(text string) (string, error) {
	id, err := message.ParseListID(strings.TrimPrefix(text, "."))
	if err != nil {
		return "", fmt.Errorf("%q is not a list identifier", text)
	}
	return id, nil
}

// ParseNetwork parses a network in CIDR notation or a single address.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf(`%q is not a network such as "192.0.2.0/24"`, text)
	case p.Addr().Is4In6():
		// It would never match: clients are compared as IPv4.
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 network: write it in IPv4 notation", text)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%q has host bits set: did you mean %q?", text, p.Masked())
	}
	return p, nil
}

func isSame(item, value string) bool { return item == value }

// isWithin reports whether value is item, or ends in it after a dot.
func isWithin(item, value string) bool { return domain.IsSubdomain(value, item) }

func isInNetwork(item netip.Prefix, value netip.Addr) bool { return item.Contains(value) }

func isSubnet(item, other netip.Prefix) bool {
	return item.Bits() <= other.Bits() && item.Contains(other.Addr())
}
