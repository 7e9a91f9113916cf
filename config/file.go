package config

import "authmilter/policy"

// File is what a configuration file says, normalized: without the private keys that
// it names. Its fields are the keys of the file.
type File struct {
	AuthservID        string          `toml:"authserv_id" comment:"Our name in Authentication-Results; default: the host's name."`
	AuthservIDAliases []string        `toml:"authserv_id_aliases" comment:"Further names whose incoming Authentication-Results are forged and removed."`
	Listen            []ListenAddress `toml:"listen" comment:"Where the MTA finds us, in Sendmail's notation: inet:port@host, inet6:port@host, unix:/path."`
	SocketMode        FileMode        `toml:"socket_mode" comment:"Permissions of unix sockets."`

	Skip     Skip       `toml:"skip" comment:"Messages that are not inbound: no checks, no header, logged."`
	DNS      DNS        `toml:"dns"`
	DKIM     DKIM       `toml:"dkim"`
	SPF      SPF        `toml:"spf"`
	DMARC    DMARC      `toml:"dmarc"`
	ARC      ARC        `toml:"arc"`
	IPRev    IPRev      `toml:"iprev"`
	Policy   Policy     `toml:"policy"`
	Metrics  Metrics    `toml:"metrics"`
	Log      Log        `toml:"log"`
	Limits   Limits     `toml:"limits"`
	Override []Override `toml:"override,omitempty" comment:"Exceptions from the policy; the first that matches in full decides."`
	Sign     []Sign     `toml:"sign,omitempty" comment:"Own mail, from authenticated or local clients: DKIM-signed, and nothing else."`

	source source
	// overrides are what Override says, normalized.
	overrides []policy.Override
}

// ErrorAt returns err with the file before it, and the line that sets key, a
// dotted one.
func (f *File) ErrorAt(key string, err error) error {
	return f.source.locate(&keyError{key: key, err: err})
}

// Skip names the messages that are not inbound.
type Skip struct {
	Authenticated bool      `toml:"authenticated" comment:"Skip clients that authenticated themselves to the MTA."`
	Networks      []Network `toml:"networks" comment:"Skip clients with an address in these networks."`
}

// DNS says how names are looked up.
type DNS struct {
	Servers []HostPort `toml:"servers" comment:"Resolvers, as host:port; default: those of /etc/resolv.conf."`
	Timeout Duration   `toml:"timeout" comment:"For one look-up, all tries included."`
}

// DKIM bounds what signatures are accepted.
type DKIM struct {
	MinimumRSABits    int  `toml:"minimum_rsa_bits" comment:"Weaker keys give the result policy."`
	MaximumRSABits    int  `toml:"maximum_rsa_bits"`
	MaximumSignatures int  `toml:"maximum_signatures" comment:"Verified in one message, those of the author's domain first."`
	AllowPartialBody  bool `toml:"allow_partial_body" comment:"Accept signatures whose l= leaves a part of the body unsigned."`
}

// SPF says how SPF is evaluated.
type SPF struct {
	HeloResult  bool `toml:"helo_result" comment:"Report a second result, for the HELO identity."`
	VoidLookups int  `toml:"void_lookups" comment:"RFC 7208 section 4.6.4."`
	ReceivedSPF bool `toml:"received_spf" comment:"Insert a Received-SPF field too."`
}

// DMARC says how policies are found.
type DMARC struct {
	Discovery Discovery `toml:"discovery" comment:"tree-walk (RFC 9989) or psl (RFC 7489)."`
}

// ARC says who seals inbound mail, and whose seals are believed.
type ARC struct {
	Seal           bool     `toml:"seal" comment:"Add an ARC Set to every inbound message; needs domain, selector and key_file."`
	Domain         string   `toml:"domain,omitempty"`
	Selector       string   `toml:"selector,omitempty"`
	KeyFile        string   `toml:"key_file,omitempty"`
	TrustedSealers []string `toml:"trusted_sealers,omitempty" comment:"Domains whose ARC seals are believed where a message fails DMARC."`
}

// Override is an exception from the policy as the decoder reads it: the keys "name"
// and "action", and a list for each of the [policy.Conditions] that it asks for.
type Override map[string]any

// Sign is one key for the DKIM signatures of own mail.
type Sign struct {
	Domain   string `toml:"domain" comment:"Author domain, and its subdomains that have no entry of their own."`
	Selector string `toml:"selector"`
	KeyFile  string `toml:"key_file"`
}

// IPRev says whether the names of clients are checked.
type IPRev struct {
	Check bool `toml:"check" comment:"Check that the client's address has a name that has the address, and report it."`
}

// Policy says what verdicts do to mail.
type Policy struct {
	Mode            Choice `toml:"mode" comment:"report: the verdict never changes what happens to a message; enforce: it is carried out."`
	Quarantine      Choice `toml:"quarantine" comment:"header: by a field in the message; hold: in the MTA's quarantine; reject."`
	QuarantineField string `toml:"quarantine_field" comment:"The field of quarantine = header. Incoming ones are removed."`
	RejectStatus    string `toml:"reject_status" comment:"Enhanced status code of a DMARC rejection."`
	RejectText      string `toml:"reject_text" comment:"Text of a DMARC rejection."`

	Permerror      Choice `toml:"permerror" comment:"Of DMARC: no author domain, one that cannot be judged, or too many. accept, quarantine or reject."`
	SeveralFrom    Choice `toml:"several_from" comment:"Several From fields: accept (and judge by DMARC), quarantine or reject."`
	SeveralAuthors Choice `toml:"several_authors" comment:"Authors of several domains: accept (and judge by DMARC), quarantine or reject."`

	SPFFail      Choice   `toml:"spf_fail" comment:"accept, quarantine or reject."`
	DKIMRequired []string `toml:"dkim_required,omitempty" comment:"Author domains that always sign."`
	DKIMMissing  Choice   `toml:"dkim_missing" comment:"For them: accept, quarantine or reject."`
	IPRevFail    Choice   `toml:"iprev_fail" comment:"accept, quarantine or reject; needs iprev.check."`

	Temperror Temperror `toml:"temperror" comment:"tempfail has the message sent again later, by-policy only where a fail would not be accepted; or accept."`
}

// Temperror says what temporary errors of the methods do to mail.
type Temperror struct {
	DMARC Choice `toml:"dmarc"`
	SPF   Choice `toml:"spf"`
	DKIM  Choice `toml:"dkim"`
	IPRev Choice `toml:"iprev"`
}

// Metrics says what is shown over HTTP, and where.
type Metrics struct {
	Listen        string   `toml:"listen" comment:"host:port of /metrics, /healthz, /readyz and the status page; empty: off."`
	StatusPage    Choice   `toml:"status_page" comment:"At /: full, anonymous (no addresses, no domains) or off."`
	AuthorDomains []string `toml:"author_domains,omitempty" comment:"Author domains whose DMARC results are counted one by one, with their subdomains."`
	Profiling     bool     `toml:"profiling" comment:"Serve /debug/pprof/."`
}

// Log says what is logged to standard error.
type Log struct {
	Level  LogLevel `toml:"level" comment:"debug, info, warn or error."`
	Format string   `toml:"format" comment:"text or json."`
}

// Limits bounds what one peer or one message can make us do.
type Limits struct {
	Connections  int      `toml:"connections" comment:"From MTAs, at once."`
	Messages     int      `toml:"messages" comment:"In flight, at once."`
	HeaderBytes  Size     `toml:"header_bytes" comment:"Of one message; past it the message is not verified."`
	HeaderFields int      `toml:"header_fields"`
	DNSQueries   int      `toml:"dns_queries" comment:"For one message."`
	DNSTime      Duration `toml:"dns_time" comment:"For one message."`
	EndOfMessage Duration `toml:"end_of_message" comment:"How long the MTA waits at the end of a message; what is missing then is temperror."`
	Shutdown     Duration `toml:"shutdown" comment:"How long SIGTERM waits for messages in flight."`
}
