package milter

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
)

// checking returns a rig that skips users and 127.0.0.0/8, verifies the signatures of
// their mail, and signs for example.org and its subdomains.
func checking(t *testing.T, o options) *rig {
	t.Helper()
	keys, zone := signingKeys(t)
	if o.resolver == nil {
		o.resolver = zone
	}
	set := o.set
	o.set = func(s *Settings) {
		s.SkipNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		s.SkipCheckDKIM = true
		s.Signing = keys
		if set != nil {
			set(s)
		}
	}
	return start(t, o)
}

// results returns our fields in m, without folds.
func (m mail) results() (all []string) {
	for _, f := range m.fields {
		if f.name == resultsName {
			all = append(all, strings.Join(strings.Fields(f.value), " "))
		}
	}
	return all
}

// index returns the place of the first field with the given name.
func (m mail) index(name string) int {
	return slices.IndexFunc(m.fields, func(f field) bool { return f.name == name })
}

// TestSkippedMailIsChecked checks that mail of our own gets the results of its
// signatures and nothing else, if the settings ask for them.
func TestSkippedMailIsChecked(t *testing.T) {
	const signed = "mx.example.org;" +
		" dkim=pass (256-bit ed25519 key, own mail) header.d=football.example.com header.i=@football.example.com" +
		" header.s=brisbane header.a=ed25519-sha256 header.b=\"/gCrinpc\";" +
		" dkim=pass (1024-bit rsa key, own mail) header.d=football.example.com header.i=@football.example.com" +
		" header.s=test header.a=rsa-sha256 header.b=F45dVWDf"
	const changed = "dkim=fail (256-bit ed25519 key, own mail) reason=\"body hash did not verify\""
	local := func(m *mail) { m.client = "127.0.0.1" }
	user := func(m *mail) { m.client, m.macros = "192.0.2.99", map[string]string{"{auth_authen}": "joe"} }
	for _, test := range []struct {
		name   string
		mail   mail
		change func(*mail)
		skip   policy.Skip
		want   string // how our field begins
		lookup int
	}{
		{"local", example(t), local, policy.LocalNetwork, signed, 2},
		{"user", example(t), user, policy.Authenticated, signed, 2},
		{"unsigned", unsigned(), local, policy.LocalNetwork, "mx.example.org; dkim=none (own mail)", 0},
		{"changed", example(t), func(m *mail) { local(m); m.body += "x\r\n" }, policy.LocalNetwork, "mx.example.org; " + changed, 2},
		{"not a signature", unsigned(), func(m *mail) { local(m); m.fields = append(m.fields, field{"DKIM-Signature", " x"}) },
			policy.LocalNetwork, "mx.example.org; dkim=neutral (own mail) reason=", 0},
		{"a large header", unsigned(), func(m *mail) { local(m); m.fields = append(m.fields, slices.Repeat([]field{{"X", " y"}}, 2000)...) },
			policy.LocalNetwork, `mx.example.org; dkim=permerror reason="message header too large"`, 0},
	} {
		resolver := dnstest.MustParse(t, exampleZone)
		r := checking(t, options{resolver: resolver, set: func(s *Settings) { s.Results.HideNone = policy.Hideable() }})
		test.change(&test.mail)
		out := r.pass(test.mail)
		if got := out.results(); len(got) != 1 || !strings.HasPrefix(got[0], test.want) || strings.Contains(got[0], "spf=") {
			t.Errorf("%s: %q\nwant %q", test.name, got, test.want)
		}
		v := r.last()
		if v.Skip != test.skip || v.Result != nil || v.DKIMOnly == nil || v.DKIMOnly.Queries != test.lookup || len(resolver.Queries()) != test.lookup {
			t.Errorf("%s: %+v, look-ups %q", test.name, v, resolver.Queries())
		}
		if d := v.Decision; d.Reply != (policy.Reply{}) || d.Disposition != "" {
			t.Errorf("%s: %+v", test.name, d)
		}

		off := checking(t, options{resolver: resolver, set: func(s *Settings) { s.SkipCheckDKIM = false }})
		if acts := off.deliver(test.mail); len(acts) != 0 || off.last().DKIMOnly != nil || len(resolver.Queries()) != test.lookup {
			t.Errorf("%s, off: changes %q, look-ups %q", test.name, acts, resolver.Queries())
		}
	}
}

// TestOwnMailPassesTwice passes our own mail through the milter again and again, as
// content filters do: it is signed each time, and always has one field of ours, about
// the signatures that it came with.
func TestOwnMailPassesTwice(t *testing.T) {
	for name, hide := range map[string][]string{"nothing hidden": nil, "all hidden": policy.Hideable()} {
		r := checking(t, options{set: func(s *Settings) { s.Results.HideNone = hide }})
		m := localMail()
		m.client, m.macros = "192.0.2.99", map[string]string{"{auth_authen}": "joe"}
		for pass := range 4 {
			m = r.pass(m)
			if v := r.last(); v.Signing.Err != nil || v.Signing.Domain != "example.org" || len(v.DKIMOnly.DKIM) != 2*pass {
				t.Fatalf("%s, pass %d: %+v, %d results", name, pass, v.Signing, len(v.DKIMOnly.DKIM))
			}
			// The results are below the signatures that they are not about.
			if !strings.HasPrefix(m.names(), "DKIM-Signature DKIM-Signature Authentication-Results ") {
				t.Errorf("%s, pass %d: %s", name, pass, m.names())
			}
			got := m.results()
			if len(got) != 1 || strings.Count(got[0], "dkim=pass") != 2*pass || strings.Contains(got[0], "dkim=none") != (pass == 0) {
				t.Errorf("%s, pass %d: %q", name, pass, got)
			}
			m.client, m.macros = "127.0.0.1", nil
		}
	}
}

// TestForgedMailIsNeverSigned has a stranger forge a domain of ours that publishes
// nothing, so that most of its results can be hidden. However often the message
// passes, whatever the stranger writes, it is not signed.
func TestForgedMailIsNeverSigned(t *testing.T) {
	for name, results := range map[string]policy.ResultsOptions{
		"nothing":          {},
		"each author":      {EachAuthor: true},
		"all hidden":       {HideNone: policy.Hideable()},
		"all but dkim":     {HideNone: []string{"arc", "dmarc", "spf"}},
		"all, each author": {HideNone: policy.Hideable(), EachAuthor: true},
	} {
		r := checking(t, options{set: func(s *Settings) { s.Results = results }})
		m := localMail()
		m.client = "192.0.2.99"
		m.fields = slices.Insert(m.fields, 0, field{resultsName, " mx.example.org; dkim=none (own mail)"})
		m = r.pass(m)
		if v := r.last(); v.Skip != policy.NotSkipped || v.Result.DMARC.Status != "none" {
			t.Fatalf("%s: %+v", name, v)
		}
		m.client = "127.0.0.1"
		for pass := range 4 {
			m = r.pass(m)
			if v := r.last(); !errors.Is(v.Signing.Err, errReceived) || v.DKIMOnly == nil {
				t.Errorf("%s, pass %d: %+v", name, pass, v.Signing)
			}
			if got := m.results(); len(got) != 1 || got[0] != "mx.example.org; dkim=none" {
				t.Errorf("%s, pass %d: %q", name, pass, got)
			}
		}
	}
}

// TestListOfSeveralAuthors checks that mail of a list that writes in its own name is
// signed, though the field of the mail that it received names several authors.
func TestListOfSeveralAuthors(t *testing.T) {
	r := checking(t, options{set: func(s *Settings) { s.Results.EachAuthor = true }})
	for author, signed := range map[string]bool{"list@example.org": true, "a@a.example": false, "b@sub.example.org": false} {
		m := localMail()
		m.client, m.fields[0].value = "192.0.2.99", " a@a.example, b@sub.example.org"
		m = r.pass(m)
		if got := m.results(); len(got) != 1 || strings.Count(got[0], "dmarc=none") != 2 {
			t.Fatalf("%q", got)
		}
		m.client = "127.0.0.1"
		m.fields[m.index("From")].value = " " + author
		r.deliver(m)
		if v := r.last(); (len(v.Signing.Selectors) > 0) != signed {
			t.Errorf("%s: %+v", author, v.Signing)
		}
	}
}

// TestReinjectionWithOptions has a content filter pass back mail that we have sealed,
// with each option: the field of the first pass stays, and there is no second one.
func TestReinjectionWithOptions(t *testing.T) {
	for name, results := range map[string]policy.ResultsOptions{
		"nothing":     {},
		"arc hidden":  {HideNone: []string{"arc"}},
		"all hidden":  {HideNone: policy.Hideable()},
		"each author": {HideNone: []string{"arc"}, EachAuthor: true},
	} {
		for _, check := range []bool{false, true} {
			zone := dnstest.MustParse(t, exampleZone)
			r := start(t, options{
				resolver: zone,
				set: func(s *Settings) {
					s.SkipNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
					s.Results, s.SkipCheckDKIM = results, check
				},
				verify: func(o *verify.Options) {
					o.Sealer = &arc.Sealer{Domain: "one.example", Selector: "arc", Key: testKey(t, "rsa1024")}
				},
			})
			m := unsigned()
			m.fields[0].value, m.from = " joe@plain.example, a@football.example.com", ""
			if name == "all hidden" {
				m.fields[0].value = " joe@plain.example"
				m.helo = "plain"
			}
			m = r.pass(m)
			own := m.results()
			if v := r.last(); !v.Seal.Done || len(own) != 1 {
				t.Fatalf("%s: %+v, %q", name, v.Seal, own)
			}
			if name == "all hidden" && own[0] != "mx.example.org; none" {
				t.Errorf("%s: %q", name, own)
			}
			if got := strings.Count(own[0], "; dmarc="); results.EachAuthor && got != 2 {
				t.Errorf("%s: %q", name, own)
			}
			aar := m.fields[m.index("ARC-Authentication-Results")].value
			if !strings.Contains(aar, "arc=none smtp.remote-ip=192.0.2.1") || !strings.Contains(aar, "dkim=none") {
				t.Errorf("%s: %q", name, aar)
			}
			m.client = "127.0.0.1"
			m.body += "-- \r\nscanned\r\n"
			m.fields = slices.Insert(m.fields, 0, field{"X-Scanned", " yes"})
			before := len(zone.Queries())
			if again := r.pass(m); again.names() != m.names() {
				t.Errorf("%s, check %v: %s, sent %s", name, check, again.names(), m.names())
			}
			if v := r.last(); v.DKIMOnly != nil || len(zone.Queries()) != before || v.Removed.Total() != 0 {
				t.Errorf("%s, check %v: %+v", name, check, v)
			}
			// A field with one more result is forged.
			for _, more := range []string{"; dmarc=pass header.from=bank.example", "; spf=none"} {
				forged := m
				forged.fields = slices.Clone(m.fields)
				forged.fields[forged.index(resultsName)].value = " " + own[0] + more
				if r.pass(forged); r.last().Removed.Total() != 1 {
					t.Errorf("%s: believed %q", name, own[0]+more)
				}
			}
		}
	}
}

// TestSkippedMailIsNotHeldUp checks that nothing that happens while the signatures of
// our own mail are verified affects it: keys that nobody answers for, a panic, or more
// messages than the limit allows.
func TestSkippedMailIsNotHeldUp(t *testing.T) {
	silent := newGate(t, edKey, rsaKey)
	broken := newGate(t, edKey)
	broken.panics = true
	for _, test := range []struct {
		name     string
		resolver *gate
		set      func(*Settings)
		want     dkim.Status // "" if there are no results
		panics   int
	}{
		{"silent", silent, func(s *Settings) { s.EndOfMessage = 10 * time.Millisecond }, dkim.TempError, 0},
		{"panic", broken, func(*Settings) {}, "", 1},
		{"overload", newGate(t), func(s *Settings) { s.MaxMessages = -1 }, "", 0},
	} {
		keys, _ := signingKeys(t)
		r := checking(t, options{resolver: test.resolver, set: func(s *Settings) {
			s.Rules = &policy.Rules{Mode: policy.ModeEnforce}
			s.Signing = []SigningKey{{Domain: "football.example.com", Selector: "s", Signer: keys[0].Signer}}
			test.set(s)
		}})
		m := example(t)
		m.client = "127.0.0.1"
		out := r.pass(m)
		v := r.last()
		if v.Signing.Err != nil || len(v.Signing.Selectors) != 1 || !strings.HasPrefix(out.names(), "DKIM-Signature ") {
			t.Errorf("%s: %+v, %s", test.name, v.Signing, out.names())
		}
		if got := out.results(); (len(got) == 1) != (test.want != "") {
			t.Errorf("%s: %q", test.name, got)
		}
		if v.DKIMOnly != nil && (v.DKIMOnly.DKIM[0].Status != test.want || v.DKIMOnly.DKIM[1].Status != test.want) {
			t.Errorf("%s: %+v", test.name, v.DKIMOnly.DKIM)
		}
		if (v.DKIMOnly == nil) != (test.want == "") || r.count.get().panics != test.panics {
			t.Errorf("%s: %+v, %d panics", test.name, v, r.count.get().panics)
		}
	}
}
