package dns

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// maxName bounds the text of a name before anything else looks at it: 255
// octets on the wire (RFC 1035 section 2.3.4) never need more text unescaped.
const maxName = 255

// canonical returns name as a cache key: lower case, without a trailing dot.
// It does not allocate for a name that is so already.
func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// question returns canonical name as miekg/dns writes a fully qualified name,
// and false where no packet can hold it. Names come from outside: every octet
// but the dot stands for itself, so a backslash, which would begin an escape,
// is escaped.
func question(name string) (string, bool) {
	if name == "" || len(name) > maxName {
		return "", false
	}
	fqdn := strings.ReplaceAll(name, `\`, `\\`) + "."
	if _, ok := dns.IsDomainName(fqdn); !ok {
		return "", false
	}
	return fqdn, true
}

// unqualified returns a name of an answer without its trailing dot. Octets that
// miekg/dns escaped stay so: no name of mail authentication holds them, and
// asking for the escaped text finds nothing.
func unqualified(name string) string { return strings.TrimSuffix(name, ".") }

// reverseName returns the name of addr in the reverse tree (RFC 1035 section
// 3.5, RFC 3596 section 2.5), without a trailing dot.
func reverseName(addr netip.Addr) string {
	name, err := dns.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return ""
	}
	return unqualified(name)
}
