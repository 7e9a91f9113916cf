package test

import (
	"fmt"
	"path/filepath"
	"testing"

	"authmilter/test/mta"
	"authmilter/verify/dns/dnstest"
)

// TestSendmail runs the whole system with a real Sendmail, which is held to the
// results of Postfix.
func TestSendmail(t *testing.T) {
	port := mta.FreePort(t)
	listen := fmt.Sprintf("inet:%d@127.0.0.1", port)
	r := rig{mta: mta.StartSendmail(t, listen), listen: listen}
	t.Run("scenarios", func(t *testing.T) { runScenarios(t, r) })
	t.Run("one connection", func(t *testing.T) { runOneConnection(t, r, "signed") })
	t.Run("at once", func(t *testing.T) { runAtOnce(t, r) })
	t.Run("stop", func(t *testing.T) { runStop(t, r, "signed") })
	t.Run("reload", func(t *testing.T) { runReload(t, r, "signed") })
	t.Run("down", func(t *testing.T) {
		s := findScenario(t, loadScenarios(t), "signed")
		if d := r.mta.Deliver(t, s.Client, s.Message)[0]; d.Code != 451 {
			t.Errorf("without its milter Sendmail answers %q", d.Reply)
		}
	})
}

// TestSendmailUnixSocket holds that Sendmail trusts a unix socket of the mode
// that the config gives it by default.
func TestSendmailUnixSocket(t *testing.T) {
	socket := filepath.Join(mta.SafeDir(t), "milter.sock")
	r := rig{mta: mta.StartSendmail(t, "local:"+socket), listen: "unix:" + socket}
	s := findScenario(t, loadScenarios(t), "signed")
	r.serve(t, dnstest.MustParse(t, s.Zone), "")
	s.Check(t, r.mta.Deliver(t, s.Client, s.Message)[0], false)
}
