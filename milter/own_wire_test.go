package milter

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

// wireRig returns a rig that signs with keys, and skips 127.0.0.0/8.
func wireRig(t *testing.T, keys []SigningKey, zone *dnstest.Zone, set ...func(*Settings)) *rig {
	t.Helper()
	return start(t, options{resolver: zone, set: func(s *Settings) {
		s.SkipNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		s.Signing = keys
		for _, f := range set {
			f(s)
		}
	}})
}

// localMail returns a message from one of our hosts.
func localMail() mail {
	return mail{
		client: "127.0.0.1", helo: "host.example.org", from: "joe@example.org",
		fields: []field{{"From", " joe@example.org"}, {"Subject", "\n\ta  b\n c"}, {"To", "\tyou@example.net"}, {"Cc", ""}},
		body:   strings.Repeat("a line  of text \r\n", 10_000),
	}
}

// received returns the header of m as its recipient gets it.
func (m mail) received() (h message.Header) {
	for _, f := range m.fields {
		h = append(h, message.NewField(f.name, f.value))
	}
	return h
}

// TestOwnMail sends our own mail over the wire: the signatures of the message that
// comes out must verify.
func TestOwnMail(t *testing.T) {
	keys, zone := signingKeys(t)
	r := wireRig(t, keys, zone)
	for name, opts := range map[string][]gomilter.Option{
		"leading spaces":    nil,
		"no leading spaces": {gomilter.WithProtocols(gomilter.OptSkip)},
	} {
		m := localMail()
		sent := m
		if opts != nil {
			sent.fields = slices.Clone(m.fields)
			for i := range sent.fields {
				sent.fields[i].value = strings.TrimPrefix(sent.fields[i].value, " ")
			}
		}
		out := r.pass(sent, opts...)
		if out.names() != "DKIM-Signature DKIM-Signature "+m.names() {
			t.Fatalf("%s: %s", name, out.names())
		}
		signatures := out.fields[:2]
		for i := range signatures {
			if space := strings.HasPrefix(signatures[i].value, " "); space != (opts == nil) {
				t.Errorf("%s: value %q", name, signatures[i].value)
			}
			if strings.Contains(signatures[i].value, "\r") {
				t.Errorf("%s: CR in %q", name, signatures[i].value)
			}
		}
		m.fields = slices.Concat(signatures, m.fields)
		if got := ourResults(t, zone, m.received(), m.body); got != "pass pass" {
			t.Errorf("%s: %s", name, got)
		}
		v := r.last()
		if s := v.Signing; s.Err != nil || s.Domain != "example.org" || strings.Join(s.Selectors, " ") != "rsa1024 ed25519" || v.Skip != policy.LocalNetwork {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestWhoIsSigned checks that our own mail is signed and otherwise unchanged, and
// that no other mail is signed.
func TestWhoIsSigned(t *testing.T) {
	keys, zone := signingKeys(t)
	user := map[string]string{"{auth_authen}": "joe"}
	for _, test := range []struct {
		name   string
		change func(*mail)
		set    func(*Settings)
		want   string // fields inserted
	}{
		{"host", func(*mail) {}, nil, "DKIM-Signature DKIM-Signature"},
		{"user", func(m *mail) { m.client, m.macros = "192.0.2.9", user }, nil, "DKIM-Signature DKIM-Signature"},
		{"user by mechanism", func(m *mail) { m.client, m.macros = "192.0.2.9", map[string]string{"{auth_type}": "PLAIN"} }, nil, "DKIM-Signature DKIM-Signature"},
		{"user, any envelope sender", func(m *mail) { m.from, m.macros = "", user }, nil, "DKIM-Signature DKIM-Signature"},
		{"user, another domain", func(m *mail) { m.fields[0].value, m.macros = " joe@example.net", user }, nil, ""},
		{"user, two domains", func(m *mail) { m.fields[0].value, m.macros = " joe@example.org, a@example.net", user }, nil, ""},
		{"stranger in our name", func(m *mail) { m.client = "192.0.2.9" }, nil, "Authentication-Results"},
		{"stranger, users not skipped", func(m *mail) { m.client, m.macros = "192.0.2.9", user },
			func(s *Settings) { s.SkipAuthenticated = false }, "Authentication-Results"},
		{"stranger, too many messages", func(m *mail) { m.client = "192.0.2.9" }, func(s *Settings) { s.MaxMessages = -1 }, ""},
		{"no keys", func(*mail) {}, func(s *Settings) { s.Signing = nil }, ""},
	} {
		var set []func(*Settings)
		if test.set != nil {
			set = append(set, test.set)
		}
		m := localMail()
		test.change(&m)
		var inserted []string
		for _, act := range wireRig(t, keys, zone, set...).deliver(m) {
			name, ok := strings.CutPrefix(act, `InsertHeader 0 "`)
			if name, _, _ = strings.Cut(name, `"`); !ok {
				t.Errorf("%s: %s", test.name, act)
			}
			inserted = append(inserted, name)
		}
		if got := strings.Join(inserted, " "); got != test.want {
			t.Errorf("%s: inserted %q, want %q", test.name, got, test.want)
		}
	}
}

// TestOwnMailPasses checks that our own mail passes even if a key fails or panics.
func TestOwnMailPasses(t *testing.T) {
	_, zone := signingKeys(t)
	key := &oddKey{}
	keys := odd(t, key)
	r := wireRig(t, keys, zone)
	done := noLeak(t)
	for i, set := range []func(){
		func() { key.panics = true },
		func() { *key = oddKey{Signer: key.Signer, err: errInternal} },
	} {
		set()
		if acts := r.deliver(localMail()); len(acts) != 0 {
			t.Errorf("changes %q", acts)
		}
		if s := r.last().Signing; s.Err == nil || s.Selectors != nil {
			t.Errorf("%+v", s)
		}
		if n := r.count.get().panics; n != 1 {
			t.Errorf("%d panics after message %d", n, i)
		}
	}
	*key = oddKey{Signer: key.Signer}
	if acts := r.deliver(localMail()); len(acts) != 2 {
		t.Errorf("afterwards: changes %q", acts)
	}

	// An MTA abandons a message: it aborts the transaction, or closes the session.
	for _, end := range []func(*gomilter.ClientSession){
		func(s *gomilter.ClientSession) { _ = s.Abort(nil) },
		func(s *gomilter.ClientSession) { _ = s.Close() },
	} {
		s := r.dial()
		m := localMail()
		r.open(s, m)
		r.envelope(s, m)
		r.header(s, m)
		end(s)
		_ = s.Close()
	}
	done()
	if key.used != 1 {
		t.Errorf("key used %d times", key.used)
	}
}
