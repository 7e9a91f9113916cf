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
// may be. So the while is short, any answer from a server ends it, and only the
// records that domains publish about their mail are used this way.
const (
	// DefaultMaxStale is the default of [Config].MaxStale.
	DefaultMaxStale = time.Hour
	// staleHold is how long a stale answer is used before the servers are asked
	// again (RFC 8767 sections 4 and 5).
	staleHold = 30 * time.Second
)

// staleEnd returns until when r, which is about to be kept, may be used stale:
// for one more TTL, which its publisher has to allow for anyway, but at most
// for maxStale.
func staleEnd(k key, r *result, maxStale time.Duration) time.Time {
	if k.qtype != dns.TypeTXT || len(r.texts) == 0 {
		return r.expires
	}
	return r.expires.Add(min(r.ttl, max(0, maxStale)))
}

// instead returns what to use and keep in place of r, the servers' result for
// k. If r says nothing about k, that is what the cache still has; otherwise
// nil.
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
