package test

import (
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

var update = flag.Bool("update", false, "rewrite what the scenarios expect by what they get")

func TestMain(m *testing.M) { daemon.Main(m) }

// rig is an MTA, and the address where it looks for its milter. The milter comes
// and goes with each scenario, which has a zone and a config of its own.
type rig struct {
	mta    mta.MTA
	listen string // in our notation
	// update tells to rewrite what the scenarios expect. What one MTA writes the
	// others are held to.
	update bool
}

// serve runs authmilter behind the rig's MTA until the end of the test, with the
// DNS of a zone and with more configuration.
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

// runOneConnection sends, over one connection, every message of those
// scenarios that share the client of the one named first and need no config:
// what is known of one message must not show in the next.
func runOneConnection(t *testing.T, r rig, first string) {
	all := loadScenarios(t)
	client := findScenario(t, all, first).Client
	chosen := choose(all, func(s *scenario.Scenario) bool { return s.Client == client && s.Config == "" })
	if len(chosen) < 3 {
		t.Fatalf("%d scenarios share the client of %q", len(chosen), first)
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

// runAtOnce sends every message that needs no config at the same time, each
// over a connection of its own.
func runAtOnce(t *testing.T, r rig) {
	chosen := choose(loadScenarios(t), func(s *scenario.Scenario) bool { return s.Config == "" })
	r.serve(t, dnstest.MustParse(t, mergeZones(chosen)), "")
	t.Run("all", func(t *testing.T) { // ends when they all have, before the milter does
		for _, s := range chosen {
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel()
				s.Check(t, r.mta.Deliver(t, s.Client, s.Message)[0], false)
			})
		}
	})
}

// runStop ends the milter while it waits for a key: the message still gets its
// verdict, and the milter ends with status 0.
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
				t.Errorf("the message was delivered without a question for %s", key)
				return
			case <-time.After(time.Millisecond):
			}
		}
		d.Terminate()
	})
	delivery := func() mta.Delivery {
		defer close(delivered) // also where it fails
		return r.mta.Deliver(t, s.Client, s.Message)[0]
	}()
	watcher.Wait()
	d.Stop(t)
	s.Check(t, delivery, false)
}

// runReload gives the milter a bad configuration, which changes nothing, and
// then a good one, which is in force for the next message.
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
		t.Errorf("after the reload: %q, want %q", top, want)
	}
}

func choose(all []*scenario.Scenario, by func(*scenario.Scenario) bool) []*scenario.Scenario {
	return slices.DeleteFunc(all, func(s *scenario.Scenario) bool { return !by(s) })
}

// mergeZones returns one zone for several scenarios, which share many lines. A
// scenario without config must want nothing that records of the others change.
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
