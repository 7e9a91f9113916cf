package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"authmilter/policy"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
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
