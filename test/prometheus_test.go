package test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"authmilter/test/daemon"
	"authmilter/test/mta"
	"authmilter/test/prometheus"
	"authmilter/test/scenario"
	"authmilter/verify/dns/dnstest"
)

// TestPrometheus sends mail of every kind through Postfix while Prometheus
// scrapes the milter, with classic histograms and with native ones. The
// dashboard then has something to show, and the rules are right.
func TestPrometheus(t *testing.T) {
	port := mta.FreePort(t)
	r := rig{
		mta:    mta.StartPostfix(t, fmt.Sprintf("inet:127.0.0.1:%d", port)),
		listen: fmt.Sprintf("inet:%d@127.0.0.1", port),
	}
	chosen := watchedScenarios(t)
	zone := dnstest.MustParse(t, mergeZones(chosen))
	publish(t, zone, "arc", "example.org", "rsa1024")
	publish(t, zone, "s1", mta.Domain, "rsa2048")
	d := r.serve(t, zone, fmt.Sprintf(watchedConfig, keyPath(t, "rsa1024"), mta.Domain, keyPath(t, "rsa2048")))
	d.WaitMetric(t, `authmilter_key_state{domain="example.org",selector="arc",state="ok",use="seal"}`, 1)

	config := prometheusConfig(t, d.Config.Metrics)
	servers := map[string]*prometheus.Server{
		"classic": prometheus.Start(t, config),
		"native":  prometheus.Start(t, config, "native-histograms"),
	}
	for _, s := range servers {
		// Wait until it has every counter at 0.
		waitFor(t, s, `authmilter_messages_limit`, func(v float64) bool { return v > 0 })
	}
	before := d.Metrics(t)
	for _, s := range chosen {
		r.mta.Deliver(t, s.Client, s.Message)
	}
	after := d.Metrics(t)
	for _, s := range servers {
		waitFor(t, s, `sum(authmilter_messages_total) + sum(authmilter_messages_skipped_total)`, func(v float64) bool { return v == float64(len(chosen)) })
		waitFor(t, s, `count_over_time(authmilter_panics_total[1m])`, func(v float64) bool { return v > 2 })
	}

	// Otherwise the second server would only repeat the first.
	waitFor(t, servers["native"], `histogram_count(authmilter_eom_duration_seconds)`, func(v float64) bool { return v > 0 })

	t.Run("metrics", func(t *testing.T) { checkMetrics(t, d) })
	t.Run("series", func(t *testing.T) {
		for name := range after {
			if _, ok := before[name]; !ok {
				t.Errorf("%s appeared with the mail", name)
			}
		}
		if len(after) > 800 { // docs/monitoring.md says about 600
			t.Errorf("%d series", len(after))
		}
	})
	t.Run("names", func(t *testing.T) { checkNames(t, after) })
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			t.Run("dashboard", func(t *testing.T) { checkDashboard(t, s) })
			t.Run("rules", func(t *testing.T) { checkRules(t, s) })
		})
	}
}

// watched are the scenarios whose messages are sent. Together they have every
// disposition, and results of every method.
var watched = []string{
	"signed", "signed-ed25519", "broken-body", "no-key", "unsigned", "null-sender", "subdomain", "spoofed",
	"forged-eight", "dead-dns", "arc-trusted", "arc-broken", "authenticated", "local",
	"enforce-reject", "enforce-quarantine", "enforce-testing", "override-list",
}

// watchedConfig takes the file of the sealing key, then the domain and the file
// of the signing key.
const watchedConfig = `policy.mode = "enforce"
policy.temperror.dmarc = "tempfail"
dns.timeout = "300ms"
iprev.check = true
arc.trusted_sealers = ["hop1.example"]
arc.seal = true
arc.domain = "example.org"
arc.selector = "arc"
arc.key_file = %q
metrics.author_domains = ["example.com"]
[[sign]]
domain = %q
selector = "s1"
key_file = %q
[[override]]
name = "lists"
action = "accept"
list_id = ["lists.example"]
`

// prometheusConfig writes the example from deploy/prometheus for a milter with
// its metrics at addr, scraped more often than an admin would.
func prometheusConfig(t *testing.T, addr string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"authmilter.yml", "rules.yml"} {
		text, err := os.ReadFile("../deploy/prometheus/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "authmilter.yml" {
			text = []byte(replaceEach(t, string(text),
				"scrape_interval: 15s", "scrape_interval: 500ms\n  scrape_timeout: 500ms",
				"evaluation_interval: 15s", "evaluation_interval: 1s",
				"- 127.0.0.1:9894", "- "+addr))
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "authmilter.yml")
}

// replaceEach replaces texts, each of which must occur exactly once.
func replaceEach(t *testing.T, text string, oldNew ...string) string {
	t.Helper()
	for pair := range slices.Chunk(oldNew, 2) {
		if strings.Count(text, pair[0]) != 1 {
			t.Fatalf("%q does not occur exactly once", pair[0])
		}
		text = strings.Replace(text, pair[0], pair[1], 1)
	}
	return text
}

// waitFor returns once wanted accepts the value of an expression.
func waitFor(t *testing.T, s *prometheus.Server, expr string, wanted func(float64) bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		samples, err := s.Query(expr)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		if len(samples) == 1 && wanted(samples[0].Value) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %v", expr, samples)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// checkMetrics checks that promtool has no complaints about /metrics.
func checkMetrics(t *testing.T, d *daemon.Daemon) {
	resp, err := http.Get("http://" + d.Config.Metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := prometheus.Promtool(t, string(text), "check", "metrics"); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// checkDashboard checks that each query of the dashboard returns numbers with
// the labels that its legend shows.
func checkDashboard(t *testing.T, s *prometheus.Server) {
	d := readDashboard(t)
	for _, a := range d.Annotations.List {
		if _, err := s.Query(target{Expr: a.Expr}.fill("1m")); a.Expr != "" && err != nil {
			t.Errorf("annotation %s: %v", a.Name, err)
		}
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			samples, err := s.Query(q.fill("1m"))
			if err != nil {
				t.Errorf("%s: %v\n%s", p.name(q), err, q.Expr)
				continue
			}
			if !slices.ContainsFunc(samples, func(s prometheus.Sample) bool { return !math.IsNaN(s.Value) }) {
				t.Errorf("%s: nothing to show: %v\n%s", p.name(q), samples, q.Expr)
			}
			for _, label := range legendLabel.FindAllStringSubmatch(q.LegendFormat, -1) {
				if !slices.ContainsFunc(samples, func(s prometheus.Sample) bool { return s.Labels[label[1]] != "" }) {
					t.Errorf("%s: the legend shows the label %s, which no series has", p.name(q), label[1])
				}
			}
		}
	}
}

var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)

// checkRules checks that the server evaluates every rule, and that no alert
// fires: nothing is wrong for long enough.
func checkRules(t *testing.T, s *prometheus.Server) {
	want := len(readRules(t))
	deadline := time.Now().Add(2 * time.Minute)
	rules, err := s.Rules()
	for err == nil && slices.ContainsFunc(rules, func(r prometheus.Rule) bool { return r.Health == "unknown" }) && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		rules, err = s.Rules()
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) != want {
		t.Errorf("%d rules, want %d", len(rules), want)
	}
	for _, r := range rules {
		if r.Health != "ok" || r.State == "firing" {
			t.Errorf("%s: %s %s %s", r.Name, r.Health, r.State, r.LastError)
		}
		if r.Type != "recording" {
			continue
		}
		if samples, err := s.Query(r.Name); err != nil || len(samples) == 0 {
			t.Errorf("%s has no samples: %v", r.Name, err)
		}
	}
}

// checkNames checks that the dashboard and the rules use only metrics, labels
// and values that the milter has.
func checkNames(t *testing.T, samples map[string]float64) {
	known := readSeries(t, samples)
	known["up"] = []map[string]string{{}}
	rules := readRules(t)
	for _, r := range rules {
		if r.Record != "" {
			known[r.Record] = nil
		}
	}
	for _, r := range rules {
		checkExpr(t, r.Record+r.Alert, r.Expr, known)
	}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			checkExpr(t, p.name(q), q.fill("1m"), known)
		}
	}
	for _, a := range d.Annotations.List {
		checkExpr(t, a.Name, target{Expr: a.Expr}.fill("1m"), known)
	}
}

// readSeries returns the labels of each series, by metric. A histogram is
// listed under its own name too, as a native histogram.
func readSeries(t *testing.T, samples map[string]float64) map[string][]map[string]string {
	t.Helper()
	series := map[string][]map[string]string{}
	for text := range samples {
		e := prometheus.ParseExpr(text)
		if len(e.Selectors) != 1 {
			t.Fatalf("%s is not a series", text)
		}
		s := e.Selectors[0]
		labels := map[string]string{}
		for _, m := range s.Matchers {
			labels[m.Label] = m.Value
		}
		series[s.Metric] = append(series[s.Metric], labels)
		if histogram, ok := strings.CutSuffix(s.Metric, "_bucket"); ok {
			series[histogram] = append(series[histogram], labels)
		}
	}
	return series
}

// checkExpr checks an expression against the known series. A metric whose
// series are nil is a recorded one.
func checkExpr(t *testing.T, where, expr string, known map[string][]map[string]string) {
	t.Helper()
	e := prometheus.ParseExpr(expr)
	labels, recorded := []string{"job", "instance"}, false
	for _, s := range e.Selectors {
		series, ok := known[s.Metric]
		if !ok {
			t.Errorf("%s: there is no metric %s", where, s.Metric)
		}
		recorded = recorded || series == nil
		for _, one := range series {
			for label := range one {
				labels = append(labels, label)
			}
		}
		for _, m := range s.Matchers {
			if m.Label == "job" || m.Label == "instance" || m.Value == "" || series == nil {
				continue
			}
			for _, value := range m.Alternatives() {
				if !slices.ContainsFunc(series, func(one map[string]string) bool { return one[m.Label] == value }) {
					t.Errorf("%s: %s has no %s=%q", where, s.Metric, m.Label, value)
				}
			}
		}
	}
	for _, label := range e.Labels {
		if !recorded && !slices.Contains(labels, label) {
			t.Errorf("%s: there is no label %s to group by", where, label)
		}
	}
}

// TestPromtool checks that promtool finds nothing wrong with the rules and the
// example, and that each alert fires when it should and only then.
func TestPromtool(t *testing.T) {
	const dir = "../deploy/prometheus/"
	// For go test, which caches a result until something changes that the test
	// itself opened.
	if _, err := os.ReadDir(dir); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", dir + "rules.yml"},
		{"check", "config", "--lint=all", "--lint-fatal", dir + "authmilter.yml"},
		{"test", "rules", dir + "rules_test.yml", dir + "rules_day_test.yml"},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			t.Parallel()
			if out, err := prometheus.Promtool(t, "", args...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// watchedScenarios returns the scenarios whose messages are sent.
func watchedScenarios(t *testing.T) []*scenario.Scenario {
	t.Helper()
	all := loadScenarios(t)
	var chosen []*scenario.Scenario
	for _, name := range watched {
		chosen = append(chosen, findScenario(t, all, name))
	}
	return chosen
}
