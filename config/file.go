package config

import "authmilter/policy"

// File is the normalized content of a configuration file, without the private keys
// that it names. Its fields are the keys of the file.
type File struct {
	AuthservID        string          `toml:"authserv_id" comment:"Our name in Authentication-Results; default: the host name."`
	AuthservIDAliases []string        `toml:"authserv_id_aliases" comment:"Other names of ours: incoming Authentication-Results with them are removed as forged."`
	Listen            []ListenAddress `toml:"listen" comment:"Addresses for the MTA, in Sendmail's notation: inet:port@host, inet6:port@host, unix:/path."`
	SocketMode        FileMode        `toml:"socket_mode" comment:"Permissions of Unix sockets."`

	Skip     Skip       `toml:"skip" comment:"Messages that are not inbound: not verified, no results added unless check_dkim is on, but logged."`
	Relay    Relay      `toml:"relay" comment:"Hosts of ours that pass on mail from outside to this one."`
	DNS      DNS        `toml:"dns"`
	DKIM     DKIM       `toml:"dkim"`
	SPF      SPF        `toml:"spf"`
	DMARC    DMARC      `toml:"dmarc"`
	ARC      ARC        `toml:"arc"`
	IPRev    IPRev      `toml:"iprev"`
	Results  Results    `toml:"results"`
	Policy   Policy     `toml:"policy"`
	Metrics  Metrics    `toml:"metrics"`
	Log      Log        `toml:"log"`
	Limits   Limits     `toml:"limits"`
	Override []Override `toml:"override,omitempty" comment:"Exceptions to the policy; the first that matches in full decides."`
	Sign     []Sign     `toml:"sign,omitempty" comment:"Keys to DKIM-sign own mail, from authenticated or local clients."`

	source source
	// overrides are the overrides in Override, normalized.
	overrides []policy.Override
}

// ErrorAt returns err prefixed by the file and the line that sets key, a dotted key.
func (f *File) ErrorAt(key string, err error) error {
	return f.source.locate(&keyError{key: key, err: err})
}

// Skip defines which messages are not inbound.
type Skip struct {
	Authenticated bool      `toml:"authenticated" comment:"Skip clients that authenticated to the MTA."`
	Networks      []Network `toml:"networks" comment:"Skip clients with an address in these networks."`
	CheckDKIM     bool      `toml:"check_dkim" comment:"Verify the DKIM signatures of skipped mail all the same, and report these results only."`
}

// Relay defines which clients pass on mail from outside.
type Relay struct {
	Networks    []Network `toml:"networks" comment:"For clients in these networks, their Received fields say where a message came from."`
	Unreadable  Choice    `toml:"unreadable" comment:"SPF result if they do not say so: temperror or none."`
	KeepResults bool      `toml:"keep_results" comment:"Keep the Authentication-Results, Received-SPF and quarantine fields that they add under our name."`
}

// DNS configures the resolver.
type DNS struct {
	Servers []HostPort `toml:"servers" comment:"Resolvers, as host:port; default: from /etc/resolv.conf."`
	Timeout Duration   `toml:"timeout" comment:"For one look-up, including retries."`
}

// DKIM limits which signatures are accepted.
type DKIM struct {
	MinimumRSABits    int  `toml:"minimum_rsa_bits" comment:"Weaker keys give the result policy."`
	MaximumRSABits    int  `toml:"maximum_rsa_bits"`
	MaximumSignatures int  `toml:"maximum_signatures" comment:"Signatures verified per message, the author's domain first."`
	AllowPartialBody  bool `toml:"allow_partial_body" comment:"Accept signatures whose l= leaves part of the body unsigned."`
}

// SPF configures the evaluation of SPF.
type SPF struct {
	HeloResult  bool `toml:"helo_result" comment:"Report a second result, for the HELO identity."`
	VoidLookups int  `toml:"void_lookups" comment:"Maximum number of void look-ups (RFC 7208 section 4.6.4)."`
	ReceivedSPF bool `toml:"received_spf" comment:"Also add a Received-SPF field."`
}

// DMARC configures policy discovery.
type DMARC struct {
	Discovery Discovery `toml:"discovery" comment:"tree-walk (RFC 9989) or psl (RFC 7489)."`
}

// ARC configures the sealing of inbound mail, and trusted sealers.
type ARC struct {
	Seal           bool     `toml:"seal" comment:"Add an ARC Set to every inbound message; needs domain, selector and key_file."`
	Domain         string   `toml:"domain,omitempty"`
	Selector       string   `toml:"selector,omitempty"`
	KeyFile        string   `toml:"key_file,omitempty"`
	TrustedSealers []string `toml:"trusted_sealers,omitempty" comment:"Domains whose ARC results are trusted if a message fails DMARC."`
}

// Override is an exception to the policy as decoded: the keys "name" and "action",
// and a list for each of its [policy.Conditions].
type Override map[string]any

// Sign is a key for DKIM signatures on own mail.
type Sign struct {
	Domain   string `toml:"domain" comment:"Author domain, including subdomains without an entry of their own."`
	Selector string `toml:"selector"`
	KeyFile  string `toml:"key_file"`
}

// IPRev configures the check of client names.
type IPRev struct {
	Check bool `toml:"check" comment:"Check that the client's address has a name that resolves to it, and report the result."`
}

// Results configures what Authentication-Results shows.
type Results struct {
	HideNone   []Choice `toml:"hide_none" comment:"Methods whose results are left out if they are none: arc, dkim, dmarc, spf."`
	EachAuthor bool     `toml:"each_author" comment:"One DMARC result for each author domain, the strictest first."`
}

// Policy configures how results affect mail.
type Policy struct {
	Mode            Choice `toml:"mode" comment:"report: never change what happens to a message; enforce: carry out decisions."`
	Quarantine      Choice `toml:"quarantine" comment:"header: add a header field; hold: hold in the MTA's quarantine; reject: reject instead."`
	QuarantineField string `toml:"quarantine_field" comment:"Field that quarantine = header adds. Incoming ones are removed."`
	RejectStatus    string `toml:"reject_status" comment:"Enhanced status code of a DMARC rejection."`
	RejectText      string `toml:"reject_text" comment:"Text of a DMARC rejection."`

	Permerror           Choice `toml:"permerror" comment:"DMARC cannot be evaluated (no valid author domain, or too many): accept, quarantine or reject."`
	BounceWithoutAuthor Choice `toml:"bounce_without_author" comment:"Bounces (null sender) whose From names no domain at all: accept, quarantine or reject."`
	SeveralFrom         Choice `toml:"several_from" comment:"Several From fields: accept (and apply DMARC), quarantine or reject."`
	SeveralAuthors      Choice `toml:"several_authors" comment:"Authors in several domains: accept (and apply DMARC), quarantine or reject."`

	TooManyForged Choice `toml:"too_many_forged" comment:"More fields in our name than limits.forged_fields: reject or tempfail."`

	SPFFail      Choice   `toml:"spf_fail" comment:"SPF fails: accept, quarantine or reject."`
	DKIMRequired []string `toml:"dkim_required,omitempty" comment:"Author domains that always sign."`
	DKIMMissing  Choice   `toml:"dkim_missing" comment:"Their messages without a valid signature: accept, quarantine or reject."`
	IPRevFail    Choice   `toml:"iprev_fail" comment:"iprev fails: accept, quarantine or reject; needs iprev.check."`

	Temperror Temperror `toml:"temperror" comment:"Temporary errors. tempfail: defer the message; by-policy: defer it only if a fail would not be accepted; accept."`
}

// Temperror configures how temporary errors of each method affect mail.
type Temperror struct {
	DMARC Choice `toml:"dmarc"`
	SPF   Choice `toml:"spf"`
	DKIM  Choice `toml:"dkim"`
	IPRev Choice `toml:"iprev"`
}

// Metrics configures the HTTP server.
type Metrics struct {
	Listen        string   `toml:"listen" comment:"host:port for /metrics, /healthz, /readyz and the status page; empty: off."`
	StatusPage    Choice   `toml:"status_page" comment:"At /: full, anonymous (no addresses, no domains) or off."`
	AuthorDomains []string `toml:"author_domains,omitempty" comment:"Author domains whose DMARC results are counted separately, including subdomains."`
	Profiling     bool     `toml:"profiling" comment:"Serve /debug/pprof/."`
}

// Log configures the log on standard error.
type Log struct {
	Level  LogLevel `toml:"level" comment:"debug, info, warn or error."`
	Format string   `toml:"format" comment:"text or json."`
}

// Limits bounds what one peer or one message can make us do.
type Limits struct {
	Connections  int      `toml:"connections" comment:"Concurrent connections from MTAs."`
	Messages     int      `toml:"messages" comment:"Messages in flight at once."`
	HeaderBytes  Size     `toml:"header_bytes" comment:"Per message; one with a larger header is not verified."`
	HeaderFields int      `toml:"header_fields"`
	ForgedFields int      `toml:"forged_fields" comment:"Fields in our name that are removed from one message; one with more is refused."`
	DNSQueries   int      `toml:"dns_queries" comment:"Per message."`
	DNSTime      Duration `toml:"dns_time" comment:"Per message."`
	EndOfMessage Duration `toml:"end_of_message" comment:"How long the MTA waits at the end of a message; unfinished checks are then temperror."`
	Shutdown     Duration `toml:"shutdown" comment:"How long SIGTERM waits for messages in flight."`
}
