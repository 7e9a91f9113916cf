package config

import (
	"net"
	"net/netip"
	"slices"

	"authmilter/policy"
)

// Warnings returns warnings about settings that are valid but probably a mistake.
func (c *Config) Warnings() []string {
	warnings := slices.Concat(c.keyWarnings, c.overrideWarnings(), c.relayWarnings(), c.reachableWarnings())
	options := c.VerifyOptions(nil)
	if missing := options.MissingQueries(); missing > 0 {
		err := badKey("limits.dns_queries", "SPF records that RFC 7208 allows can need more; %d is enough", options.MaxQueries+missing)
		warnings = append(warnings, c.source.locate(err).Error())
	}
	if len(c.Sign) > 0 && slices.Contains(c.Results.HideNone, "dmarc") {
		err := badKey("results.hide_none", "without a DMARC result, mail that comes back from a list of yours is not signed")
		warnings = append(warnings, c.source.locate(err).Error())
	}
	return warnings
}

// overrideWarnings returns warnings about overrides.
func (f *File) overrideWarnings() (warnings []string) {
	all := f.overrides
	warn := func(i int, format string, args ...any) {
		warnings = append(warnings, f.source.locate(badKeyOf(i, "override", format, args...)).Error())
	}
	for i := range all {
		decides := func(o policy.Override) bool { return o.Action != policy.ActionReportOnly && o.Covers(&all[i]) }
		if j := slices.IndexFunc(all[:i], decides); j >= 0 {
			if all[i].Action.Tightens() {
				warn(i, "can only match in part: override %d comes first and matches everything that it matches in full", j+1)
			} else {
				warn(i, "can never match: override %d comes first and matches everything that it matches", j+1)
			}
		}
		if all[i].Action.Loosens() && all[i].Forgeable() {
			warn(i, "a sender can forge everything it matches on; add client, client_name, dkim or sealer")
		}
		clients := all[i].Items("client")
		for _, list := range []struct {
			key      string
			networks []Network
		}{{"skip.networks", f.Skip.Networks}, {"relay.networks", f.Relay.Networks}} {
			if len(clients) > 0 && !slices.ContainsFunc(clients, func(n string) bool { return !within(n, list.networks) }) {
				warn(i, "can never match: its clients are in %s", list.key)
			}
		}
	}
	return warnings
}

// shortPrefix is the length of a prefix below which a network is a good part of the
// Internet.
const shortPrefix = 8

// relayWarnings returns warnings about relays. A client that is taken for one chooses
// where its mail comes from.
func (f *File) relayWarnings() (warnings []string) {
	if f.Relay.KeepResults && len(f.Relay.Networks) == 0 {
		err := badKey("relay.keep_results", "has no effect without relay.networks")
		warnings = append(warnings, f.source.locate(err).Error())
	}
	for _, n := range f.Relay.Networks {
		if n.Bits() < shortPrefix {
			err := badKey("relay.networks", "%v has many hosts that are not yours: each could choose the client that is checked", n)
			warnings = append(warnings, f.source.locate(err).Error())
		}
	}
	return warnings
}

// reachableWarnings returns warnings about addresses that other hosts can reach.
func (f *File) reachableWarnings() (warnings []string) {
	warn := func(key, format string, args ...any) {
		warnings = append(warnings, f.source.locate(badKey(key, format, args...)).Error())
	}
	for _, a := range f.Listen {
		if host, ok := a.Host(); ok && !isLoopback(host) {
			warn("listen", "other hosts can reach %v, and the milter protocol has no authentication: let a firewall admit your MTAs only", a)
		}
	}
	if host, _, err := net.SplitHostPort(f.Metrics.Listen); err == nil && !isLoopback(host) {
		warn("metrics.listen", "other hosts can reach %s, which needs no password", f.Metrics.Listen)
	}
	return warnings
}

// isLoopback reports whether only this host can reach host, an address or a name.
func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || host == "localhost"
}

// within reports whether every address of a normalized network is in one of list.
func within(network string, list []Network) bool {
	n := netip.MustParsePrefix(network)
	return slices.ContainsFunc(list, func(p Network) bool { return p.Bits() <= n.Bits() && p.Contains(n.Addr()) })
}
