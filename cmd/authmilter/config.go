package main

import (
	"log/slog"
	"os"
	"time"

	"authmilter/milter"
	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/domain"
	"authmilter/verify/spf"
)

// Config is the whole configuration, as the file spells it.
type Config struct {
	AuthservID        string          `toml:"authserv_id" comment:"Our name in Authentication-Results; default: the host's name."`
	AuthservIDAliases []string        `toml:"authserv_id_aliases" comment:"Further names whose incoming Authentication-Results are forged and removed."`
	Listen            []listenAddress `toml:"listen" comment:"Where the MTA finds us, in Sendmail's notation: inet:port@host, inet6:port@host, unix:/path."`
	SocketMode        fileMode        `toml:"socket_mode" comment:"Permissions of unix sockets."`

	Skip    SkipConfig    `toml:"skip" comment:"Messages that are not inbound: no checks, no header, logged."`
	DNS     DNSConfig     `toml:"dns"`
	DKIM    DKIMConfig    `toml:"dkim"`
	SPF     SPFConfig     `toml:"spf"`
	DMARC   DMARCConfig   `toml:"dmarc"`
	ARC     ARCConfig     `toml:"arc"`
	Policy  PolicyConfig  `toml:"policy"`
	Metrics MetricsConfig `toml:"metrics"`
	Log     LogConfig     `toml:"log"`
	Limits  LimitsConfig  `toml:"limits"`
	Sign    []SignConfig  `toml:"sign,omitempty" comment:"Own mail, from authenticated or local clients: DKIM-signed, and nothing else."`

	source configSource
	// What loadKeys has read.
	sealKey  *ownKey
	signKeys []ownKey
}

// SkipConfig names the messages that are not inbound.
type SkipConfig struct {
	Authenticated bool     `toml:"authenticated" comment:"Skip clients that authenticated themselves to the MTA."`
	Networks      []prefix `toml:"networks" comment:"Skip clients with an address in these networks."`
}

// DNSConfig says how names are looked up.
type DNSConfig struct {
	Servers []hostPort `toml:"servers" comment:"Resolvers, as host:port; default: those of /etc/resolv.conf."`
	Timeout duration   `toml:"timeout" comment:"For one look-up, all tries included."`
}

// DKIMConfig bounds what signatures are accepted.
type DKIMConfig struct {
	MinimumRSABits    int  `toml:"minimum_rsa_bits" comment:"Weaker keys give the result policy."`
	MaximumRSABits    int  `toml:"maximum_rsa_bits"`
	MaximumSignatures int  `toml:"maximum_signatures" comment:"Verified in one message, those of the author's domain first."`
	AllowPartialBody  bool `toml:"allow_partial_body" comment:"Accept signatures whose l= leaves a part of the body unsigned."`
}

// SPFConfig says how SPF is evaluated.
type SPFConfig struct {
	HeloResult  bool `toml:"helo_result" comment:"Report a second result, for the HELO identity."`
	VoidLookups int  `toml:"void_lookups" comment:"RFC 7208 section 4.6.4."`
}

// DMARCConfig says how policies are found.
type DMARCConfig struct {
	Discovery discovery `toml:"discovery" comment:"tree-walk (RFC 9989) or psl (RFC 7489)."`
}

// ARCConfig says who seals inbound mail, and whose seals are believed.
type ARCConfig struct {
	Seal           bool     `toml:"seal" comment:"Add an ARC Set to every inbound message; needs domain, selector and key_file."`
	Domain         string   `toml:"domain,omitempty"`
	Selector       string   `toml:"selector,omitempty"`
	KeyFile        string   `toml:"key_file,omitempty"`
	TrustedSealers []string `toml:"trusted_sealers,omitempty" comment:"Domains whose ARC seals are believed where a message fails DMARC."`
}

// SignConfig is one key for the DKIM signatures of own mail.
type SignConfig struct {
	Domain   string `toml:"domain" comment:"Author domain, and its subdomains that have no entry of their own."`
	Selector string `toml:"selector"`
	KeyFile  string `toml:"key_file"`
}

// PolicyConfig says what verdicts do to mail.
type PolicyConfig struct {
	Mode       string `toml:"mode" comment:"report: the verdict never changes what happens to a message."`
	Quarantine string `toml:"quarantine" comment:"header: the verdict is written into the header and nothing else is done."`
}

// MetricsConfig says where Prometheus finds us.
type MetricsConfig struct {
	Listen string `toml:"listen" comment:"host:port of /metrics, /healthz and /readyz; empty: off."`
}

// LogConfig says what is logged to standard error.
type LogConfig struct {
	Level  logLevel `toml:"level" comment:"debug, info, warn or error."`
	Format string   `toml:"format" comment:"text or json."`
}

// LimitsConfig bounds what one peer or one message can make us do.
type LimitsConfig struct {
	Connections  int      `toml:"connections" comment:"From MTAs, at once."`
	Messages     int      `toml:"messages" comment:"In flight, at once."`
	HeaderBytes  size     `toml:"header_bytes" comment:"Of one message; past it the message is not verified."`
	HeaderFields int      `toml:"header_fields"`
	DNSQueries   int      `toml:"dns_queries" comment:"For one message."`
	DNSTime      duration `toml:"dns_time" comment:"For one message."`
	EndOfMessage duration `toml:"end_of_message" comment:"How long the MTA waits at the end of a message; what is missing then is temperror."`
	Shutdown     duration `toml:"shutdown" comment:"How long SIGTERM waits for messages in flight."`
}

// defaultConfig returns the configuration of a host without a file.
func defaultConfig() Config {
	return Config{
		Listen:     []listenAddress{{milter.MustParseAddress("inet:8894@127.0.0.1")}},
		SocketMode: 0o660,
		Skip: SkipConfig{
			Authenticated: true,
			Networks:      []prefix{mustPrefix("127.0.0.0/8"), mustPrefix("::1/128")},
		},
		DNS: DNSConfig{Timeout: duration(dns.DefaultTimeout)},
		DKIM: DKIMConfig{
			MinimumRSABits:    dkim.DefaultMinRSABits,
			MaximumRSABits:    dkim.DefaultMaxRSABits,
			MaximumSignatures: dkim.DefaultMaxSignatures,
		},
		SPF:     SPFConfig{VoidLookups: spf.DefaultMaxVoid},
		DMARC:   DMARCConfig{Discovery: discovery(dmarc.TreeWalk)},
		Policy:  PolicyConfig{Mode: "report", Quarantine: "header"},
		Metrics: MetricsConfig{Listen: "127.0.0.1:9894"},
		Log:     LogConfig{Level: logLevel(slog.LevelInfo), Format: "text"},
		Limits: LimitsConfig{
			Connections:  milter.DefaultMaxConnections,
			Messages:     milter.DefaultMaxMessages,
			HeaderBytes:  verify.DefaultMaxHeaderBytes,
			HeaderFields: verify.DefaultMaxHeaderFields,
			DNSQueries:   verify.DefaultMaxQueries,
			DNSTime:      duration(verify.DefaultLookupTime),
			EndOfMessage: duration(milter.DefaultEndOfMessage),
			Shutdown:     duration(30 * time.Second),
		},
	}
}

// check fills in what depends on the host and refuses values that decode but
// make no sense.
func (c *Config) check() error {
	if c.AuthservID == "" {
		name, err := os.Hostname()
		if err != nil {
			return badKey("authserv_id", "the host has no name: %w", err)
		}
		c.AuthservID = name
	}
	id, err := domain.ToASCII(c.AuthservID)
	if err != nil {
		return badKey("authserv_id", "%q is %w", c.AuthservID, err)
	}
	c.AuthservID = id
	for _, alias := range c.AuthservIDAliases {
		if _, err := domain.ToASCII(alias); err != nil {
			return badKey("authserv_id_aliases", "%q is %w", alias, err)
		}
	}
	if len(c.Listen) == 0 {
		return badKey("listen", "no address to listen on")
	}
	if err := c.checkReserved(); err != nil {
		return err
	}
	if err := c.checkKeyNames(); err != nil {
		return err
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return badKey("log.format", `%q is neither "text" nor "json"`, c.Log.Format)
	}
	if c.Metrics.Listen != "" {
		if err := checkHostPort(c.Metrics.Listen, "127.0.0.1:9894"); err != nil {
			return &keyError{key: "metrics.listen", err: err}
		}
	}
	for _, n := range []struct {
		key      string
		value    int64
		min, max int64
	}{
		{"dkim.minimum_rsa_bits", int64(c.DKIM.MinimumRSABits), 1024, 8192},
		{"dkim.maximum_rsa_bits", int64(c.DKIM.MaximumRSABits), int64(c.DKIM.MinimumRSABits), 16384},
		{"dkim.maximum_signatures", int64(c.DKIM.MaximumSignatures), 1, 100},
		{"spf.void_lookups", int64(c.SPF.VoidLookups), 0, 10},
		{"limits.connections", int64(c.Limits.Connections), 1, 1 << 20},
		{"limits.messages", int64(c.Limits.Messages), 1, 1 << 20},
		{"limits.header_bytes", int64(c.Limits.HeaderBytes), 4 << 10, 64 << 20},
		{"limits.header_fields", int64(c.Limits.HeaderFields), 10, 1 << 20},
		{"limits.dns_queries", int64(c.Limits.DNSQueries), 80, 10_000},
	} {
		if n.value < n.min || n.value > n.max {
			return badKey(n.key, "%d is not between %d and %d", n.value, n.min, n.max)
		}
	}
	for _, d := range []struct {
		key   string
		value duration
		max   time.Duration
	}{
		{"dns.timeout", c.DNS.Timeout, time.Minute},
		{"limits.dns_time", c.Limits.DNSTime, 5 * time.Minute},
		{"limits.end_of_message", c.Limits.EndOfMessage, 4 * time.Minute},
		{"limits.shutdown", c.Limits.Shutdown, 10 * time.Minute},
	} {
		if d.value <= 0 || time.Duration(d.value) > d.max {
			return badKey(d.key, "%v is not between 0 and %v", time.Duration(d.value), d.max)
		}
	}
	return nil
}

// checkReserved refuses what is configured for a later version: to ignore it
// would let an administrator believe that it is done.
func (c *Config) checkReserved() error {
	switch {
	case c.Policy.Mode == "enforce":
		return badKey("policy.mode", `this version does not enforce, it knows only "report"`)
	case c.Policy.Mode != "report":
		return badKey("policy.mode", `%q: this version knows only "report"`, c.Policy.Mode)
	case c.Policy.Quarantine == "hold" || c.Policy.Quarantine == "reject":
		return badKey("policy.quarantine", `this version does not %s, it knows only "header"`, c.Policy.Quarantine)
	case c.Policy.Quarantine != "header":
		return badKey("policy.quarantine", `%q: this version knows only "header"`, c.Policy.Quarantine)
	}
	return nil
}
