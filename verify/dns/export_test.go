package dns

// Busy returns how many look-ups are under way and how many packets await an
// answer.
func (c *Client) Busy() (flights, packets int) {
	c.flights.mu.Lock()
	defer c.flights.mu.Unlock()
	return len(c.flights.open), len(c.slots)
}

// Cached returns how many results the cache holds, how many octets it counts
// for them, and whether its parts agree on both.
func (c *Client) Cached() (entries, bytes int, consistent bool) {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	sum := 0
	for e := c.cache.used.Front(); e != nil; e = e.Next() {
		kept := e.Value.(*cached)
		sum += kept.size
		consistent = c.cache.entries[kept.key] == e
		if !consistent {
			return 0, 0, false
		}
	}
	return len(c.cache.entries), c.cache.bytes, sum == c.cache.bytes && c.cache.used.Len() == len(c.cache.entries)
}
