package milter

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

// testKey returns a private key from the whole-system tests.
func testKey(t testing.TB, name string) *dkim.PrivateKey {
	t.Helper()
	text, err := os.ReadFile("../test/testdata/keys/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	key, err := dkim.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sealing returns a rig that seals for domain and skips 127.0.0.0/8.
func sealing(t *testing.T, domain string) *rig {
	t.Helper()
	zone := dnstest.MustParse(t, exampleZone)
	for _, d := range []string{"one.example", "two.example"} {
		zone.AddTXT("arc._domainkey."+d, testKey(t, "rsa1024").Record())
	}
	return start(t, options{
		resolver: zone,
		set:      func(s *Settings) { s.SkipNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} },
		verify: func(o *verify.Options) {
			o.Sealer = &arc.Sealer{Domain: domain, Selector: "arc", Key: testKey(t, "rsa1024")}
		},
	})
}

// pass sends m and returns it as the MTA passes it on.
func (r *rig) pass(m mail, opts ...gomilter.Option) mail {
	r.t.Helper()
	s := r.begin(m, opts...)
	defer s.Close()
	acts, _, err := s.BodyReadFrom(strings.NewReader(m.body))
	if err != nil {
		r.t.Fatal(err)
	}
	m.fields = slices.Clone(m.fields)
	for _, a := range acts {
		switch a.Type {
		case gomilter.ActionInsertHeader:
			m.fields = slices.Insert(m.fields, int(a.HeaderIndex), field{a.HeaderName, a.HeaderValue})
		case gomilter.ActionChangeHeader:
			n := 0
			i := slices.IndexFunc(m.fields, func(f field) bool {
				if strings.EqualFold(f.name, a.HeaderName) {
					n++
				}
				return n == int(a.HeaderIndex)
			})
			if a.HeaderValue != "" || i < 0 {
				r.t.Fatalf("change %v", a)
			}
			m.fields = slices.Delete(m.fields, i, i+1)
		default:
			r.t.Fatalf("change %v", a)
		}
	}
	return m
}

func (r *rig) last() *policy.Verdict {
	all := r.seen.list()
	return all[len(all)-1]
}

func (m mail) names() string {
	var all []string
	for _, f := range m.fields {
		all = append(all, f.name)
	}
	return strings.Join(all, " ")
}

// TestLongLinesNotSealed checks that a message that an MTA would change after our
// seal gets no set, but its results.
func TestLongLinesNotSealed(t *testing.T) {
	r := sealing(t, "one.example")
	x := strings.Repeat("x", 998)
	for _, test := range []struct {
		name   string
		change func(*mail)
		sealed bool
	}{
		{"998 octets", func(m *mail) { m.body = x + "\r\n" + x }, true},
		{"999 octets in the body", func(m *mail) { m.body = "a\r\n" + x + "x\r\nb\r\n" }, false},
		{"999 octets in the last line", func(m *mail) { m.body = "a\r\n" + x + "x" }, false},
		{"999 octets across chunks", func(m *mail) { m.body = strings.Repeat("a\r\n", (1<<16-300)/3) + x + "x\r\nb\r\n" }, false},
		{"999 octets in a field", func(m *mail) { m.fields = append(m.fields, field{"X", " " + x[:996]}) }, false},
		{"998 octets in a field", func(m *mail) { m.fields = append(m.fields, field{"X", " " + x[:995] + "\n " + x[1:]}) }, true},
	} {
		m := example(t)
		test.change(&m)
		m = r.pass(m)
		v := r.last()
		if v.Seal.Done != test.sealed || strings.Contains(m.names(), "ARC-Seal") != test.sealed || !test.sealed && v.Seal.Err != message.ErrLongLine {
			t.Errorf("%s: %+v, %s", test.name, v.Seal, m.names())
		}
		if !strings.Contains(m.names(), "Authentication-Results") {
			t.Errorf("%s: no results", test.name)
		}
	}
}

func TestSeal(t *testing.T) {
	one, two := sealing(t, "one.example"), sealing(t, "two.example")
	for name, opts := range map[string][]gomilter.Option{
		"leading spaces":    nil,
		"no leading spaces": {gomilter.WithProtocols(gomilter.OptSkip)},
	} {
		m := example(t)
		before := m.names()
		if opts != nil {
			for i := range m.fields {
				m.fields[i].value = strings.TrimPrefix(m.fields[i].value, " ")
			}
		}
		m = one.pass(m, opts...)
		const set = "ARC-Seal ARC-Message-Signature ARC-Authentication-Results Authentication-Results "
		if m.names() != set+before {
			t.Fatalf("%s: %s", name, m.names())
		}
		if v := one.last(); !v.Seal.Done || v.Seal.Err != nil || v.Result.ARC.Status != arc.None {
			t.Errorf("%s: %+v, %+v", name, v.Seal, v.Result.ARC)
		}
		m = two.pass(m, opts...)
		if v := two.last(); !v.Seal.Done || v.Result.ARC.Status != arc.Pass || v.Result.ARC.OldestPass != 0 {
			t.Errorf("%s: %+v, %+v", name, v.Seal, v.Result.ARC)
		}
		if !strings.HasPrefix(m.names(), "ARC-Seal ARC-Message-Signature ARC-Authentication-Results Authentication-Results ARC-Seal") {
			t.Errorf("%s: %s", name, m.names())
		}
		// It comes back from outside, unchanged since our seal.
		sealed := m.names()
		m = two.pass(m, opts...)
		if v := two.last(); v.Seal.Done || v.Seal.Err != arc.ErrOwn || v.Result.ARC.Status != arc.Pass || v.Removed.Total() != 1 {
			t.Errorf("%s: again: %+v, %+v", name, v.Seal, v.Result.ARC)
		}
		if strings.Count(m.names(), "ARC-") != strings.Count(sealed, "ARC-") {
			t.Errorf("%s: again: %s", name, m.names())
		}
	}
	// The body is needed even if nothing is signed.
	m := unsigned()
	m.body = strings.Repeat("line\r\n", 50_000)
	m = one.pass(m)
	m.body += "more\r\n"
	two.pass(m)
	if v := two.last(); v.Result.ARC.Status != arc.Fail || v.Result.ARC.Reason != arc.ReasonMessageSignature {
		t.Errorf("changed: %+v", v.Result.ARC)
	}
}

// TestNoSealForOurs checks that mail from our own users and hosts is not sealed.
func TestNoSealForOurs(t *testing.T) {
	r := sealing(t, "one.example")
	local, user := example(t), example(t)
	local.client = "127.0.0.1"
	user.macros = map[string]string{"{auth_authen}": "joe"}
	for _, m := range []mail{local, user} {
		if acts := r.deliver(m); len(acts) != 0 {
			t.Errorf("changes %q", acts)
		}
	}
}

// TestReinjection has a content filter on this host change a message and pass it
// back: our fields stay, and nothing is added.
func TestReinjection(t *testing.T) {
	r := sealing(t, "one.example")
	m := r.pass(example(t))
	own := m.fields[3]
	m.client = "127.0.0.1"
	m.body += "-- \r\nscanned\r\n"
	m.fields = slices.Insert(m.fields, 0, field{"X-Scanned", " yes"})
	if again := r.pass(m); again.names() != m.names() {
		t.Errorf("%s, sent %s", again.names(), m.names())
	}

	for name, forge := range map[string]func(*mail){
		"another verdict":           func(m *mail) { m.fields[4].value = strings.Replace(own.value, "spf=pass", "spf=fail", 1) },
		"an extra result":           func(m *mail) { m.fields[4].value += "; auth=pass" },
		"a missing result":          func(m *mail) { m.fields[4].value = own.value[:strings.Index(own.value, ";\n\tarc=")] },
		"a forged set":              func(m *mail) { m.fields[3].value = strings.Replace(m.fields[3].value, "spf=pass", "spf=none", 1) },
		"from outside":              func(m *mail) { m.client = "192.0.2.99" },
		"another host's set":        func(m *mail) { m.client = "192.0.2.1"; *m = sealing(t, "two.example").pass(*m); m.client = "127.0.0.1" },
		"a user without that right": func(m *mail) { m.client, m.macros = "192.0.2.99", map[string]string{"{auth_authen}": "joe"} },
	} {
		forged := m
		forged.fields = slices.Clone(m.fields)
		forge(&forged)
		removed := false
		for _, a := range r.deliver(forged) {
			removed = removed || strings.HasPrefix(a, "ChangeHeader")
		}
		if !removed {
			t.Errorf("%s: believed", name)
		}
	}
	// A second field with another result is not covered by the first.
	both := m
	both.fields = append(slices.Clone(m.fields), field{resultsName, " mx.example.org; dkim=pass header.d=bank.example"})
	if acts := r.deliver(both); len(acts) != 1 || acts[0] != `ChangeHeader 2 "Authentication-Results" ""` {
		t.Errorf("changes %q", acts)
	}
}

// TestReinjectionOfAFailedChain checks that our fields stay even if the set that we
// added says that the chain failed: any sender can cause that.
func TestReinjectionOfAFailedChain(t *testing.T) {
	r := sealing(t, "one.example")
	m := unsigned()
	m.fields = slices.Insert(m.fields, 0, field{"ARC-Seal", " i=1; x"})
	m = r.pass(m)
	if v := r.last(); !v.Seal.Done || v.Result.ARC.Status != arc.Fail {
		t.Fatalf("%+v, %+v", v.Seal, v.Result.ARC)
	}
	m.client = "127.0.0.1"
	m.body += "-- \r\nscanned\r\n"
	if again := r.pass(m); again.names() != m.names() {
		t.Errorf("%s, sent %s", again.names(), m.names())
	}
}
