package trace

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"authmilter/verify/message"
)

// maxHops bounds the Received fields that are followed. MTAs take a message with
// more than 25 to 100 for one that loops (RFC 5321 section 6.3).
const maxHops = 100

// Why it is not known where a message came in.
var (
	// ErrUnreadable means that a relay's Received field has an unknown form.
	ErrUnreadable = errors.New("the Received field of a relay cannot be read")
	// ErrNoOrigin means that the header ends, or its bounds are reached, before a
	// Received field that names a client other than a relay.
	ErrNoOrigin = errors.New("no Received field names a client that is not a relay")
)

// Trail follows the Received fields of one message. The zero value has no relays.
type Trail struct {
	// Relays are the networks of our relays.
	Relays []netip.Prefix

	origin Received
	above  int
	hops   int
	err    error
	done   bool
}

// NewTrail returns a trail for a message from client, or nil if that is none of relays.
func NewTrail(relays []netip.Prefix, client netip.Addr) *Trail {
	if !contains(relays, client) {
		return nil
	}
	return &Trail{Relays: relays}
}

// Field takes the next field of the header, top first, and reports whether the
// trail ends here: [Trail.Origin] returns the result, and no more fields are needed.
func (t *Trail) Field(f message.Field) (ends bool) {
	if t.done {
		return true
	}
	if !f.Is("received") {
		t.above++
		return false
	}
	r, ok := ParseReceived(f.Raw)
	switch {
	case !ok:
		t.end(Received{}, fmt.Errorf("%w: number %d from the top", ErrUnreadable, t.hops+1))
	case r.Client.IsValid() && !r.Client.IsLoopback() && !contains(t.Relays, r.Client):
		t.end(r, nil)
	default:
		// From one relay to the next, or within a relay: loopback is the relay
		// itself.
		t.above++
		if t.hops++; t.hops == maxHops {
			t.end(Received{}, ErrNoOrigin)
		}
	}
	return t.done
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

func (t *Trail) end(r Received, err error) { t.origin, t.err, t.done = r, err, true }

// Origin returns the client that the message came from, as the first relay saw it,
// and the number of fields above the Received field that says so: the relays added
// these. If the client is not known, it returns an error, [ErrUnreadable] or
// [ErrNoOrigin], and no field is known to be a relay's.
func (t *Trail) Origin() (client Received, above int, err error) {
	switch {
	case !t.done:
		return Received{}, 0, ErrNoOrigin
	case t.err != nil:
		return Received{}, 0, t.err
	}
	return t.origin, t.above, nil
}
