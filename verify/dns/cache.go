package dns

import (
	"container/list"
	"sync"
	"time"
)

// key is a question.
type key struct {
	qtype uint16
	name  string // canonical
}

// cache keeps results until they expire, or until staleEnd if they may be used
// stale. When it holds too many entries or too many octets, it drops the least
// recently used ones.
type cache struct {
	maxEntries int
	maxBytes   int

	mu      sync.Mutex
	entries map[key]*list.Element
	used    *list.List // of *cached, the most recently used first
	bytes   int
}

type cached struct {
	key    key
	result *result
	size   int
}

func newCache(maxEntries, maxBytes int) *cache {
	return &cache{
		maxEntries: maxEntries,
		maxBytes:   maxBytes,
		entries:    map[key]*list.Element{},
		used:       list.New(),
	}
}

// get returns the result kept for k, or nil.
func (c *cache) get(k key, now time.Time) *result {
	r := c.last(k, now)
	if r == nil || !now.Before(r.expires) {
		return nil
	}
	return r
}

// last returns the result kept for k, even if it has expired but may still be
// used stale, or nil.
func (c *cache) last(k key, now time.Time) *result {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[k]
	if e == nil {
		return nil
	}
	kept := e.Value.(*cached)
	if !now.Before(kept.result.expires) && !now.Before(kept.result.staleEnd) {
		c.remove(e)
		return nil
	}
	c.used.MoveToFront(e)
	return kept.result
}

// put keeps r for its TTL; r must not be modified any more. It drops what was
// kept for k, even if r may not be kept.
func (c *cache) put(k key, r *result) {
	size := len(k.name) + r.size()
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[k]; e != nil {
		c.remove(e)
	}
	if r.ttl <= 0 || size > c.maxBytes {
		return
	}
	c.entries[k] = c.used.PushFront(&cached{key: k, result: r, size: size})
	c.bytes += size
	for len(c.entries) > c.maxEntries || c.bytes > c.maxBytes {
		c.remove(c.used.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	kept := c.used.Remove(e).(*cached)
	delete(c.entries, kept.key)
	c.bytes -= kept.size
}
