package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"authmilter/policy"
)

// TestConfigErrors checks that each error names the file, the line and the key.
func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string // want without "FILE:"
	}{
		{"unknown key", "\nnonsense = 1", "2: nonsense: unknown key"},
		{"unknown key of a table", "[dns]\nserver = []", "2: dns.server: unknown key"},
		{"unknown table", "[nonsense]\nx = 1", "1: nonsense: unknown key"},
		{"several unknown keys", "a = 1\nb = 2", "1: a: unknown key\nFILE:2: b: unknown key"},

		{"number for a string", "authserv_id = 5", "1: authserv_id: must be a quoted string, not a number"},
		{"string for a number", "[limits]\nconnections = \"a\"", "2: limits.connections: must be a whole number, not a string"},
		{"fraction for a number", "limits.messages = 1.5", "1: limits.messages: must be a whole number, not a fraction"},
		{"string for a boolean", "[skip]\nauthenticated = \"yes\"", "2: skip.authenticated: must be true or false, not a string"},
		{"string for a list", `listen = "inet:8894@127.0.0.1"`, "1: listen: must be a list in brackets, not a string"},
		{"number in a list", "listen = [\n8894]", "1: listen: each item must be a quoted string, not a number"},
		{"list for a string", "log.format = []", "1: log.format: must be a quoted string, not a list"},
		{"number for a table", "log = 5", "1: log: must be a table, not a number"},
		{"list of tables for a table", "[[log]]\nformat = \"text\"", "1: log: is not a list of tables"},
		{"list of tables for a list", "[[listen]]", "1: listen: is not a list of tables"},
		{"table for a list", "[listen]", "1: listen: is not a table"},
		{"table for a list of tables", "[sign]\ndomain = \"a\"", "1: sign: there can be several such tables: write [[sign]], not [sign]"},
		{"table for overrides", "\n[Override]\naction = \"accept\"", "2: Override: there can be several such tables: write [[override]], not [override]"},
		{"table after a list of tables", "[[override]]\n[override]", "2: override: there can be several such tables: write [[override]], not [override]"},
		{"key of a list of tables outside of one", "\noverride.action = \"accept\"", "2: override.action: there can be several such tables: write [[override]], not [override]"},
		{"table for a list in an override", "[[override]]\n[override.dkim]", "2: override.dkim: is not a table"},
		{"inline table for a list of tables", "override = {action = \"accept\"}", "1: override: must be a list in brackets, not an inline table"},
		{"table for a string", "[authserv_id]", "1: authserv_id: is not a table"},
		{"number for a duration", "[dns]\ntimeout = 5", "2: dns.timeout: must be a quoted string, not a number"},
		{"number for a file mode", "socket_mode = 0o660", "1: socket_mode: must be a quoted string, not a number"},
		{"number for a level", "log.level = 4", "1: log.level: must be a quoted string, not a number"},
		{"number for a name", "dmarc.discovery = 1", "1: dmarc.discovery: must be a quoted string, not a number"},
		{"date for a string", "authserv_id = 2026-01-01", "1: authserv_id: must be a quoted string, not a date or time"},
		{"number too large", "limits.messages = 99999999999999999999", "1: limits.messages: decimal number is too large to fit in a 64-bit signed integer"},

		{"status page", "[metrics]\nstatus_page = \"on\"", `2: metrics.status_page: "on" is not one of "full", "anonymous", "off"`},
		{"author domain", "[metrics]\nauthor_domains = [\"a..b\"]", `2: metrics.author_domains: "a..b" is not a valid domain name`},

		{"duration", "[dns]\ntimeout = \"5 s\"", `2: dns.timeout: "5 s" is not a duration such as "5s"`},
		{"duration in an inline table", "dns = { timeout = \"5h\" }", `1: dns.timeout: must be above 0 and at most 1m0s, not 5h0m0s`},
		{"negative duration", "[limits]\nend_of_message = \"-1s\"", "2: limits.end_of_message: must be above 0 and at most 4m0s, not -1s"},
		{"no duration", "limits.shutdown = \"0s\"", "1: limits.shutdown: must be above 0 and at most 10m0s, not 0s"},
		{"size", "limits.header_bytes = \"1MB\"", `1: limits.header_bytes: "1MB" is not a size such as "1MiB"`},
		{"negative size", "limits.header_bytes = \"-1KiB\"", `1: limits.header_bytes: "-1KiB" is not a size such as "1MiB"`},
		{"size that overflows", "limits.header_bytes = \"9999999999GiB\"", `1: limits.header_bytes: "9999999999GiB" is not a size such as "1MiB"`},
		{"size out of range", "limits.header_bytes = \"1KiB\"", "1: limits.header_bytes: 1024 is not between 4096 and 67108864"},
		{"negative number", "[limits]\n\nconnections = -1", "3: limits.connections: -1 is not between 1 and 1048576"},
		{"number out of range", "dkim.maximum_signatures = 101", "1: dkim.maximum_signatures: 101 is not between 1 and 100"},
		{"maximum below minimum", "[dkim]\nminimum_rsa_bits = 4096\nmaximum_rsa_bits = 2048", "3: dkim.maximum_rsa_bits: 2048 is not between 4096 and 16384"},
		{"file mode", "socket_mode = \"0999\"", `1: socket_mode: "0999" is not a file mode such as "0660"`},

		{"network", "skip.networks = [\"nonsense\"]", `1: skip.networks: "nonsense" is not a network such as "192.0.2.0/24"`},
		{"network with host bits", "[skip]\nnetworks = [\n  \"10.0.0.1/8\",\n]", `3: skip.networks: "10.0.0.1/8" has host bits set: did you mean "10.0.0.0/8"?`},
		{"network never matched", "skip.networks = [\"::ffff:10.0.0.0/104\"]", `1: skip.networks: "::ffff:10.0.0.0/104" is an IPv4 network: write it in IPv4 notation`},
		{"listen address", "listen = [\"inet:8894@127.0.0.1\",\n\"nonsense\"]", `2: listen: "nonsense" is not an address such as "inet:8894@127.0.0.1" or "unix:/run/authmilter.sock"`},
		{"listen address without a host", "listen = [\"inet:8894@[]\"]", `1: listen: "inet:8894@[]" is not an address such as "inet:8894@127.0.0.1"`},
		{"no listen address", "listen = []", "1: listen: no address to listen on"},
		{"resolver", "[dns]\nservers = [\"resolver\"]", `2: dns.servers: "resolver" is not an address such as "127.0.0.1:53"`},
		{"resolver without a host", "dns.servers = [\":53\"]", `1: dns.servers: ":53" is not an address such as "127.0.0.1:53"`},
		{"metrics address", "[metrics]\nlisten = \"9894\"", `2: metrics.listen: "9894" is not an address such as "127.0.0.1:9894"`},
		{"metrics address without a host", "metrics.listen = \"[]:9894\"", `1: metrics.listen: "[]:9894" is not an address such as "127.0.0.1:9894"`},
		{"name", "authserv_id = \"not a name\"", `1: authserv_id: "not a name" is not a valid domain name`},
		{"alias", "authserv_id = \"a.example\"\nauthserv_id_aliases = [\"ok.example\", \"no name\"]", `2: authserv_id_aliases: "no name" is not a valid domain name`},
		{"level", "log.level = \"loud\"", `1: log.level: "loud" is not "debug", "info", "warn" or "error"`},
		{"format", "log.format = \"xml\"", `1: log.format: "xml" is neither "text" nor "json"`},
		{"discovery", "dmarc.discovery = \"dns\"", `1: dmarc.discovery: "dns" is neither "tree-walk" nor "psl"`},

		{"seal without a domain", "[arc]\nseal = true", "1: arc.domain: is missing"},
		{"seal without a selector", "[arc]\nseal = true\ndomain = \"a.example\"", "1: arc.selector: is missing"},
		{"seal without a key", "[arc]\nseal = true\ndomain = \"a.example\"\nselector = \"s\"", "1: arc.key_file: is missing"},
		{"seal for a bad domain", "[arc]\nseal = true\ndomain = \"a..example\"", `3: arc.domain: "a..example" is not a valid domain name`},
		{"trusted sealers", "[arc]\ntrusted_sealers = [\"a..example\"]", `2: arc.trusted_sealers: "a..example" is not a valid domain name`},
		{"seal for one label", "[arc]\nseal = true\ndomain = \"localhost\"\nselector = \"s\"\nkey_file = \"k\"", `3: arc.domain: "localhost" is a single label; a signing domain needs at least two`},
		{"sign with a long name", "[[sign]]\ndomain = \"a.example\"\nselector = \"" + strings.Repeat("s23456789.", 24) + "s\"\nkey_file = \"k\"",
			"3: sign.selector: the name of the key record has 262 octets; the maximum is 253"},
		{"sign without a selector", "[[sign]]\ndomain = \"a.example\"", "1: sign.selector: is missing"},
		{"sign, the second", "[[sign]]\ndomain = \"a.example\"\nselector = \"s\"\nkey_file = \"k\"\n[[sign]]\ndomain = \"a.example\"\nselector = \"s..\"\nkey_file = \"k\"",
			`7: sign.selector: "s.." is not a valid domain name`},
		{"sign twice", "[[sign]]\ndomain = \"a.example\"\nselector = \"s\"\nkey_file = \"k\"\n[[sign]]\ndomain = \"A.example\"\nselector = \"s\"\nkey_file = \"k\"",
			"7: sign.selector: s of a.example occurs twice"},
		{"sign without a key", "[[sign]]\ndomain = \"a.example\"\nselector = \"s\"\nkey_file = \"k\"\n[[sign]]\ndomain = \"a.example\"\nselector = \"t\"",
			"5: sign.key_file: is missing"},
		{"results hidden of an unknown method", "[results]\nhide_none = [\"arc\", \"iprev\"]", `2: results.hide_none: "iprev" is not one of "arc", "dkim", "dmarc", "spf"`},
		{"results hidden in general", "results.hide_none = true", "1: results.hide_none: must be a list in brackets, not true or false"},
		{"mode", "policy.mode = \"x\"", `1: policy.mode: "x" is not one of "report", "enforce"`},
		{"quarantine", "policy.quarantine = \"x\"", `1: policy.quarantine: "x" is not one of "header", "hold", "reject"`},
		{"quarantine field", "policy.quarantine_field = \"X Y\"", `1: policy.quarantine_field: "X Y" is not the name of a header field`},
		{"quarantine by the subject", "policy.quarantine_field = \"subject\"", `1: policy.quarantine_field: "subject" has another meaning, and incoming fields of this name would be removed`},
		{"quarantine by our field", "policy.quarantine_field = \"authentication-results\"", `1: policy.quarantine_field: "authentication-results" has another meaning, and incoming fields of this name would be removed`},
		{"reject status", "policy.reject_status = \"4.7.1\"", `1: policy.reject_status: "4.7.1" is not an enhanced status code such as "5.7.1"`},
		{"reject text", "policy.reject_text = \"{domain}\"", `1: policy.reject_text: unknown placeholder (known: {author_domain}, {client}, {mail_from}, {policy})`},
		{"reject text in two lines", "policy.reject_text = \"a\\nb\"", `1: policy.reject_text: must be a single line of printable ASCII`},
		{"temperror", "policy.temperror.spf = \"reject\"", `1: policy.temperror.spf: "reject" is not one of "by-policy", "accept", "tempfail"`},
		{"DKIM required of nobody", "policy.dkim_missing = \"reject\"", "1: policy.dkim_missing: needs a list of domains in policy.dkim_required"},
		{"DKIM required", "policy.dkim_required = [\"a..example\"]", `1: policy.dkim_required: "a..example" is not a valid domain name`},
		{"iprev that is not checked", "policy.iprev_fail = \"reject\"", "1: policy.iprev_fail: needs iprev.check = true"},
		{"override without an action", "[[override]]\ndkim = [\"a.example\"]",
			`1: override.action: is missing; it must be one of "accept", "report-only", "quarantine", "reject", "skip"`},
		{"override without a condition", "[[override]]\naction = \"accept\"", "1: override: has no condition, and would match every message"},
		{"override with an empty list", "[[override]]\naction = \"accept\"\ndkim = []", "3: override.dkim: an empty list matches nothing"},
		{"override, the second", "[[override]]\naction = \"accept\"\ndkim = [\"a.example\"]\n[[override]]\naction = \"acept\"\ndkim = [\"a.example\"]",
			`5: override.action: "acept" is not one of "accept", "report-only", "quarantine", "reject", "skip"`},
		{"override of an unknown listener", "[[override]]\naction = \"accept\"\nlistener = [\"inet:1@127.0.0.1\"]", "3: override.listener: inet:1@127.0.0.1 is not in listen"},
		{"override of an invalid listener", "[[override]]\naction = \"accept\"\nlistener = [\"nonsense\"]",
			`3: override.listener: "nonsense" is not an address such as "inet:8894@127.0.0.1" or "unix:/run/authmilter.sock"`},
		{"override of an invalid client", "[[override]]\naction = \"accept\"\ndkim = [\"a.example\"]\nclient = [\"192.0.2.0/24\", \"mx.example\"]",
			`4: override.client: "mx.example" is not a network such as "192.0.2.0/24"`},
		{"override of a network with host bits", "[[override]]\naction = \"accept\"\nclient = [\"10.0.0.1/8\"]",
			`3: override.client: "10.0.0.1/8" has host bits set: did you mean "10.0.0.0/8"?`},
		{"override without clients", "[[override]]\naction = \"accept\"\nclient = []", "3: override.client: an empty list matches nothing"},
		{"override with an invalid name", "[[override]]\naction = \"accept\"\nauthor_domain = [\"a..b\"]", `3: override.author_domain: "a..b" is not a valid domain name`},
		{"override with an invalid list", "[[override]]\naction = \"accept\"\nlist_id = [\"<list.example>\"]", `3: override.list_id: "<list.example>" is not a list identifier`},
		{"override with a number in a list", "[[override]]\naction = \"accept\"\nlistener = [8894]", "3: override.listener: each item must be a quoted string, not a number"},
		{"overrides in braces", "override = [{action = \"accept\", dkim = \"a.example\"}]", "1: override.dkim: must be a list in brackets, not a string"},
		{"override in braces with a number", "override = [{action = 5}]", "1: override.action: must be a quoted string, not a number"},
		{"override in braces with an unknown key", "override = [{action = \"accept\", nonsense = 1}]", "1: override.nonsense: unknown key"},
		{"overrides in braces on several lines", "override = [\n {action = \"accept\", dkim = [\"a.example\"]},\n {action = \"accept\",\n  dkim = [\"a..b\"]},\n]", `4: override.dkim: "a..b" is not a valid domain name`},
		{"overrides in braces, the second without an action", "override = [\n {action = \"accept\", dkim = [\"a.example\"]},\n {dkim = [\"b.example\"]},\n]",
			`3: override.action: is missing; it must be one of "accept", "report-only", "quarantine", "reject", "skip"`},
		{"signing keys in braces", "sign = [{domain = \"a.example\",\n selector = 3}]", "2: sign.selector: must be a quoted string, not a number"},
		{"keys in another case", "[Policy]\nMode = \"x\"", `2: policy.mode: "x" is not one of "report", "enforce"`},
		{"override with a number under a key in another case", "[[override]]\naction = \"accept\"\nDKIM = 5", "3: override.DKIM: must be a list in brackets, not a number"},
		{"override with a key in two spellings", "[[override]]\naction = \"accept\"\ndkim = [\"a.example\"]\nDKIM = [\"b.example\"]", "1: override: dkim is set twice"},
		{"override with an unknown key", "[[override]]\naction = \"accept\"\nauthor = [\"a.example\"]", "3: override.author: unknown key"},

		{"key given twice", "[dns]\ntimeout = \"5s\"\ntimeout = \"6s\"", "3: dns.timeout: key timeout is already defined"},
		{"table given twice", "[dns]\n[log]\n[dns]", "3: dns: table dns already exists"},
		{"syntax", "[dns]\ntimeout = \"5s\"\nservers = = 5", "3: unexpected character U+003D '=' at start of value"},
		{"syntax of a table", "authserv_id = \"a.example\"\n[dns", "2: expected ']' to close table name"},
		{"no UTF-8", "authserv_id = \"\xff\"", "1: invalid UTF-8 character in basic string"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "authmilter.toml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), path, "FILE"); got != "FILE:"+tt.want {
				t.Errorf("got  %s\nwant FILE:%s", got, tt.want)
			}
			if strings.Contains(err.Error(), "config.") {
				t.Errorf("names a Go type: %v", err)
			}
		})
	}
}

// TestOverrideKeys checks that each condition is a key of an override, and that its
// items reach the rules, normalized.
func TestOverrideKeys(t *testing.T) {
	for _, c := range policy.Conditions() {
		path := filepath.Join(t.TempDir(), "authmilter.toml")
		text := "[[override]]\naction = \"accept\"\n" + c.Name() + " = [\"" + c.Example() + "\"]\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Read(path)
		if err != nil {
			t.Errorf("%s: %v", c.Name(), err)
			continue
		}
		var want policy.Override
		if err := want.Ask(c.Name(), c.Example()); err != nil {
			t.Fatal(err)
		}
		rule := cfg.Rules().Overrides[0]
		for _, other := range policy.Conditions() {
			if got := rule.Items(other.Name()); !slices.Equal(got, want.Items(other.Name())) {
				t.Errorf("%s: %s is %q, want %q", c.Name(), other.Name(), got, want.Items(other.Name()))
			}
		}
	}
}

// TestText checks that the text of a configuration, including overrides, parses to
// the same configuration, and that overrides can be left out.
func TestText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "authmilter.toml")
	read := func(text string) *File {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := read(`
listen = ["inet:8894@[127.0.0.1]"]
limits.dns_time = "7s"
[[override]]
name = "a \"rule\""
action = "accept"
author_domain = ["BÜCHER.example"]
client = ["192.0.2.1", "2001:db8::/32"]
listener = ["inet:8894@[127.0.0.1]"]
[[sign]]
domain = "b.example"
selector = "s"
key_file = "/k"
[[override]]
action = "reject"
list_id = ["LibStdC++.gcc.gnu.org"]
`)
	text, err := first.Text(true)
	if err != nil {
		t.Fatal(err)
	}
	second := read(text)
	if again, err := second.Text(true); err != nil || again != text {
		t.Errorf("%v:\n%s\nand then\n%s", err, text, again)
	}
	if got := second.Rules().Overrides; len(got) != 2 || got[0].Name != `a "rule"` ||
		!slices.Equal(got[0].Items("author_domain"), []string{"xn--bcher-kva.example"}) ||
		!slices.Equal(got[0].Items("listener"), []string{"inet:8894@127.0.0.1"}) ||
		!slices.Equal(got[1].Items("list_id"), []string{"libstdc++.gcc.gnu.org"}) {
		t.Errorf("overrides: %+v", got)
	}
	if len(second.Sign) != 1 || second.Limits.DNSTime != first.Limits.DNSTime {
		t.Errorf("%+v", second)
	}
	if without, err := first.Text(false); err != nil || strings.Contains(without, "rule") || !strings.Contains(without, "b.example") {
		t.Errorf("%v: %s", err, without)
	}
}

// TestResults checks what the results and skip tables say to the milter, and that
// hiding the results that signing depends on is a warning.
func TestResults(t *testing.T) {
	const sign = "[[sign]]\ndomain = \"a.example\"\nselector = \"s\"\nkey_file = \"/k\"\n"
	path := filepath.Join(t.TempDir(), "authmilter.toml")
	for text, test := range map[string]struct {
		hide    []string
		each    bool
		check   bool
		warning string
	}{
		"":                                {},
		"results.hide_none = [\"arc\"]\n": {hide: []string{"arc"}},
		"results.hide_none = [\"arc\"]\nresults.each_author = true\n" + sign: {hide: []string{"arc"}, each: true},
		"results.hide_none = [\"dmarc\"]\nskip.check_dkim = true\n":          {hide: []string{"dmarc"}, check: true},
		"results.hide_none = [\"dmarc\", \"spf\"]\n" + sign: {hide: []string{"dmarc", "spf"},
			warning: path + ":1: results.hide_none: without a DMARC result, mail that comes back from a list of yours is not signed"},
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		c := &Config{File: f}
		s := c.Settings(nil)
		if !slices.Equal(s.Results.HideNone, test.hide) || s.Results.EachAuthor != test.each || s.SkipCheckDKIM != test.check {
			t.Errorf("%s: %+v, check %v", text, s.Results, s.SkipCheckDKIM)
		}
		if got := strings.Join(c.Warnings(), "\n"); got != test.warning {
			t.Errorf("%s: warnings %q", text, got)
		}
	}
}
