package main

import (
	"log/slog"
	"os"
	"time"

	"authmilter/milter"
	"authmilter/policy"
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

	Skip     SkipConfig       `toml:"skip" comment:"Messages that are not inbound: no checks, no header, logged."`
	DNS      DNSConfig        `toml:"dns"`
	DKIM     DKIMConfig       `toml:"dkim"`
	SPF      SPFConfig        `toml:"spf"`
	DMARC    DMARCConfig      `toml:"dmarc"`
	ARC      ARCConfig        `toml:"arc"`
	IPRev    IPRevConfig      `toml:"iprev"`
	Policy   PolicyConfig     `toml:"policy"`
	Metrics  MetricsConfig    `toml:"metrics"`
	Log      LogConfig        `toml:"log"`
	Limits   LimitsConfig     `toml:"limits"`
	Override []OverrideConfig `toml:"override,omitempty" comment:"Exceptions from the policy; the first that matches in full decides."`
	Sign     []SignConfig     `toml:"sign,omitempty" comment:"Own mail, from authenticated or local clients: DKIM-signed, and nothing else."`

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
	ReceivedSPF bool `toml:"received_spf" comment:"Insert a Received-SPF field too."`
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

// IPRevConfig says whether the names of clients are checked.
type IPRevConfig struct {
	Check bool `toml:"check" comment:"Check that the client's address has a name that has the address, and report it."`
}

// PolicyConfig says what verdicts do to mail.
type PolicyConfig struct {
	Mode            choice `toml:"mode" comment:"report: the verdict never changes what happens to a message; enforce: it is carried out."`
	Quarantine      choice `toml:"quarantine" comment:"header: by a field in the message; hold: in the MTA's quarantine; reject."`
	QuarantineField string `toml:"quarantine_field" comment:"The field of quarantine = header. Incoming ones are removed."`
	RejectStatus    string `toml:"reject_status" comment:"Enhanced status code of a DMARC rejection."`
	RejectText      string `toml:"reject_text" comment:"Text of a DMARC rejection."`

	Permerror      choice `toml:"permerror" comment:"Of DMARC: no author domain, one that cannot be judged, or too many. accept, quarantine or reject."`
	SeveralFrom    choice `toml:"several_from" comment:"Several From fields: accept (and judge by DMARC), quarantine or reject."`
	SeveralAuthors choice `toml:"several_authors" comment:"Authors of several domains: accept (and judge by DMARC), quarantine or reject."`

	SPFFail      choice   `toml:"spf_fail" comment:"accept, quarantine or reject."`
	DKIMRequired []string `toml:"dkim_required,omitempty" comment:"Author domains that always sign."`
	DKIMMissing  choice   `toml:"dkim_missing" comment:"For them: accept, quarantine or reject."`
	IPRevFail    choice   `toml:"iprev_fail" comment:"accept, quarantine or reject; needs iprev.check."`

	Temperror TemperrorConfig `toml:"temperror" comment:"tempfail has the message sent again later, by-policy only where a fail would not be accepted; or accept."`
}

// TemperrorConfig says what temporary errors of the methods do to mail.
type TemperrorConfig struct {
	DMARC choice `toml:"dmarc"`
	SPF   choice `toml:"spf"`
	DKIM  choice `toml:"dkim"`
	IPRev choice `toml:"iprev"`
}

// OverrideConfig is one exception from the policy: all of its lists must match.
// They are here for the decoder, and are named as in [policy.Conditions], which
// says everything else about them.
type OverrideConfig struct {
	Name         string   `toml:"name,omitempty" comment:"For the log and the header."`
	Action       choice   `toml:"action" comment:"accept, report-only, quarantine, reject or skip."`
	AuthorDomain []string `toml:"author_domain,omitempty"`
	Client       []string `toml:"client,omitempty"`
	ClientName   []string `toml:"client_name,omitempty"`
	MailFrom     []string `toml:"mail_from,omitempty"`
	DKIM         []string `toml:"dkim,omitempty"`
	Sealer       []string `toml:"sealer,omitempty"`
	ListID       []string `toml:"list_id,omitempty"`
	Recipient    []string `toml:"recipient,omitempty"`
	Listener     []string `toml:"listener,omitempty"`

	// rule is what checkOverrides has made of it.
	rule policy.Override
}

// MetricsConfig says what is shown over HTTP, and where.
type MetricsConfig struct {
	Listen        string   `toml:"listen" comment:"host:port of /metrics, /healthz, /readyz and the status page; empty: off."`
	StatusPage    choice   `toml:"status_page" comment:"At /: full, anonymous (no addresses, no domains) or off."`
	AuthorDomains []string `toml:"author_domains,omitempty" comment:"Author domains whose DMARC results are counted one by one, with their subdomains."`
	Profiling     bool     `toml:"profiling" comment:"Serve /debug/pprof/."`
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
		SPF:   SPFConfig{VoidLookups: spf.DefaultMaxVoid},
		DMARC: DMARCConfig{Discovery: discovery(dmarc.TreeWalk)},
		Policy: PolicyConfig{
			Mode: choice(policy.ModeReport), Quarantine: choice(policy.ByHeader), QuarantineField: milter.DefaultQuarantineField,
			RejectStatus: policy.DefaultStatus, RejectText: policy.DefaultText,
			Permerror: choiceQuarantine, SeveralFrom: choiceQuarantine, SeveralAuthors: choiceAccept,
			SPFFail: choiceAccept, DKIMMissing: choiceAccept, IPRevFail: choiceAccept,
			Temperror: TemperrorConfig{choiceByPolicy, choiceByPolicy, choiceByPolicy, choiceByPolicy},
		},
		Metrics: MetricsConfig{Listen: "127.0.0.1:9894", StatusPage: pageFull},
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
	if err := c.checkPolicy(); err != nil {
		return err
	}
	if err := c.checkOverrides(); err != nil {
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
	if err := c.Metrics.StatusPage.check("metrics.status_page", 0, pageFull, pageAnonymous, pageOff); err != nil {
		return err
	}
	if err := c.checkAuthorDomains(); err != nil {
		return err
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

// warnings returns what is allowed, but hardly meant.
func (c *Config) warnings() []string {
	warnings := c.overrideWarnings()
	o := c.verifyOptions(nil)
	if missing := o.MissingQueries(); missing > 0 {
		err := badKey("limits.dns_queries", "SPF records that RFC 7208 allows can need more: %d suffice", o.MaxQueries+missing)
		warnings = append(warnings, c.locate(err).Error())
	}
	return warnings
}

// maxAuthorDomains bounds the time series that author domains make.
const maxAuthorDomains = 100

func (c *Config) checkAuthorDomains() error {
	names := c.Metrics.AuthorDomains
	if len(names) > maxAuthorDomains {
		return badKey("metrics.author_domains", "%d domains, and %d are the most", len(names), maxAuthorDomains)
	}
	for i, name := range names {
		ascii, err := domain.ToASCII(name)
		if err != nil {
			return badKey("metrics.author_domains", "%q is %w", name, err)
		}
		names[i] = ascii
	}
	return nil
}
