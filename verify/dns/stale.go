package dns

import (
	"errors"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// For a short while, an expired answer is better than none (RFC 8767): a
// resolver that restarts should not cause temporary errors for all mail. But it
// is worse than none if the record has been withdrawn meanwhile, as a DKIM key
// may be. So this time is short, any answer from a server ends it, and only the
// records that domains publish about their mail are used this way.
const (
	// DefaultMaxStale is the default of [Config].MaxStale.
	DefaultMaxStale = time.Hour
	// staleHold is how long a stale answer is used before the servers are asked
	// again (RFC 8767 sections 4 and 5).
	staleHold = 30 * time.Second
)

// staleEnd returns the time at which r, which is about to be cached, becomes too
// old to be used even stale: one TTL after it expires, which its publisher has to
// allow for anyway, or maxStale after it expires if that is earlier.
func staleEnd(k key, r *result, maxStale time.Duration) time.Time {
	if k.qtype != dns.TypeTXT || len(r.texts) == 0 {
		return r.expires
	}
	return r.expires.Add(min(r.ttl, max(0, maxStale)))
}

// instead returns the result to use and cache in place of r, or nil to use r
// itself. If no server answered for k, that is the result that the cache still
// has, marked as stale.
func (c *Client) instead(k key, r *result, now time.Time) *result {
	if !r.unanswered() {
		return nil
	}
	old := c.cache.last(k, now)
	// If the aliases now lead elsewhere, the old target has been withdrawn.
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

// unanswered reports whether no server gave an answer.
func (r *result) unanswered() bool {
	return r.err != nil && !r.err.NotFound && !errors.Is(r.err, ErrChain)
}

// startsWith reports whether names begins with the names in start.
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
