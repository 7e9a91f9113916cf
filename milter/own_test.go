package milter

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/arc"
)

// signingRig signs mail from 127.0.0.0/8 and from users, for football.example.com.
func signingRig(t *testing.T, seal bool) *rig {
	t.Helper()
	key := testKey(t, "rsa1024")
	return start(t, options{
		set: func(s *Settings) {
			s.SkipNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			s.Signing = []SigningKey{{Domain: "football.example.com", Selector: "s", Signer: key.Signer()}}
		},
		verify: func(o *verify.Options) {
			if seal {
				o.Sealer = &arc.Sealer{Domain: "one.example", Selector: "arc", Key: key}
			}
		},
	})
}

// TestReceivedMailIsNotSigned has a stranger forge one of our domains, and a content
// filter, a redirection or a user hand the message back: it must not be signed.
func TestReceivedMailIsNotSigned(t *testing.T) {
	for _, seal := range []bool{false, true} {
		r := signingRig(t, seal)
		forged := unsigned()
		forged.client = "192.0.2.99"
		forged = r.pass(forged)
		for name, test := range map[string]struct {
			change func(*mail)
			signed bool
		}{
			"filtered":            {func(*mail) {}, false},
			"filtered and marked": {func(m *mail) { m.fields = slices.Insert(m.fields, 0, field{"X-Spam", " no"}) }, false},
			"by a user":           {func(m *mail) { m.client, m.macros = "192.0.2.99", map[string]string{"{auth_authen}": "joe"} }, false},
			"results without an author": {func(m *mail) {
				m.fields = append([]field{{resultsName, " mx.example.org; none"}}, unsigned().fields...)
			}, false},
			"results of others": {func(m *mail) {
				m.fields = append([]field{{resultsName, " mx.example.net; dmarc=fail header.from=football.example.com"}}, unsigned().fields...)
			}, true},
			"a list that sends in its own name": {func(m *mail) {
				for i, f := range m.fields {
					m.fields[i].value = strings.ReplaceAll(f.value, "header.from=football.example.com", "header.from=stranger.example")
				}
			}, true},
			"our own": {func(m *mail) { m.fields = unsigned().fields }, true},
		} {
			m := forged
			m.client = "127.0.0.1"
			m.fields = slices.Clone(forged.fields)
			test.change(&m)
			acts := strings.Join(r.deliver(m), "\n")
			v := r.last()
			if got := strings.Contains(acts, "DKIM-Signature"); got != test.signed || test.signed != (v.Signing.Err == nil) {
				t.Errorf("%s, sealed %v: signed %v, %v", name, seal, got, v.Signing.Err)
			}
			if !test.signed && !errors.Is(v.Signing.Err, errReceived) {
				t.Errorf("%s, sealed %v: %v", name, seal, v.Signing.Err)
			}
		}
	}
}
