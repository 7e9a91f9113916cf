package test

import (
	"fmt"
	"path/filepath"
	"testing"

	"authmilter/test/mta"
	"authmilter/test/paths"
	"authmilter/verify/dns/dnstest"
)

// TestPostfix tests the whole system with a real Postfix.
func TestPostfix(t *testing.T) {
	port := mta.FreePort(t)
	r := rig{
		mta:    mta.StartPostfix(t, fmt.Sprintf("inet:127.0.0.1:%d", port)),
		listen: fmt.Sprintf("inet:%d@127.0.0.1", port),
		update: *update,
	}
	t.Run("scenarios", func(t *testing.T) { runScenarios(t, r) })
	t.Run("one connection", func(t *testing.T) { runOneConnection(t, r, "signed") })
	t.Run("at once", func(t *testing.T) { runAtOnce(t, r) })
	t.Run("paths", func(t *testing.T) { runPaths(t, r, func(p paths.Path) paths.Word { return p.Postfix }) })
	t.Run("paths of recipients", func(t *testing.T) { runRecipientPaths(t, r) })
	t.Run("too many forged", func(t *testing.T) { runTooManyForged(t, r) })
	t.Run("stop", func(t *testing.T) { runStop(t, r, "signed") })
	t.Run("reload", func(t *testing.T) { runReload(t, r, "signed") })
}

// TestDirect runs the scenarios without an MTA.
func TestDirect(t *testing.T) {
	socket := "unix:" + filepath.Join(mta.TempDir(t), "milter.sock")
	r := rig{mta: mta.NewDirect(socket), listen: socket}
	t.Run("scenarios", func(t *testing.T) { runScenarios(t, r) })
	t.Run("one connection", func(t *testing.T) { runOneConnection(t, r, "signed") })
	t.Run("at once", func(t *testing.T) { runAtOnce(t, r) })
}

// TestPostfixUnixSocket checks that Postfix, whose processes do not run as root,
// can connect to a unix socket with the mode that the config sets.
func TestPostfixUnixSocket(t *testing.T) {
	socket := "unix:" + filepath.Join(mta.TempDir(t), "milter.sock")
	r := rig{mta: mta.StartPostfix(t, socket), listen: socket}
	s := findScenario(t, loadScenarios(t), "signed")
	r.serve(t, dnstest.MustParse(t, s.Zone), `socket_mode = "0666"`)
	s.Check(t, r.mta.Deliver(t, s.Client, s.Message)[0], false)
}
