package test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"authmilter/test/daemon"
	"authmilter/test/mta"
	"authmilter/test/paths"
	"authmilter/verify/dns/dnstest"
)

// TestSendmail tests the whole system with a real Sendmail, and expects the same
// results as with Postfix.
func TestSendmail(t *testing.T) {
	port := mta.FreePort(t)
	listen := fmt.Sprintf("inet:%d@127.0.0.1", port)
	r := rig{mta: mta.StartSendmail(t, listen), listen: listen}
	t.Run("scenarios", func(t *testing.T) { runScenarios(t, r) })
	t.Run("one connection", func(t *testing.T) { runOneConnection(t, r, "signed") })
	t.Run("at once", func(t *testing.T) { runAtOnce(t, r) })
	t.Run("paths", func(t *testing.T) { runPaths(t, r, func(p paths.Path) paths.Word { return p.Sendmail }) })
	t.Run("paths of recipients", func(t *testing.T) { runRecipientPaths(t, r) })
	t.Run("too many forged", func(t *testing.T) { runTooManyForged(t, r) })
	t.Run("stop", func(t *testing.T) { runStop(t, r, "signed") })
	t.Run("reload", func(t *testing.T) { runReload(t, r, "signed") })
	t.Run("down", func(t *testing.T) {
		s := findScenario(t, loadScenarios(t), "signed")
		if d := r.mta.Deliver(t, s.Client, s.Message)[0]; d.Code != 451 {
			t.Errorf("Sendmail without its milter replied %q", d.Reply)
		}
	})
}

// TestSendmailUnixSocket checks that Sendmail accepts a unix socket with the
// default mode.
func TestSendmailUnixSocket(t *testing.T) {
	socket := filepath.Join(mta.SafeDir(t), "milter.sock")
	r := rig{mta: mta.StartSendmail(t, "local:"+socket), listen: "unix:" + socket}
	s := findScenario(t, loadScenarios(t), "signed")
	r.serve(t, dnstest.MustParse(t, s.Zone), "")
	s.Check(t, r.mta.Deliver(t, s.Client, s.Message)[0], false)
}

// TestSendmailSigns checks which signatures and seals survive Sendmail's changes
// to address fields, which it makes after its milters have seen them.
func TestSendmailSigns(t *testing.T) {
	zone := dnstest.MustParse(t, arcZone)
	publish(t, zone, "rsa", "example.com", "rsa2048")
	publish(t, zone, "arc", "example.org", "rsa1024")
	dns := dnstest.Serve(t, zone)
	socket := filepath.Join(mta.SafeDir(t), "milter.sock")
	sendmail := mta.StartSendmail(t, "local:"+socket)
	daemon.Start(t, daemon.Config{
		Listen: "unix:" + socket, AuthservID: mta.Hostname, DNS: dns, Metrics: mta.Loopback(mta.FreePort(t)),
		More: fmt.Sprintf(`arc.seal = true
arc.domain = "example.org"
arc.selector = "arc"
arc.key_file = %q
[[sign]]
domain = "example.com"
selector = "rsa"
key_file = %q
`, keyPath(t, "rsa1024"), keyPath(t, "rsa2048")),
	})
	user := arcClient
	user.Login = "joe"
	for _, test := range []struct {
		name, to string
		broken   bool // as docs/sendmail.md says
		unsigned bool // likewise
	}{
		{name: "one", to: "A <a@example.org>"},
		{name: "folded", to: "A <a@example.org>,\r\n\tB <b@example.org>"},
		{name: "folded before an address", to: "A\r\n <a@example.org>"},
		{name: "not folded", to: "A <" + strings.Repeat("a", 60) + "@example.org>, B <b@example.org>"},
		{name: "no space before an address", to: "A<a@example.org>"},
		{name: "comment", to: "a@example.org (A), b@example.org"},
		{name: "upper case", to: "A <A@Example.ORG>"},
		{name: "group", to: "friends: a@example.org, b@example.org;"},
		{name: "empty group", to: "undisclosed-recipients:;"},
		{name: "quotes", to: `"A, B" <a@example.org>, "C" <"c"@example.org>`},
		{name: "dots", to: "John Q. O'Public <a@example.org>"}, // confMUST_QUOTE_CHARS
		{name: "encoded", to: "=?utf-8?q?=C3=9C?= <a@example.org>"},
		{name: "no space after a comma", to: "a@example.org,b@example.org", broken: true},
		{name: "space before a comma", to: "a@example.org , b@example.org", broken: true},
		{name: "no domain", to: "a", broken: true},
		{name: "not ASCII", to: "a@B\u00dcCHER.example", broken: true},
		{name: "long line", to: strings.Repeat("a", 2400) + ":;", unsigned: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := arcMessage()
			m.Data = bytes.Replace(m.Data, []byte("list@example.org"), []byte(test.to), 1)
			result := "pass"
			if test.broken {
				result = "fail"
			}
			count := 1
			if test.unsigned {
				result, count = "none", 0
			}
			own := sendmail.Deliver(t, user, m)[0]
			if c := check(t, dns, whole(own)); len(c.DKIM) != count || count > 0 && c.DKIM[0].Result != result {
				t.Errorf("signed: %+v, want %s:\n%s", c.DKIM, result, own.Header)
			}
			sealed := sendmail.Deliver(t, arcClient, m)[0]
			if c := check(t, dns, whole(sealed)); len(c.ARC.Sets) != count || c.ARC.Result != result {
				t.Errorf("sealed: %+v, want %s:\n%s", c.ARC, result, sealed.Header)
			}
		})
	}
}
