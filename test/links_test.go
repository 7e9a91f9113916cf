package test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	// code matches text in which brackets are not links.
	code = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
)

// TestLinks checks that each link in the documentation leads somewhere, and
// that every page can be reached from the README.
func TestLinks(t *testing.T) {
	pages := allPages(t)
	if len(pages) < 10 {
		t.Errorf("only %d pages", len(pages))
	}
	links := map[string][]string{}
	for _, page := range pages {
		links[page] = checkLinks(t, page)
	}
	reached := []string{"README.md"}
	for i := 0; i < len(reached); i++ {
		for _, to := range links[reached[i]] {
			if !slices.Contains(reached, to) {
				reached = append(reached, to)
			}
		}
	}
	for _, page := range pages {
		if !slices.Contains(reached, page) {
			t.Errorf("no link leads to %s", page)
		}
	}
}

// allPages returns all pages, by their paths in the repository.
func allPages(t *testing.T) (pages []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			pages = append(pages, strings.TrimPrefix(path, "../"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// checkLinks checks the links on a page, and returns the files that they lead
// to.
func checkLinks(t *testing.T, page string) (files []string) {
	t.Helper()
	for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(readPage(t, page), ""), -1) {
		if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
			continue
		}
		file, anchor, _ := strings.Cut(m[1], "#")
		to := page
		if file != "" {
			to = path.Join(path.Dir(page), file)
		}
		if _, err := os.Stat("../" + to); err != nil {
			t.Errorf("%s: the link to %s leads nowhere", page, m[1])
			continue
		}
		if anchor != "" && !slices.Contains(anchors(readPage(t, to)), anchor) {
			t.Errorf("%s: %s has no heading for %s", page, to, anchor)
		}
		files = append(files, to)
	}
	return files
}

// anchors returns the anchors that headings get when Markdown is rendered.
func anchors(text string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case strings.ContainsRune("`.,:;()[]'\"/?!=&*+%", r):
				return -1
			}
			return r
		}, strings.ToLower(m[1]))
		all = append(all, anchor)
	}
	return all
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile("../" + page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// named matches the tests and scenarios that a page names.
var (
	namedTest     = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	namedScenario = regexp.MustCompile("`((?:attack|forged|override|local|enforce)-[a-z-]+)(\\*?)`")
)

// TestNamedTests checks that every test that docs/security.md cites exists.
func TestNamedTests(t *testing.T) {
	text := readPage(t, "docs/security.md")
	defined := definedTests(t)
	names := namedTest.FindAllString(text, -1)
	if len(names) < 20 {
		t.Errorf("only %d tests are named", len(names))
	}
	for _, name := range names {
		if !slices.Contains(defined, name) {
			t.Errorf("there is no %s", name)
		}
	}
	for _, m := range namedScenario.FindAllStringSubmatch(text, -1) {
		if found, _ := filepath.Glob("testdata/scenarios/" + m[1] + m[2] + ".txtar"); len(found) == 0 {
			t.Errorf("there is no scenario %s%s", m[1], m[2])
		}
	}
}

// definedTests returns the names of all tests, fuzz targets and benchmarks.
func definedTests(t *testing.T) (names []string) {
	t.Helper()
	definition := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range definition.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
