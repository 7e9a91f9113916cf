package dns

import (
	"errors"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// An answer that has expired is better than none for a while (RFC 8767): a
// resolver that restarts should not make temporary errors of all mail. It is
// worse than none where it has been withdrawn since, as a DKIM key may be. So
// the while is short, a server that answers anything ends it, and only the
// records that domains publish about their mail are used so.
const (
	// DefaultMaxStale is the default of [Config].MaxStale.
	DefaultMaxStale = time.Hour
	// staleHold is how long a stale answer is used before the servers are asked
	// again (RFC 8767 sections 4 and 5).
	staleHold = 30 * time.Second
)

// staleEnd returns until when r, which is about to be kept, may be used stale:
// for as long again as its publisher let it be kept, which is how long he has to
// reckon with its use anyway, and for maxStale at most.
func staleEnd(k key, r *result, maxStale time.Duration) time.Time {
	if k.qtype != dns.TypeTXT || len(r.texts) == 0 {
		return r.expires
	}
	return r.expires.Add(min(r.ttl, max(0, maxStale)))
}

// instead returns what to use and keep instead of r, the result that the servers
// gave for k: where it says nothing about k, what the cache still has; or nil.
func (c *Client) instead(k key, r *result, now time.Time) *result {
	if !r.unanswered() {
		return nil
	}
	old := c.cache.last(k, now)
	// Where aliases lead elsewhere by now, the old end of them is withdrawn.
	if old == nil || !startsWith(old.cnames, r.cnames) {
		return nil
	}
	stale := *old
	stale.stale = true
	stale.authentic = false // nobody vouches for it any more
	stale.expires = now.Add(min(staleHold, old.staleEnd.Sub(now)))
	stale.ttl = stale.expires.Sub(now)
	return &stale
}

// unanswered tells whether no server had an answer, however many said so.
func (r *result) unanswered() bool {
	return r.err != nil && !r.err.NotFound && !errors.Is(r.err, ErrChain)
}

// startsWith tells whether names begins with the names of start.
func startsWith(names, start []string) bool {
	if len(start) > len(names) {
		return false
	}
	for i, s := range start {
		if !strings.EqualFold(s, names[i]) {
			return false
		}
	}
	return true
}
