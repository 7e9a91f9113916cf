package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
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

// TestKeysAreDocumented holds docs/configuration.md to the keys there are.
func TestKeysAreDocumented(t *testing.T) {
	text := readDoc(t, "configuration.md")
	types := map[string]reflect.Type{}
	keyTypes(types, "", reflect.TypeFor[Config]())
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
				t.Errorf("%s is documented and no key", name)
			}
		}
	}
}

// TestResultsAreDocumented holds docs/results.md to the results and reasons
// there are.
func TestResultsAreDocumented(t *testing.T) {
	text := readDoc(t, "results.md")
	sections := strings.Split(text, "\n## ")
	if len(sections) != 6 {
		t.Fatalf("%d sections", len(sections))
	}
	signatures, sender, author, chains := sections[1], sections[2], sections[3], sections[4]
	for _, s := range dkim.Statuses() {
		if !strings.Contains(signatures, "\n| `"+string(s)+"` |") {
			t.Errorf("dkim=%s is not documented", s)
		}
	}
	for _, s := range spf.Statuses() {
		if !strings.Contains(sender, "\n| `"+string(s)+"` |") {
			t.Errorf("spf=%s is not documented", s)
		}
	}
	for _, s := range dmarc.Statuses() {
		if !strings.Contains(author, "\n| `"+string(s)+"`") {
			t.Errorf("dmarc=%s is not documented", s)
		}
	}
	for _, s := range arc.Statuses() {
		if !strings.Contains(chains, "\n| `"+string(s)+"` |") {
			t.Errorf("arc=%s is not documented", s)
		}
	}
	for file, section := range map[string]string{
		"../../verify/dkim/result.go": signatures,
		"../../verify/dmarc/dmarc.go": author,
		"../../verify/arc/result.go":  chains,
	} {
		for _, reason := range reasons(t, file) {
			if !strings.Contains(section, "| `"+reason+"` |") {
				t.Errorf("the reason %s is not documented", reason)
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
	if len(values) < 5 {
		t.Fatalf("%s: only %d reasons", file, len(values))
	}
	return values
}

// TestBoundsAreThere holds docs/bounds.md to names that the code has: each file
// that it names exists and declares the constant named after it.
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
				t.Errorf("%s holds no %s", w, words[i+2])
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d bounds", seen)
	}
}
