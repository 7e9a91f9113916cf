package dns

// Busy returns how many look-ups are under way and how many packets await an
// answer.
func (c *Client) Busy() (flights, packets int) {
	c.flights.mu.Lock()
	defer c.flights.mu.Unlock()
	return len(c.flights.open), len(c.slots)
}
