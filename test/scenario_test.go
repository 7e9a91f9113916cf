package test

import (
	"bytes"
	"flag"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authmilter/test/daemon"
	"authmilter/test/mta"
	"authmilter/test/scenario"
	"authmilter/verify/dns/dnstest"
)

var update = flag.Bool("update", false, "rewrite the expected results of the scenarios")

func TestMain(m *testing.M) { daemon.Main(m) }

// rig is an MTA and the address of its milter. Each scenario starts and stops its
// own milter, with its own zone and config.
type rig struct {
	mta    mta.MTA
	listen string // in authmilter's notation
	// update is set to rewrite the expected results of the scenarios, which are
	// the same for every MTA.
	update bool
}

// serve runs authmilter behind the rig's MTA until the end of the test. zone
// answers its DNS queries, and config is added to its configuration.
func (r rig) serve(t *testing.T, zone *dnstest.Zone, config string) *daemon.Daemon {
	t.Helper()
	return daemon.Start(t, daemon.Config{
		Listen:     r.listen,
		AuthservID: mta.Hostname,
		DNS:        dnstest.Serve(t, zone),
		Metrics:    mta.Loopback(mta.FreePort(t)),
		More:       config,
	})
}

// runScenarios runs every scenario through an MTA.
func runScenarios(t *testing.T, r rig) {
	for _, s := range loadScenarios(t) {
		t.Run(s.Name, func(t *testing.T) {
			r.serve(t, dnstest.MustParse(t, s.Zone), s.Config)
			s.Check(t, r.mta.Deliver(t, s.Client, s.Message)[0], r.update)
		})
	}
}

func loadScenarios(t *testing.T) []*scenario.Scenario {
	t.Helper()
	return scenario.Load(t, "testdata/scenarios", "testdata/keys")
}

func findScenario(t *testing.T, all []*scenario.Scenario, name string) *scenario.Scenario {
	t.Helper()
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no scenario %q", name)
	return nil
}

// runOneConnection sends several messages over one connection: the messages of all
// scenarios without config that have the same client as the scenario first. The
// results for one message must not depend on the messages before it.
func runOneConnection(t *testing.T, r rig, first string) {
	all := loadScenarios(t)
	client := findScenario(t, all, first).Client
	chosen := choose(all, func(s *scenario.Scenario) bool { return s.Client == client && s.Config == "" })
	if len(chosen) < 3 {
		t.Fatalf("only %d scenarios have the same client as %q", len(chosen), first)
	}
	r.serve(t, dnstest.MustParse(t, mergeZones(chosen)), "")
	var messages []mta.Message
	for _, s := range chosen {
		messages = append(messages, s.Message)
	}
	for i, d := range r.mta.Deliver(t, client, messages...) {
		t.Run(chosen[i].Name, func(t *testing.T) { chosen[i].Check(t, d, false) })
	}
}

// runAtOnce sends the messages of all scenarios without config at the same time,
// each over its own connection.
func runAtOnce(t *testing.T, r rig) {
	chosen := choose(loadScenarios(t), func(s *scenario.Scenario) bool { return s.Config == "" })
	r.serve(t, dnstest.MustParse(t, mergeZones(chosen)), "")
	t.Run("all", func(t *testing.T) { // waits for all of them before the milter ends
		for _, s := range chosen {
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel()
				s.Check(t, r.mta.Deliver(t, s.Client, s.Message)[0], false)
			})
		}
	})
}

// runTooManyForged sends a message with more forged fields than the MTA is asked to
// remove: it is refused, and the next message on the connection is not affected.
func runTooManyForged(t *testing.T, r rig) {
	s := findScenario(t, loadScenarios(t), "signed")
	r.serve(t, dnstest.MustParse(t, s.Zone), s.Config)
	flood := s.Message
	flood.Data = append(bytes.Repeat([]byte("Authentication-Results: "+mta.Hostname+"; dmarc=pass\r\n"), 2000), flood.Data...)
	d := r.mta.Deliver(t, s.Client, flood, s.Message)
	if want := "550 5.6.0 more than 200 header fields claim to be results of this host"; !strings.HasPrefix(d[0].Reply, want) {
		t.Errorf("reply %q, want %q", d[0].Reply, want)
	}
	s.Check(t, d[1], false)
}

// runStop stops the milter while it waits for a key. The message still gets its
// results, and the milter exits with status 0.
func runStop(t *testing.T, r rig, name string) {
	s := findScenario(t, loadScenarios(t), name)
	const key = "rsa._domainkey.example.com"
	zone := dnstest.MustParse(t, s.Zone+"$DELAY 1s "+key+"\n")
	d := r.serve(t, zone, s.Config)
	delivered := make(chan struct{})
	var watcher sync.WaitGroup
	defer watcher.Wait()
	watcher.Go(func() {
		for !slices.Contains(zone.Queries(), "TXT "+key) {
			select {
			case <-delivered:
				t.Errorf("the message was delivered without a look-up of %s", key)
				return
			case <-time.After(time.Millisecond):
			}
		}
		d.Terminate()
	})
	delivery := func() mta.Delivery {
		defer close(delivered) // even if Deliver ends the test
		return r.mta.Deliver(t, s.Client, s.Message)[0]
	}()
	watcher.Wait()
	d.Stop(t)
	s.Check(t, delivery, false)
}

// runReload gives the milter a bad configuration, which must change nothing, and
// then a good one, which must apply to the next message.
func runReload(t *testing.T, r rig, name string) {
	const reloaded = "authmilter_config_last_reload_successful"
	s := findScenario(t, loadScenarios(t), name)
	d := r.serve(t, dnstest.MustParse(t, s.Zone), s.Config)
	bad, good := d.Config, d.Config
	bad.More += "\nauthserv = \"typo.example.org\"\n"
	good.AuthservID = "other.example.org"

	d.Reload(t, bad)
	d.WaitMetric(t, reloaded, 0)
	s.Check(t, r.mta.Deliver(t, s.Client, s.Message)[0], false)

	d.Reload(t, good)
	d.WaitMetric(t, reloaded, 1)
	top := r.mta.Deliver(t, s.Client, s.Message)[0].Top
	if want := "Authentication-Results: other.example.org;\r\n"; !strings.HasPrefix(string(top), want) {
		t.Errorf("after the reload: got %q, want prefix %q", top, want)
	}
}

func choose(all []*scenario.Scenario, by func(*scenario.Scenario) bool) []*scenario.Scenario {
	return slices.DeleteFunc(all, func(s *scenario.Scenario) bool { return !by(s) })
}

// mergeZones returns one zone for several scenarios, which share many lines. The
// records of one scenario must not change the results of another.
func mergeZones(all []*scenario.Scenario) string {
	seen := map[string]bool{}
	var zone strings.Builder
	for _, s := range all {
		for line := range strings.Lines(s.Zone) {
			if !seen[line] {
				zone.WriteString(line)
			}
			seen[line] = true
		}
	}
	return zone.String()
}
