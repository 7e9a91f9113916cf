package milter

import (
	"net/netip"
	"slices"

	"authmilter/policy"
	"authmilter/verify/message"
	"authmilter/verify/trace"
)

// relayed is a message from a relay of ours, until it is known which client gave it
// to the first relay. Until then nothing can be verified, and its fields are held.
type relayed struct {
	trail  *trace.Trail
	held   message.Header
	octets int
}

// add holds f, and reports whether no more fields are needed: the client is known,
// or there are too many fields above the one that would name it.
func (r *relayed) add(f message.Field) (ends bool) {
	r.held = append(r.held, f)
	r.octets += len(f.Name) + len(f.Raw)
	return r.trail.Field(f) || r.octets > maxOwnHeader || len(r.held) == maxOwnFields
}

// arrive begins a message from a relay as if it came from the client that gave it to
// the first relay, and takes the fields held so far.
func (t *transaction) arrive() {
	r := t.relayed
	t.relayed = nil
	client, above, err := r.trail.Origin()
	t.env.ClientIP, t.env.ClientName, t.env.Helo, t.env.NoOrigin = client.Client, client.Name, client.Helo, err
	why := policy.NotSkipped
	if contains(t.settings.SkipNetworks, client.Client) {
		why = policy.LocalNetwork
		t.removals.keep(func(f removal) bool { return f.kind != policy.ResultsField })
	}
	t.begin(why)
	if t.settings.KeepRelayResults && why == policy.NotSkipped {
		t.keepResults(r.held[:above])
	}
	for _, f := range r.held {
		t.take(f)
	}
}

// keepResults keeps what our relays wrote: top are the fields above the one that
// names the client, which nobody else can have added.
func (t *transaction) keepResults(top message.Header) {
	t.removals.keep(func(f removal) bool {
		if f.at >= len(top) {
			return false
		}
		results, ok := t.removals.fields.OfRelay(f.kind, top[f.at].Raw)
		t.relayResults = append(t.relayResults, results...)
		return ok
	})
}

// contains reports whether a is in one of networks.
func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}
