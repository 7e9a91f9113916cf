package dns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"authmilter/verify/ascii"
)

const (
	// maxChain bounds the aliases followed from one name.
	maxChain = 10
	// maxPositive and maxNegative bound how long an answer is kept, whatever
	// its TTL says. RFC 2308 section 5 suggests one to three hours for negative
	// answers.
	maxPositive = 24 * time.Hour
	maxNegative = time.Hour
)

// result is the outcome of one look-up: the values in one of the slices, or an
// error. The cache shares it, so it is not modified once made.
type result struct {
	texts  []string // TXT, PTR
	hosts  []MX
	addrs  []netip.Addr
	cnames []string

	authentic bool
	// ttl is how long the result may be kept; 0 means not at all.
	ttl time.Duration
	// Set when the result is kept: it is used until expires, and until staleEnd
	// if nothing newer can be had.
	expires, staleEnd time.Time
	stale             bool // used after it expired
	err               *Error
}

// size estimates the memory that r takes, in octets.
func (r *result) size() int {
	n := 256 + 24*len(r.addrs)
	for _, list := range [][]string{r.texts, r.cnames} {
		for _, s := range list {
			n += 16 + len(s)
		}
	}
	for _, m := range r.hosts {
		n += 24 + len(m.Host)
	}
	return n
}

// cancelled reports whether a look-up ended because every caller had left it.
func (r *result) cancelled() bool {
	return r.err != nil && errors.Is(r.err, context.Canceled)
}

// read adds to r what the response m says about name. first is the name that
// the look-up began with. If m ends in an alias and says nothing about its
// target, read returns the target, which is the name to ask for next; otherwise
// it returns "". The size of a message bounds the number of records.
func (r *result) read(m *dns.Msg, first, name string, qtype uint16) (next string, err error) {
	ttl := maxPositive
	if len(r.cnames) > 0 {
		ttl = r.ttl
	}
	r.authentic = m.AuthenticatedData && (len(r.cnames) == 0 || r.authentic)
	followed := false
	for {
		found := false
		var alias *dns.CNAME
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || !strings.EqualFold(h.Name, name) {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok && qtype != dns.TypeCNAME {
				alias = c
			} else if h.Rrtype == qtype && r.add(rr) {
				found = true
				ttl = min(ttl, seconds(h.Ttl))
			}
		}
		if found {
			r.ttl = ttl
			slices.SortStableFunc(r.hosts, func(a, b MX) int { return int(a.Preference) - int(b.Preference) })
			return "", nil
		}
		if alias == nil {
			break
		}
		ttl = min(ttl, seconds(alias.Hdr.Ttl))
		if r.passed(first, alias.Target) {
			r.ttl = min(ttl, maxNegative)
			return "", ErrLoop
		}
		if len(r.cnames) == maxChain {
			return "", ErrChain
		}
		followed = true
		name = alias.Target
		r.cnames = append(r.cnames, unqualified(name))
	}

	negative, known := negativeTTL(m, name)
	r.ttl = min(ttl, negative)
	if m.Rcode == dns.RcodeNameError {
		return "", ErrNoSuchName
	}
	if followed && !known {
		// The server did not follow the alias to its end.
		r.ttl = ttl
		return name, nil
	}
	return "", nil
}

// passed reports whether a look-up that began with first has already been at
// name.
func (r *result) passed(first, name string) bool {
	name = unqualified(name)
	return strings.EqualFold(name, unqualified(first)) ||
		slices.ContainsFunc(r.cnames, func(c string) bool { return strings.EqualFold(c, name) })
}

// loops reports whether the aliases in m lead from name back to one of them.
// Some resolvers answer SERVFAIL and send the loop along.
func loops(m *dns.Msg, name string, qtype uint16) bool {
	var r result
	_, err := r.read(m, name, name, qtype)
	return errors.Is(err, ErrLoop)
}

// add keeps the value of rr, and reports whether it has one.
func (r *result) add(rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.TXT:
		r.texts = append(r.texts, joinText(rr.Txt))
	case *dns.PTR:
		r.texts = append(r.texts, unqualified(rr.Ptr))
	case *dns.MX:
		r.hosts = append(r.hosts, MX{Preference: rr.Preference, Host: unqualified(rr.Mx)})
	case *dns.A:
		addr, ok := netip.AddrFromSlice(rr.A.To4())
		if ok {
			r.addrs = append(r.addrs, addr)
		}
		return ok
	case *dns.AAAA:
		addr, ok := netip.AddrFromSlice(rr.AAAA.To16())
		if ok {
			r.addrs = append(r.addrs, addr)
		}
		return ok
	default:
		return false
	}
	return true
}

// negativeTTL returns how long the answer "nothing for name" may be kept, from
// the SOA in the authority section (RFC 2308 section 5). Without an SOA it must
// not be kept, and known is false.
func negativeTTL(m *dns.Msg, name string) (ttl time.Duration, known bool) {
	for _, rr := range m.Ns {
		soa, ok := rr.(*dns.SOA)
		if ok && dns.IsSubDomain(soa.Hdr.Name, name) {
			return min(seconds(soa.Hdr.Ttl), seconds(soa.Minttl), maxNegative), true
		}
	}
	return 0, false
}

// seconds returns a TTL as a duration. A TTL with its top bit set counts as 0
// (RFC 2181 section 8).
func seconds(ttl uint32) time.Duration {
	if ttl >= 1<<31 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// joinText returns the octets of the character-strings of a TXT record, which
// miekg/dns holds in the escapes of RFC 1035 section 5.1.
func joinText(parts []string) string {
	if len(parts) == 1 && !strings.Contains(parts[0], `\`) {
		return parts[0]
	}
	var b strings.Builder
	for _, s := range parts {
		for i := 0; i < len(s); i++ {
			c := s[i]
			if c == '\\' && i+1 < len(s) {
				if i+3 < len(s) && ascii.IsDigit(s[i+1]) && ascii.IsDigit(s[i+2]) && ascii.IsDigit(s[i+3]) {
					c = (s[i+1]-'0')*100 + (s[i+2]-'0')*10 + (s[i+3] - '0')
					i += 3
				} else {
					i++
					c = s[i]
				}
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}
