package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"authmilter/config"
	"authmilter/metrics"
	"authmilter/milter"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/iprev"
	"authmilter/verify/spf"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestResultsAreDocumented checks that the tables in docs/results.md list exactly the
// existing results and reasons.
func TestResultsAreDocumented(t *testing.T) {
	outcomes := map[string][]string{}
	for _, o := range dkim.Outcomes() {
		outcomes["DKIM"] = append(outcomes["DKIM"], outcome(o.Status, o.Reason))
	}
	for _, o := range spf.Outcomes() {
		outcomes["SPF"] = append(outcomes["SPF"], outcome(o.Status, o.Reason))
	}
	for _, o := range iprev.Outcomes() {
		outcomes["iprev"] = append(outcomes["iprev"], outcome(o.Status, o.Reason))
	}
	for _, o := range dmarc.Outcomes() {
		outcomes["DMARC"] = append(outcomes["DMARC"], outcome(o.Status, o.Reason))
	}
	for _, o := range arc.Outcomes() {
		outcomes["ARC"] = append(outcomes["ARC"], outcome(o.Status, o.Reason))
	}
	for _, section := range strings.Split(readDoc(t, "results.md"), "\n## ")[1:] {
		name := section[:strings.IndexAny(section, ", \n")]
		want, ok := outcomes[name]
		if !ok {
			continue
		}
		delete(outcomes, name)
		got := documentedOutcomes(section)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%q\nwant\n%q", name, got, want)
		}
	}
	for name := range outcomes {
		t.Errorf("no section about %s", name)
	}
}

func outcome[S, R ~string](s S, r R) string { return string(s) + " " + string(r) }

// documentedOutcomes returns the outcomes in the first two cells of each row of a
// table. Several words in a cell stand for several outcomes.
func documentedOutcomes(table string) (all []string) {
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(line, "| `") {
			continue
		}
		for status := range strings.SplitSeq(cells[1], ",") {
			for reason := range strings.SplitSeq(cells[2], ",") {
				all = append(all, outcome(strings.Trim(status, " `"), strings.Trim(reason, " `")))
			}
		}
	}
	return all
}

// TestReasonsAreOutcomes checks that the Outcomes of each method include every
// constant of its type Reason.
func TestReasonsAreOutcomes(t *testing.T) {
	used := map[string]bool{}
	for _, o := range dkim.Outcomes() {
		used["dkim/result.go "+string(o.Reason)] = true
	}
	for _, o := range spf.Outcomes() {
		used["spf/result.go "+string(o.Reason)] = true
	}
	for _, o := range iprev.Outcomes() {
		used["iprev/result.go "+string(o.Reason)] = true
	}
	for _, o := range dmarc.Outcomes() {
		used["dmarc/result.go "+string(o.Reason)] = true
	}
	for _, o := range arc.Outcomes() {
		used["arc/result.go "+string(o.Reason)] = true
	}
	for _, file := range []string{"dkim/result.go", "spf/result.go", "iprev/result.go", "dmarc/result.go", "arc/result.go"} {
		for _, reason := range reasons(t, "../../verify/"+file) {
			if !used[file+" "+reason] {
				t.Errorf("%s: %s is in no outcome", file, reason)
			}
		}
	}
}

// reasons returns the values of the constants of the type Reason in a file.
func reasons(t *testing.T, file string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != "Reason" {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
		return true
	})
	if len(values) < 4 {
		t.Fatalf("%s: only %d reasons", file, len(values))
	}
	return values
}

// TestMetricsAreDocumented checks the table in docs/metrics.md against the metrics, or
// rewrites it if AUTHMILTER_UPDATE is set.
func TestMetricsAreDocumented(t *testing.T) {
	m := metrics.New(metrics.Config{ProtocolErrors: words(milter.Violations()), Stages: words(milter.Stages())})
	m.ListenerAdded("inet:8894@127.0.0.1")
	m.KeyState("seal", "example.org", "s1", "ok")
	m.SetAuthorDomains([]string{"example.org"})
	list, err := m.Descriptions()
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| metric | type, labels | what it is |\n| --- | --- | --- |\n")
	for _, d := range list {
		fmt.Fprintf(&table, "| `%s` | %s%s | %s |\n", d.Name, d.Type, labelsCell(d), d.Help)
	}
	text := readDoc(t, "metrics.md")
	begin := strings.Index(text, "| metric |")
	end := begin + strings.Index(text[begin:], "\n\n") + 1
	if os.Getenv("AUTHMILTER_UPDATE") != "" {
		text = text[:begin] + table.String() + text[end:]
		if err := os.WriteFile("../../docs/metrics.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text[begin:end] != table.String() {
		t.Errorf("docs/metrics.md is not up to date (make golden):\n%s", table.String())
	}
}

// labelsCell returns the labels of a metric, with their values if the set of values is
// known and short.
func labelsCell(d metrics.Description) string {
	const long = 20
	// Labels whose values depend on the configuration or the build.
	open := []string{"listener", "domain", "selector", "author_domain", "version", "revision", "goversion"}
	var cell strings.Builder
	for _, l := range d.Labels {
		fmt.Fprintf(&cell, "<br>`%s`", l.Name)
		if !slices.Contains(open, l.Name) && len(l.Values) > 0 && len(l.Values) <= long {
			fmt.Fprintf(&cell, ": %s", strings.Join(l.Values, ", "))
		}
	}
	return cell.String()
}

// TestBoundsAreThere checks that each file named in docs/bounds.md exists and declares
// the constant named after it.
func TestBoundsAreThere(t *testing.T) {
	seen := 0
	for line := range strings.Lines(readDoc(t, "bounds.md")) {
		words := strings.Split(line, "`")
		for i, w := range words {
			if i%2 == 0 || !strings.HasSuffix(w, ".go") || !strings.Contains(w, "/") {
				continue
			}
			seen++
			source, err := os.ReadFile("../../" + w)
			if err != nil {
				t.Error(err)
				continue
			}
			if i+2 < len(words) && words[i+1] == " " && !strings.Contains(string(source), words[i+2]) {
				t.Errorf("%s does not contain %s", w, words[i+2])
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d bounds", seen)
	}
}

// TestExamplesLoad checks that every configuration example in the documentation is
// valid.
func TestExamplesLoad(t *testing.T) {
	key, _ := makeKey(t)
	keyFile := regexp.MustCompile(`"/etc/authmilter/[^"]*"`)
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		page = filepath.Base(page)
		for i, block := range strings.Split(string(text), "```toml\n")[1:] {
			block, _, _ = strings.Cut(block, "```")
			seen++
			path := filepath.Join(t.TempDir(), page)
			if err := os.WriteFile(path, []byte(keyFile.ReplaceAllString(block, strconv.Quote(key))), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(path)
			if err != nil {
				t.Errorf("%s, example %d: %v\n%s", page, i+1, err, block)
				continue
			}
			for _, w := range cfg.Warnings() {
				t.Errorf("%s, example %d: %s", page, i+1, w)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d examples", seen)
	}
}

// TestLogLinesAreThere checks that the code writes every log line that the
// documentation quotes.
func TestLogLinesAreThere(t *testing.T) {
	var sources strings.Builder
	for _, pattern := range []string{"*.go", "../../milter/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(text)
		}
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile(`msg=("[^"]*")`)
	seen := 0
	for _, page := range pages {
		for _, m := range quoted.FindAllStringSubmatch(readDoc(t, filepath.Base(page)), -1) {
			seen++
			if !strings.Contains(sources.String(), "("+m[1]) {
				t.Errorf("%s: nothing logs %s", page, m[1])
			}
		}
	}
	if seen < 4 {
		t.Errorf("only %d lines", seen)
	}
}

// TestMTALines checks that the MTA settings in the documentation match what
// "config check" prints for the addresses in its examples.
func TestMTALines(t *testing.T) {
	var printed []string
	for _, address := range []string{
		"inet:8894@127.0.0.1", "unix:/var/spool/postfix/authmilter/authmilter.sock", "unix:/run/authmilter/authmilter.sock",
	} {
		a, err := milter.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		printed = append(printed, strings.Split(a.MTALines(), "\n")...)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			if !strings.HasPrefix(line, "smtpd_milters = ") && !strings.HasPrefix(line, "INPUT_MAIL_FILTER(") {
				continue
			}
			seen++
			if !slices.Contains(printed, line) {
				t.Errorf("%s: %s", filepath.Base(page), line)
			}
		}
	}
	if seen < 6 {
		t.Errorf("only %d lines", seen)
	}
}
