package spf_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"authmilter/verify/dns/dnstest"
	"authmilter/verify/spf"
)

// TestReasons checks that every outcome can occur.
func TestReasons(t *testing.T) {
	zone := dnstest.MustParse(t, `
pass.example. TXT "v=spf1 +all"
fail.example. TXT "v=spf1 -all"
soft.example. TXT "v=spf1 ~all"
neutral.example. TXT "v=spf1 ?all"
empty.example. TXT "v=spf1"
other.example. TXT "verification=1"
twice.example. TXT "v=spf1 -all"
twice.example. TXT "v=spf1 +all"
syntax.example. TXT "v=spf1 mechanism -all"
target.example. TXT "v=spf1 include:%{l}.example -all"
lookups.example. TXT "v=spf1 a a a a a a a a a a a -all"
lookups.example. A 192.0.2.99
void.example. TXT "v=spf1 a:v1.example a:v2.example a:v3.example -all"
names.example. TXT "v=spf1 mx -all"
names.example. MX 1 m1.example.
names.example. MX 1 m2.example.
names.example. MX 1 m3.example.
names.example. MX 1 m4.example.
names.example. MX 1 m5.example.
names.example. MX 1 m6.example.
names.example. MX 1 m7.example.
names.example. MX 1 m8.example.
names.example. MX 1 m9.example.
names.example. MX 1 m10.example.
names.example. MX 1 m11.example.
include.example. TXT "v=spf1 include:other.example -all"
redirect.example. TXT "v=spf1 redirect=absent.example"
inner.example. TXT "v=spf1 include:twice.example -all"
$TIMEOUT dead.example
`)
	client := netip.MustParseAddr("192.0.2.1")
	seen := map[spf.Outcome]bool{}
	for _, test := range []struct {
		from   string
		client netip.Addr
		want   spf.Outcome
	}{
		{"a@pass.example", client, spf.Outcome{Status: spf.Pass}},
		{"a@fail.example", client, spf.Outcome{Status: spf.Fail}},
		{"a@soft.example", client, spf.Outcome{Status: spf.SoftFail}},
		{"a@neutral.example", client, spf.Outcome{Status: spf.Neutral}},
		{"a@empty.example", client, spf.Outcome{Status: spf.Neutral}},
		{"a@other.example", client, spf.Outcome{Status: spf.None, Reason: spf.ReasonNoRecord}},
		{"a@absent.example", client, spf.Outcome{Status: spf.None, Reason: spf.ReasonNotFound}},
		{"a@word", client, spf.Outcome{Status: spf.None, Reason: spf.ReasonNoDomain}},
		{"nobody", client, spf.Outcome{Status: spf.None, Reason: spf.ReasonNoDomain}},
		{"a@pass.example", netip.Addr{}, spf.Outcome{Status: spf.None, Reason: spf.ReasonNoAddress}},
		{"a@dead.example", client, spf.Outcome{Status: spf.TempError, Reason: spf.ReasonDNS}},
		{"a@twice.example", client, spf.Outcome{Status: spf.PermError, Reason: spf.ReasonSeveralRecords}},
		{"a@inner.example", client, spf.Outcome{Status: spf.PermError, Reason: spf.ReasonSeveralRecords}},
		{"a@syntax.example", client, spf.Outcome{Status: spf.PermError, Reason: spf.ReasonSyntax}},
		{"a..b@target.example", client, spf.Outcome{Status: spf.PermError, Reason: spf.ReasonTarget}},
		{"a@lookups.example", client, spf.Outcome{Status: spf.PermError, Reason: spf.ReasonLookups}},
		{"a@void.example", client, spf.Outcome{Status: spf.PermError, Reason: spf.ReasonVoidLookups}},
		{"a@names.example", client, spf.Outcome{Status: spf.PermError, Reason: spf.ReasonNames}},
		{"a@include.example", client, spf.Outcome{Status: spf.PermError, Reason: spf.ReasonInclude}},
		{"a@redirect.example", client, spf.Outcome{Status: spf.PermError, Reason: spf.ReasonInclude}},
	} {
		r := spf.Check(context.Background(), zone, spf.Args{IP: test.client, MailFrom: test.from, Helo: "mx.example"})
		got := spf.Outcome{Status: r.Status, Reason: r.Reason}
		seen[got] = true
		if got != test.want {
			t.Errorf("%s: %q, want %q (%v)", test.from, got, test.want, r.Err)
		}
	}
	for status, temporary := range map[spf.Status]bool{spf.None: false, spf.TempError: true} {
		why := errors.New("no Received field")
		r := spf.WithoutOrigin(spf.Args{MailFrom: "a@pass.example"}, temporary, why)
		seen[spf.Outcome{Status: r.Status, Reason: r.Reason}] = true
		if r.Status != status || r.Reason != spf.ReasonNoOrigin || r.Domain != "pass.example" || !errors.Is(r.Err, why) {
			t.Errorf("without origin: %+v", r)
		}
		// The identity has no domain: that it has no address does not matter.
		if r := spf.WithoutOrigin(spf.Args{MailFrom: "nobody"}, temporary, why); r.Status != spf.None || r.Reason != spf.ReasonNoDomain {
			t.Errorf("without origin and domain: %+v", r)
		}
	}
	for _, o := range spf.Outcomes() {
		if !seen[o] {
			t.Errorf("%q never occurred", o)
		}
	}
}
