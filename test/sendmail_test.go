package test

import (
	"path/filepath"
	"testing"

	"authmilter/test/mta"
)

// TestSendmail runs the whole system with a real Sendmail.
func TestSendmail(t *testing.T) {
	socket := filepath.Join(mta.SafeDir(t), "milter.sock")
	r := rig{mta: mta.StartSendmail(t, "local:"+socket), listen: "unix:" + socket}
	t.Run("scenarios", func(t *testing.T) { runScenarios(t, r) })
}
