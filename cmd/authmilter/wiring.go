package main

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"authmilter/metrics"
	"authmilter/milter"
	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
)

// resolvConf names the resolvers of the host.
const resolvConf = "/etc/resolv.conf"

func build() metrics.Build {
	v, revision := buildVersion()
	return metrics.Build{Version: v, Revision: revision}
}

// violations returns the known reasons to close a connection from an MTA.
func violations() []string {
	var all []string
	for _, v := range milter.Violations() {
		all = append(all, string(v))
	}
	return all
}

// stages returns the stages in which a milter's error may be.
func stages() []string {
	var all []string
	for _, s := range milter.Stages() {
		all = append(all, string(s))
	}
	return all
}

// newResolver returns the resolver that the config asks for.
func (c *Config) newResolver(o dns.Observer) (*dns.Client, error) {
	servers := make([]string, len(c.DNS.Servers))
	for i, s := range c.DNS.Servers {
		servers[i] = s.text
	}
	if len(servers) == 0 {
		var err error
		if servers, err = dns.SystemServers(resolvConf); err != nil {
			return nil, &keyError{key: "dns.servers", err: err}
		}
	}
	return dns.New(dns.Config{
		Servers:  servers,
		Timeout:  time.Duration(c.DNS.Timeout),
		Observer: o,
	}), nil
}

// sameDNS reports whether a resolver made for old, and its cache, serve c too.
func (c *Config) sameDNS(old *Config) bool {
	return slices.Equal(c.DNS.Servers, old.DNS.Servers) && c.DNS.Timeout == old.DNS.Timeout
}

// verifyOptions returns how messages are verified.
func (c *Config) verifyOptions(r dns.Resolver) verify.Options {
	maxVoid := c.SPF.VoidLookups
	if maxVoid == 0 {
		maxVoid = -1 // none
	}
	return verify.Options{
		Resolver: r,
		Receiver: c.AuthservID,
		DKIM: dkim.Options{
			MinRSABits:       c.DKIM.MinimumRSABits,
			MaxRSABits:       c.DKIM.MaximumRSABits,
			MaxSignatures:    c.DKIM.MaximumSignatures,
			AllowPartialBody: c.DKIM.AllowPartialBody,
		},
		MaxVoid:         maxVoid,
		Discovery:       dmarc.Mode(c.DMARC.Discovery),
		HeloResult:      c.SPF.HeloResult,
		MaxQueries:      c.Limits.DNSQueries,
		LookupTime:      time.Duration(c.Limits.DNSTime),
		MaxHeaderBytes:  int(c.Limits.HeaderBytes),
		MaxHeaderFields: c.Limits.HeaderFields,
		Sealer:          c.sealer(),
		Explain:         c.explains(),
		IPRev:           c.IPRev.Check,
	}
}

// explains reports whether the log tells how each verdict came about.
func (c *Config) explains() bool { return c.Log.Level.Level() <= slog.LevelDebug }

// claimant knows the fields that forge ours.
func (c *Config) claimant() *authres.Claimant {
	return authres.NewClaimant(append([]string{c.AuthservID}, c.AuthservIDAliases...)...)
}

// ownFields returns the fields that are forged in an inbound message.
func (c *Config) ownFields() policy.OwnFields {
	return policy.OwnFields{Claimant: c.claimant(), Quarantine: c.Policy.QuarantineField, ReceivedSPF: c.SPF.ReceivedSPF}
}

// skips reports whether a client is one of those whose mail is not inbound.
func (c *Config) skips(client netip.Addr) bool {
	return slices.ContainsFunc(c.Skip.Networks, func(p prefix) bool { return p.Contains(client) })
}

// settings returns what the milter does with messages.
func (c *Config) settings(r dns.Resolver) *milter.Settings {
	networks := make([]netip.Prefix, len(c.Skip.Networks))
	for i, p := range c.Skip.Networks {
		networks[i] = p.Prefix
	}
	return &milter.Settings{
		AuthservID:        c.AuthservID,
		Claimant:          c.claimant(),
		Verifier:          verify.New(c.verifyOptions(r)),
		Rules:             c.rules(),
		QuarantineField:   c.Policy.QuarantineField,
		ReceivedSPF:       c.SPF.ReceivedSPF,
		Signing:           c.signing(),
		SkipAuthenticated: c.Skip.Authenticated,
		SkipNetworks:      networks,
		MaxMessages:       c.Limits.Messages,
		EndOfMessage:      time.Duration(c.Limits.EndOfMessage),
		ExplainRules:      c.explains(),
	}
}
