package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"authmilter/policy"
	"authmilter/verify/dkim"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// makeKey writes a private key to a file and returns its path.
func makeKey(t *testing.T) string {
	t.Helper()
	key, err := dkim.NewPrivateKey(dkim.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKeysAreDocumented checks that docs/configuration.md documents exactly the
// existing keys.
func TestKeysAreDocumented(t *testing.T) {
	text := readDoc(t, "configuration.md")
	types := keyTypes()
	for _, c := range policy.Conditions() {
		delete(types, "override."+c.Name()) // see TestConditionsAreDocumented
	}
	if len(types) < 30 {
		t.Errorf("only %d keys", len(types))
	}
	for key, typ := range types {
		if typ.Kind() == reflect.Slice && wanted(typ.Elem()) == aTable || wanted(typ) == aTable {
			continue
		}
		if !strings.Contains(text, "`"+key+"`") {
			t.Errorf("%s is not documented", key)
		}
	}
	for line := range strings.Lines(text) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		for name := range strings.SplitSeq(cell, ", ") {
			if types[strings.Trim(name, "`")] == nil {
				t.Errorf("%s is documented but not a key", name)
			}
		}
	}
}

// TestConditionsAreDocumented checks that the table in docs/policy.md documents
// exactly the conditions of an override.
func TestConditionsAreDocumented(t *testing.T) {
	_, section, _ := strings.Cut(readDoc(t, "policy.md"), "## Overrides\n")
	_, table, _ := strings.Cut(section, "| key | matches |")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 5 && strings.HasPrefix(line, "| `") {
			documented[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[3])
		}
	}
	for _, c := range policy.Conditions() {
		several, ok := documented[c.Name()]
		if !ok {
			t.Errorf("%s is not documented", c.Name())
		}
		if anyOrAll := several == "tightens if one matches, loosens if all do"; anyOrAll != c.Several() {
			t.Errorf("%s: %q", c.Name(), several)
		}
		delete(documented, c.Name())
	}
	for name := range documented {
		t.Errorf("%s is documented but not a condition", name)
	}
}

// TestExamplesLoad checks that every configuration example in the documentation is
// valid.
func TestExamplesLoad(t *testing.T) {
	key := makeKey(t)
	keyFile := regexp.MustCompile(`"/etc/authmilter/[^"]*"`)
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range append(pages, "../README.md") {
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
			cfg, err := Load(path)
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
