package config

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"authmilter/milter"
	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/trace"
)

// resolvConf lists the resolvers of the host.
const resolvConf = "/etc/resolv.conf"

// NewResolver returns the configured resolver. It reports its queries to o, which can
// be nil.
func (f *File) NewResolver(o dns.Observer) (*dns.Client, error) {
	servers := make([]string, len(f.DNS.Servers))
	for i, s := range f.DNS.Servers {
		servers[i] = s.text
	}
	if len(servers) == 0 {
		var err error
		if servers, err = dns.SystemServers(resolvConf); err != nil {
			return nil, f.ErrorAt("dns.servers", err)
		}
	}
	return dns.New(dns.Config{
		Servers:  servers,
		Timeout:  time.Duration(f.DNS.Timeout),
		Observer: o,
	}), nil
}

// SameDNS reports whether f can share the resolver, and its cache, of old.
func (f *File) SameDNS(old *File) bool {
	return slices.Equal(f.DNS.Servers, old.DNS.Servers) && f.DNS.Timeout == old.DNS.Timeout
}

// VerifyOptions returns the options to verify messages, without sealing.
func (f *File) VerifyOptions(r dns.Resolver) verify.Options {
	maxVoid := f.SPF.VoidLookups
	if maxVoid == 0 {
		maxVoid = -1 // none
	}
	return verify.Options{
		Resolver: r,
		Receiver: f.AuthservID,
		DKIM: dkim.Options{
			MinRSABits:       f.DKIM.MinimumRSABits,
			MaxRSABits:       f.DKIM.MaximumRSABits,
			MaxSignatures:    f.DKIM.MaximumSignatures,
			AllowPartialBody: f.DKIM.AllowPartialBody,
		},
		Discovery:       dmarc.Mode(f.DMARC.Discovery),
		EveryAuthor:     f.Rules().NeedsEveryAuthor() || f.Results.EachAuthor,
		MaxVoid:         maxVoid,
		HeloResult:      f.SPF.HeloResult,
		MaxQueries:      f.Limits.DNSQueries,
		LookupTime:      time.Duration(f.Limits.DNSTime),
		MaxHeaderBytes:  int(f.Limits.HeaderBytes),
		MaxHeaderFields: f.Limits.HeaderFields,
		Explain:         f.explains(),
		IPRev:           f.IPRev.Check,

		NoOriginIsTemporary: f.Relay.Unreadable == choiceTemperror,
	}
}

// explains reports whether the log explains each result.
func (f *File) explains() bool { return f.Log.Level.Level() <= slog.LevelDebug }

// claimant returns the Claimant that recognizes fields in our name.
func (f *File) claimant() *authres.Claimant {
	return authres.NewClaimant(append([]string{f.AuthservID}, f.AuthservIDAliases...)...)
}

// OwnFields returns the fields that are forged if they arrive in inbound mail.
func (f *File) OwnFields() policy.OwnFields {
	return policy.OwnFields{Claimant: f.claimant(), Quarantine: f.Policy.QuarantineField, ReceivedSPF: f.SPF.ReceivedSPF}
}

// Skips reports whether mail from a client is skipped because of its address.
func (f *File) Skips(client netip.Addr) bool {
	return slices.ContainsFunc(f.Skip.Networks, func(n Network) bool { return n.Contains(client) })
}

// Trail returns the trail of a message from a client, or nil if the client is not
// one of our relays.
func (f *File) Trail(client netip.Addr) *trace.Trail {
	return trace.NewTrail(prefixes(f.Relay.Networks), client)
}

// ResultsOptions returns what Authentication-Results shows.
func (f *File) ResultsOptions() policy.ResultsOptions {
	o := policy.ResultsOptions{EachAuthor: f.Results.EachAuthor}
	for _, method := range f.Results.HideNone {
		o.HideNone = append(o.HideNone, string(method))
	}
	return o
}

// HostNames returns the possible names of this host.
func (f *File) HostNames() []string {
	names := []string{f.AuthservID}
	if host, _, err := net.SplitHostPort(f.Metrics.Listen); err == nil {
		names = append(names, host)
	}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	return names
}

// Settings returns the settings of the milter.
func (c *Config) Settings(r dns.Resolver) *milter.Settings {
	options := c.VerifyOptions(r)
	var signing []milter.SigningKey
	for _, k := range c.keys {
		switch k.Use {
		case UseSeal:
			options.Sealer = &arc.Sealer{Domain: k.Domain, Selector: k.Selector, Key: k.Private}
		case UseSign:
			signing = append(signing, milter.SigningKey{Domain: k.Domain, Selector: k.Selector, Signer: k.Private.Signer()})
		}
	}
	return &milter.Settings{
		AuthservID:        c.AuthservID,
		Claimant:          c.claimant(),
		Verifier:          verify.New(options),
		Rules:             c.Rules(),
		Results:           c.ResultsOptions(),
		QuarantineField:   c.Policy.QuarantineField,
		ReceivedSPF:       c.SPF.ReceivedSPF,
		Signing:           signing,
		SkipAuthenticated: c.Skip.Authenticated,
		SkipNetworks:      prefixes(c.Skip.Networks),
		Relays:            prefixes(c.Relay.Networks),
		KeepRelayResults:  c.Relay.KeepResults,
		SkipCheckDKIM:     c.Skip.CheckDKIM,
		MaxMessages:       c.Limits.Messages,
		MaxForged:         c.Limits.ForgedFields,
		DeferForged:       c.Policy.TooManyForged == choiceTempfail,
		EndOfMessage:      time.Duration(c.Limits.EndOfMessage),
		ExplainRules:      c.explains(),
	}
}

func prefixes(networks []Network) []netip.Prefix {
	list := make([]netip.Prefix, len(networks))
	for i, n := range networks {
		list[i] = n.Prefix
	}
	return list
}
