package config

import (
	"log/slog"
	"time"

	"authmilter/milter"
	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/spf"
)

// defaults returns the configuration without a file.
func defaults() *File {
	return &File{
		Listen:     []ListenAddress{{milter.MustParseAddress("inet:8894@127.0.0.1")}},
		SocketMode: 0o660,
		Skip: Skip{
			Authenticated: true,
			Networks:      []Network{mustNetwork("127.0.0.0/8"), mustNetwork("::1/128")},
		},
		Relay: Relay{Networks: []Network{}, Unreadable: choiceTemperror},
		DNS:   DNS{Timeout: Duration(dns.DefaultTimeout)},
		DKIM: DKIM{
			MinimumRSABits:    dkim.DefaultMinRSABits,
			MaximumRSABits:    dkim.DefaultMaxRSABits,
			MaximumSignatures: dkim.DefaultMaxSignatures,
		},
		SPF:   SPF{VoidLookups: spf.DefaultMaxVoid},
		DMARC: DMARC{Discovery: Discovery(dmarc.TreeWalk)},
		Policy: Policy{
			Mode: Choice(policy.ModeReport), Quarantine: Choice(policy.ByHeader), QuarantineField: milter.DefaultQuarantineField,
			RejectStatus: policy.DefaultStatus, RejectText: policy.DefaultText,
			TooManyForged: choiceReject, Permerror: choiceQuarantine, BounceWithoutAuthor: choiceAccept, SeveralFrom: choiceQuarantine, SeveralAuthors: choiceAccept,
			SPFFail: choiceAccept, DKIMMissing: choiceAccept, IPRevFail: choiceAccept,
			Temperror: Temperror{choiceByPolicy, choiceByPolicy, choiceByPolicy, choiceByPolicy},
		},
		Metrics: Metrics{Listen: "127.0.0.1:9894", StatusPage: StatusPageFull},
		Log:     Log{Level: LogLevel(slog.LevelInfo), Format: "text"},
		Limits: Limits{
			Connections:  milter.DefaultMaxConnections,
			Messages:     milter.DefaultMaxMessages,
			HeaderBytes:  verify.DefaultMaxHeaderBytes,
			HeaderFields: verify.DefaultMaxHeaderFields,
			ForgedFields: milter.DefaultMaxForged,
			DNSQueries:   verify.DefaultMaxQueries,
			DNSTime:      Duration(verify.DefaultLookupTime),
			EndOfMessage: Duration(milter.DefaultEndOfMessage),
			Shutdown:     Duration(30 * time.Second),
		},
	}
}
