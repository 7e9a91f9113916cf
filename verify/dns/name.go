package dns

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"authmilter/verify/ascii"
)

// maxName bounds the text of a name, unescaped and without a trailing dot. On
// the wire it takes two octets more, and the limit is 255
// (RFC 1035 section 2.3.4).
const maxName = 253

// canonical returns name as a cache key: without a trailing dot, and with ASCII
// letters in lower case. Only they have case in the DNS (RFC 4343 section 3).
// It does not allocate if name is canonical already.
func canonical(name string) string {
	name = strings.TrimSuffix(name, ".")
	for i := 0; i < len(name); i++ {
		if name[i] != ascii.Lower(name[i]) {
			b := []byte(name)
			for ; i < len(b); i++ {
				b[i] = ascii.Lower(b[i])
			}
			return string(b)
		}
	}
	return name
}

// question returns a canonical name the way miekg/dns writes a fully qualified
// name that it reads from a packet, so that the two can be compared. It returns
// false if no packet can hold the name. Names come from outside: every octet
// but the dot stands for itself, and octets with a special meaning in master
// files are escaped.
func question(name string) (string, bool) {
	if name == "" || len(name) > maxName {
		return "", false
	}
	fqdn := escape(name) + "."
	if _, ok := dns.IsDomainName(fqdn); !ok {
		return "", false
	}
	return fqdn, true
}

// escape escapes the octets that miekg/dns escapes in names.
func escape(name string) string {
	plain := true
	for i := 0; plain && i < len(name); i++ {
		c := name[i]
		plain = c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-' || c == '_'
	}
	if plain {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case strings.IndexByte(` '@;()"\`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unqualified returns a name from an answer without its trailing dot. Octets
// that miekg/dns escaped stay escaped: no name in mail authentication contains
// them, and looking up the escaped text finds nothing.
func unqualified(name string) string { return strings.TrimSuffix(name, ".") }

// reverseName returns the name of addr in the reverse tree
// (RFC 1035 section 3.5, RFC 3596 section 2.5), without a trailing dot.
func reverseName(addr netip.Addr) string {
	name, err := dns.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return ""
	}
	return unqualified(name)
}
