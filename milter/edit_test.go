package milter

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify"
)

// forgedFields returns the eight fields of the test vector for CVE-2022-48521, with
// other fields between them. The first, third, fifth and seventh claim to be ours.
func forgedFields() []field {
	var fields []field
	for i, value := range []string{
		" mx.example.org; dkim=pass", " mx.example.net; dkim=fail",
		" MX.example.ORG 1; dkim=pass", " other.example.org; none",
		" (x) \"mx.example.org\"; dkim=pass", " mx.example.org.example.net; none",
		"\n mx.example.org; dkim=pass", " relay.example.net; spf=none",
	} {
		fields = append(fields, field{resultsName, value}, field{"X-Between", fmt.Sprintf(" %d", i)})
	}
	return fields
}

var forgedRemoved = []string{
	fmt.Sprintf("ChangeHeader 7 %q %q", resultsName, ""),
	fmt.Sprintf("ChangeHeader 5 %q %q", resultsName, ""),
	fmt.Sprintf("ChangeHeader 3 %q %q", resultsName, ""),
	fmt.Sprintf("ChangeHeader 1 %q %q", resultsName, ""),
}

// TestForgedResults checks that forged fields are removed from last to first before
// anything is inserted, whatever else happens to the message.
func TestForgedResults(t *testing.T) {
	r := start(t, options{set: func(s *Settings) {
		s.SkipNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}})
	with := func(change func(*mail)) mail {
		m := example(t)
		m.fields = append(forgedFields(), m.fields...)
		change(&m)
		return m
	}
	many := make([]field, verify.DefaultMaxHeaderFields)
	for i := range many {
		many[i] = field{"X-Many", " x"}
	}
	for _, test := range []struct {
		name string
		mail mail
		skip policy.Skip
		last string // removed before the others
	}{
		{"verified", with(func(*mail) {}), policy.NotSkipped, ""},
		{"authenticated by name", with(func(m *mail) { m.macros = map[string]string{"{auth_authen}": "joe"} }), policy.Authenticated, ""},
		{"authenticated by type", with(func(m *mail) { m.macros = map[string]string{"{auth_type}": "EXTERNAL"} }), policy.Authenticated, ""},
		{"from our network", with(func(m *mail) { m.client = "10.9.8.7" }), policy.LocalNetwork, ""},
		{"from ourselves", with(func(m *mail) { m.family, m.client = gomilter.FamilyInet6, "::1" }), policy.LocalNetwork, ""},
		{"from our network over IPv6", with(func(m *mail) { m.family, m.client = gomilter.FamilyInet6, "IPv6:::ffff:10.9.8.7" }), policy.LocalNetwork, ""},
		{"more fields than are verified", with(func(m *mail) { m.fields = append(many, m.fields...) }), policy.NotSkipped, ""},
		{"forged below more fields than are verified", with(func(m *mail) {
			m.fields = append(m.fields, many...)
			m.fields = append(m.fields, field{resultsName, " mx.example.org; none"})
		}), policy.NotSkipped, "9"},
		{"large", with(func(m *mail) {
			m.fields = append(m.fields, field{resultsName, " mx.example.org; " + strings.Repeat("dkim=pass\n ", 9000)})
		}), policy.NotSkipped, "9"},
		{"large and unreadable", with(func(m *mail) {
			m.fields = append(m.fields, field{resultsName, strings.Repeat(" (", 50_000) + " mx.example.org; dkim=pass"})
		}), policy.NotSkipped, "9"},
		{"written with a space", with(func(m *mail) {
			m.fields = append(m.fields, field{"AUTHENTICATION-results ", " mx.example.org; dkim=pass"})
		}), policy.NotSkipped, "9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := *r
			r.t = t
			before := len(r.seen.list())
			acts := r.deliver(test.mail)
			want := forgedRemoved
			if test.last != "" {
				want = slices.Insert(slices.Clone(want), 0, fmt.Sprintf("ChangeHeader %s %q %q", test.last, resultsName, ""))
			}
			v := r.seen.list()[before:]
			if len(v) != 1 || v[0].Skip != test.skip || v[0].Removed.Total() != len(want) {
				t.Fatalf("verdicts %+v", v)
			}
			if test.skip == policy.NotSkipped {
				r.value(acts)
				acts = acts[:len(acts)-1]
			}
			if !slices.Equal(acts, want) {
				t.Errorf("changes\n%q, want\n%q", acts, want)
			}
		})
	}
}

// TestForgedFields checks that forged fields of every kind are removed, numbered
// among the fields of their name, from last to first, and that fields that we may
// have added ourselves stay in mail that a content filter hands back.
func TestForgedFields(t *testing.T) {
	withSPF := start(t, options{set: func(s *Settings) {
		s.ReceivedSPF = true
		s.SkipNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	}})
	renamed := start(t, options{set: func(s *Settings) { s.QuarantineField = "X-Held" }})
	full := start(t, options{set: func(s *Settings) { s.MaxMessages = -1 }})
	m := unsigned()
	m.fields = append([]field{
		{"X-Disposition-Quarantine", " DMARC policy of bank.example"},
		{"Received-SPF", " pass (mx.example.org: domain of a@bank.example)"},
		{resultsName, " other.example; none"},
		{"Received-SPF", " pass receiver=other.example"},
		{"x-disposition-quarantine ", ""},
		{resultsName, " =?utf-8?q?mx.example.org?=; dmarc=pass"},
		{"RECEIVED-SPF", " pass\n receiver=MX.example.org;\n client-ip=192.0.2.1"},
		{"X-Held", " no"},
		{resultsName, " \"mx.example.org\"none; dmarc=pass"},
	}, m.fields...)
	const (
		results    = `ChangeHeader %d "Authentication-Results" ""`
		quarantine = `ChangeHeader %d "X-Disposition-Quarantine" ""`
		spf        = `ChangeHeader %d "Received-SPF" ""`
		held       = `ChangeHeader %d "X-Held" ""`
	)
	line := func(format string, n int) string { return fmt.Sprintf(format, n) }
	for _, test := range []struct {
		name   string
		rig    *rig
		change func(*mail)
		want   []string
		counts policy.Removed
	}{
		{"inbound", withSPF, func(*mail) {},
			[]string{line(results, 3), line(spf, 3), line(results, 2), line(quarantine, 2), line(spf, 1), line(quarantine, 1)},
			policy.Removed{policy.ResultsField: 2, policy.ReceivedSPFField: 2, policy.QuarantineField: 2}},
		{"handed back", withSPF, func(m *mail) { m.client = "10.9.8.7" },
			[]string{line(results, 3), line(results, 2)}, policy.Removed{policy.ResultsField: 2}},
		{"another quarantine field", renamed, func(*mail) {},
			[]string{line(results, 3), line(held, 1), line(results, 2)}, policy.Removed{policy.ResultsField: 2, policy.QuarantineField: 1}},
		{"beyond the limit", full, func(*mail) {},
			[]string{line(results, 3), line(results, 2), line(quarantine, 2), line(quarantine, 1)},
			policy.Removed{policy.ResultsField: 2, policy.QuarantineField: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := *test.rig
			r.t = t
			m := m
			test.change(&m)
			acts := r.deliver(m)
			if v := r.last(); !maps.Equal(v.Removed, test.counts) {
				t.Errorf("counted %v, want %v", v.Removed, test.counts)
			}
			if len(acts) < len(test.want) || !slices.Equal(acts[:len(test.want)], test.want) {
				t.Fatalf("changes\n%q, want\n%q", acts, test.want)
			}
			for _, a := range acts[len(test.want):] {
				if !strings.HasPrefix(a, "InsertHeader 0 ") {
					t.Errorf("%s after all removals, want only insertions", a)
				}
			}
		})
	}
}

// TestOddNames checks that a message is rejected if it has a field that claims to be
// ours under a name that cannot be removed.
func TestOddNames(t *testing.T) {
	r := start(t, options{})
	for _, test := range []struct {
		name, value string
		refused     bool
	}{
		{"Authentication-\xadResults", " mx.example.org; dmarc=pass", true},
		{"\ufeffAuthentication-Results", " mx.example.org; dmarc=pass", true},
		{"Authentication-Results\x0b", " mx.example.org; dmarc=pass", true},
		{"Authentication -Results", " mx.example.org; dmarc=pass", true},
		{"X-Disposition\x7f-Quarantine", " x", true},
		{"Authentication-\xadResults", " other.example; dmarc=pass", false},
		{"X-Authentication-\xadResults", " mx.example.org; dmarc=pass", false},
	} {
		m := unsigned()
		m.fields = append(forgedFields(), m.fields...)
		m.fields = append(m.fields, field{test.name, test.value})
		c := r.dial()
		r.open(c, m)
		r.envelope(c, m)
		r.header(c, m)
		acts, action, err := c.BodyReadFrom(strings.NewReader(m.body))
		if err != nil {
			t.Fatal(err)
		}
		want := "Accept"
		if test.refused {
			want = `RejectWithCode 550 "550 5.6.0 malformed name of a header field"`
		}
		// The other forged fields are removed, whatever the MTA does on a rejection.
		if len(acts) < 4 || action.String() != want || r.last().Decision.Reply == (policy.Reply{}) == test.refused {
			t.Errorf("%q: %v, changes %v", test.name, action, acts)
			continue
		}
		for i, want := range forgedRemoved {
			if acts[i].String() != want {
				t.Errorf("%q: change %v, want %v", test.name, acts[i], want)
			}
		}
	}
}

// TestHarmlessFields checks which of the removed fields count as harmless.
func TestHarmlessFields(t *testing.T) {
	const (
		microsoft = " mx.example.org; dkim=none (message not signed)\n header.d=none;mx.example.org; dmarc=none action=none\n header.from=joe.example;"
		passes    = " mx.example.org; dmarc=pass header.from=football.example.com"
		lies      = " mx.example.org; dmarc=pass header.from=bank.example"
	)
	r := start(t, options{set: func(s *Settings) { s.SkipNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }})
	for _, test := range []struct {
		name, client     string
		values           []string
		forged, harmless int
	}{
		{"none", "192.0.2.1", nil, 0, 0},
		{"authentic mail", "192.0.2.1", []string{microsoft, passes, lies}, 1, 2},
		{"forged mail", "203.0.113.9", []string{microsoft, passes, lies}, 2, 1},
		{"our own mail", "127.0.0.1", []string{microsoft, passes, lies}, 2, 1},
		{"too many", "192.0.2.1", slices.Repeat([]string{microsoft}, maxHarmless+3), 3, maxHarmless},
		{"one too long", "192.0.2.1", []string{microsoft + strings.Repeat(" ", maxHarmlessLength)}, 1, 0},
	} {
		m := unsigned()
		m.client = test.client
		for _, v := range test.values {
			m.fields = append(m.fields, field{resultsName, v})
		}
		r.deliver(m)
		if v := r.last(); v.Forged() != test.forged || v.HarmlessRemoved != test.harmless {
			t.Errorf("%s: %d forged, %d harmless", test.name, v.Forged(), v.HarmlessRemoved)
		}
	}
}

// TestUnsendableReply checks that a message is refused even if the reply cannot be
// sent, and that the verdict says what was done.
func TestUnsendableReply(t *testing.T) {
	r := start(t, options{set: func(s *Settings) {
		s.Rules = &policy.Rules{Mode: policy.ModeEnforce, Reply: policy.ReplyTemplate{Status: strings.Repeat("5", 1<<16)}}
	}})
	m := unsigned()
	m.client = "203.0.113.9" // SPF fails
	c := r.dial()
	r.open(c, m)
	r.envelope(c, m)
	r.header(c, m)
	acts, action, err := c.BodyReadFrom(strings.NewReader(m.body))
	if err != nil || action.Type != gomilter.ActionReject || len(acts) != 0 {
		t.Fatalf("%v, changes %v, %v", action, acts, err)
	}
	if d := r.last().Decision; d.Disposition != policy.Reject || d.Intended != policy.Reject || d.Reply != (policy.Reply{}) {
		t.Errorf("%+v", d)
	}
	if got := r.count.get().errors; !slices.Equal(got, []string{string(StageAnswer)}) {
		t.Errorf("errors in %q", got)
	}
}

// TestHold checks how a message is held, and that the verdict says so: an MTA that
// cannot hold it gets a field instead.
func TestHold(t *testing.T) {
	const reason = "override 1: quarantine"
	r := start(t, options{set: func(s *Settings) {
		s.QuarantineField = "X-Quarantined"
		s.Rules = &policy.Rules{
			Mode: policy.ModeEnforce, QuarantineBy: policy.ByHold,
			Overrides: []policy.Override{asking(policy.ActionQuarantine, "author_domain", "football.example.com")},
		}
	}})
	m := unsigned()
	m.client = "203.0.113.9" // SPF fails
	for _, test := range []struct {
		actions     gomilter.OptAction
		change      string
		hold, field string
	}{
		{wantedActions, fmt.Sprintf("Quarantine %q", reason), reason, ""},
		{wantedActions &^ gomilter.OptQuarantine, fmt.Sprintf("InsertHeader 0 %q %q", "X-Quarantined", " "+reason), "", reason},
	} {
		acts := r.deliver(m, gomilter.WithActions(test.actions))
		if !slices.Contains(acts, test.change) {
			t.Errorf("%q, want %s", acts, test.change)
		}
		if d := r.last().Decision; d.Disposition != policy.Quarantine || d.HoldReason != test.hold || d.QuarantineText != test.field {
			t.Errorf("%+v", d)
		}
	}
}

// TestManyForgedResults checks that no number of forged fields lets one pass.
func TestManyForgedResults(t *testing.T) {
	const n = 10_000
	r := start(t, options{set: func(s *Settings) { s.MaxForged = n }})
	m := unsigned()
	for range n {
		m.fields = append(m.fields, field{resultsName, " mx.example.org; dkim=pass"})
	}
	acts := r.deliver(m)
	if len(acts) != n+1 {
		t.Fatalf("%d changes", len(acts))
	}
	for i, a := range acts[:n] {
		if want := fmt.Sprintf("ChangeHeader %d %q %q", n-i, resultsName, ""); a != want {
			t.Fatalf("%s, want %s", a, want)
		}
	}
}

// TestLongResults checks that a sender cannot make our field too long for the
// protocol, and that the important results stay in it.
func TestLongResults(t *testing.T) {
	r := start(t, options{verify: func(o *verify.Options) { o.DKIM.MaxSignatures = 100 }})
	m := example(t)
	for i := range 300 {
		m.fields = append(m.fields, field{"DKIM-Signature", fmt.Sprintf(
			" v=1; a=rsa-sha256; d=football.example.com; s=s%d; i=\"%s\"@football.example.com; h=from; bh=AAAA; b=AAAA%d",
			i, strings.Repeat(`\"`, 60), i)})
	}
	value := r.value(r.deliver(m))
	if len(value) > 48<<10 { // %q adds a few
		t.Errorf("a field of %d octets", len(value))
	}
	for _, want := range []string{"header.a=ed25519-sha256", "header.b=F45dVWDf", "spf=pass", "dmarc=pass"} {
		if !strings.Contains(value, want) {
			t.Errorf("without %s", want)
		}
	}
}
