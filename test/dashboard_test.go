package test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// dashboard is the part of deploy/grafana/authmilter.json that these tests
// read.
type dashboard struct {
	UID        string
	Panels     []panel
	Templating struct {
		List []struct {
			Name, Type string
			Datasource dataSource
		}
	}
	Annotations struct {
		List []struct{ Name, Expr string }
	}
}

type dataSource struct{ UID string }

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               dataSource
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []target
}

type target struct{ RefID, Expr, LegendFormat string }

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile("../deploy/grafana/authmilter.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// rule is a recording rule or an alert of deploy/prometheus/rules.yml.
type rule struct {
	Record, Alert, Expr string
	For                 *string
	Labels, Annotations map[string]string
}

func readRules(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile("../deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// TestDashboard checks that the dashboard's panels have everything that makes
// them useful, and do not overlap.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	ids, titles, taken := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || titles[p.Title] {
			t.Errorf("there are two of panel %d, %q", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q overlaps %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%q lacks a description, the variable for its data source, or a query", p.Title)
		}
		for _, q := range p.Targets {
			if q.LegendFormat == "" && p.Type == "timeseries" {
				t.Errorf("%q: %s has no legend", p.Title, q.RefID)
			}
			if !strings.Contains(q.Expr, `{job=~"$job", instance=~"$instance"`) {
				t.Errorf("%q: %s does not use the variables", p.Title, q.RefID)
			}
		}
		if p.Type == "timeseries" && p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("%q has no unit", p.Title)
		}
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
		if v.Type == "query" && v.Datasource.UID != "${datasource}" {
			t.Errorf("the variable %s uses another data source", v.Name)
		}
	}
	if want := []string{"datasource", "job", "instance"}; !slices.Equal(variables, want) {
		t.Errorf("variables %v, want %v", variables, want)
	}
}

// TestAlertsAreDocumented checks that each alert says what an admin needs, has
// its section in docs/monitoring.md, and refers only to panels that exist.
func TestAlertsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]bool{} // titles of panels and rows
	mentioned := string(page)
	for _, p := range readDashboard(t).Panels {
		places[p.Title] = true
		mentioned += p.Description
	}
	alerts := map[string]bool{}
	for _, r := range readRules(t) {
		if r.Alert == "" {
			continue
		}
		alerts[r.Alert] = true
		if r.For == nil || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
			t.Errorf("%s lacks \"for\", a severity or a summary", r.Alert)
		}
		description := r.Annotations["description"]
		if !strings.HasSuffix(description, "See docs/monitoring.md, "+r.Alert+".") {
			t.Errorf("%s does not refer to its section", r.Alert)
		}
		if !strings.Contains(string(page), "\n### "+r.Alert+"\n") {
			t.Errorf("docs/monitoring.md has no section %s", r.Alert)
		}
		checkPlaces(t, r.Alert, description, places)
	}
	checkPlaces(t, "docs/monitoring.md", string(page), places)
	for _, name := range regexp.MustCompile(`Authmilter[A-Z]\w+`).FindAllString(mentioned, -1) {
		if !alerts[name] {
			t.Errorf("there is no alert %s", name)
		}
	}
}

// checkPlaces checks that the panels and rows that a text names exist.
func checkPlaces(t *testing.T, where, text string, places map[string]bool) {
	t.Helper()
	text = strings.Join(strings.Fields(text), " ")
	for _, named := range regexp.MustCompile(`(?:panels?|row) "([^"]+)"(?: and "([^"]+)")?(?: and "([^"]+)")?`).FindAllStringSubmatch(text, -1) {
		for _, title := range named[1:] {
			if title != "" && !places[title] {
				t.Errorf("%s: the dashboard has no %q", where, title)
			}
		}
	}
}

// fill returns an expression of the dashboard as Grafana sends it when all
// instances are selected.
func (q target) fill(window string) string {
	return strings.NewReplacer("$job", "authmilter", "$instance", ".+", "$__rate_interval", window).Replace(q.Expr)
}

// name names a target in test messages.
func (p panel) name(q target) string { return fmt.Sprintf("%s, query %s", p.Title, q.RefID) }
