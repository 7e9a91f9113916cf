package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "authmilter"

// house lists, for each package, our packages that it may import: the arrows of
// ARCHITECTURE.md. A package that is missing here fails the test.
var house = map[string][]string{
	"cmd/authmilter": {"config", "milter", "metrics", "web", "web/...", "policy", "verify", "verify/..."},
	"milter":         {"policy", "verify", "verify/..."},
	"config":         {"milter", "policy", "verify", "verify/..."},
	"metrics":        {"policy", "verify", "verify/..."},
	"policy":         {"verify", "verify/..."},
	"verify":         {"verify/..."},

	"web":            {},
	"web/statuspage": {"policy", "verify", "verify/..."},

	"verify/arc":   {"verify/dkim", "verify/message", "verify/dns", "verify/authres", "verify/domain", "verify/clean", "verify/ascii", "verify/fault"},
	"verify/dkim":  {"verify/message", "verify/dns", "verify/domain", "verify/clean", "verify/ascii", "verify/fault"},
	"verify/dmarc": {"verify/dns", "verify/domain", "verify/clean", "verify/ascii", "verify/fault"},
	"verify/spf":   {"verify/dns", "verify/domain", "verify/clean", "verify/ascii", "verify/fault"},
	"verify/iprev": {"verify/dns", "verify/domain", "verify/clean", "verify/ascii", "verify/fault"},

	"verify/trace": {"verify/message"},

	"verify/message": {"verify/domain", "verify/clean", "verify/ascii"},
	"verify/dns":     {"verify/domain", "verify/clean", "verify/ascii", "verify/regular"},
	"verify/authres": {"verify/domain", "verify/clean", "verify/ascii"},
	"verify/domain":  {"verify/ascii"},
	"verify/clean":   {},
	"verify/ascii":   {},
	"verify/fault":   {},
	"verify/regular": {},

	"verify/dns/dnstest": {"verify/dns"},
}

// homes lists, for each third-party library, the packages that may import it,
// tests included. Packages below test may import anything.
var homes = map[string][]string{
	"github.com/d--j/go-milter":           {"milter"},
	"github.com/miekg/dns":                {"verify/dns", "verify/dns/dnstest"},
	"github.com/prometheus/client_golang": {"metrics"},
	"github.com/spf13/cobra":              {"cmd/authmilter"},
	"github.com/pelletier/go-toml/v2":     {"config"},
	"github.com/coreos/go-systemd/v22":    {"cmd/authmilter"},
	"github.com/rogpeppe/go-internal":     {"cmd/authmilter"},
	"github.com/emersion/go-msgauth":      {"milter"},
	"golang.org/x/net/idna":               {"verify/domain"},
	"golang.org/x/net/netutil":            {"web"},
	"golang.org/x/net/publicsuffix":       {"verify/dmarc"},
	"gopkg.in/yaml.v3":                    {"verify/spf", "verify/arc"},
}

// pure are the packages that only parse and evaluate: they start no goroutine,
// read no clock, write no log and keep no state.
var pure = []string{
	"verify/arc", "verify/dkim", "verify/dmarc", "verify/spf", "verify/iprev", "verify/trace", "verify/message", "verify/authres",
	"verify/domain", "verify/clean", "verify/ascii", "verify/fault", "policy",
}

// source is one Go file.
type source struct {
	path string // below the root, with slashes
	pkg  string
	test bool
	file *ast.File
}

// sources returns the Go files of the project.
func sources(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	fset := token.NewFileSet()
	var all []source
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == "testdata" || path != ".." && strings.HasPrefix(name, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("..", path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		all = append(all, source{
			path: rel,
			pkg:  filepath.ToSlash(filepath.Dir(rel)),
			test: strings.HasSuffix(name, "_test.go"),
			file: file,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no Go files")
	}
	return fset, all
}

func belowTest(pkg string) bool { return pkg == "test" || strings.HasPrefix(pkg, "test/") }

// within reports whether path is name or lies below it.
func within(path, name string) bool { return path == name || strings.HasPrefix(path, name+"/") }

func TestArrowsPointDownward(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		if belowTest(s.pkg) {
			continue
		}
		allowed, known := house[s.pkg]
		if !known {
			t.Errorf("%s: package %s is missing from house", s.path, s.pkg)
			continue
		}
		for _, spec := range s.file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			own, ours := strings.CutPrefix(path, module+"/")
			if ours && !mayImport(s, own, allowed) {
				t.Errorf("%s imports %s", s.path, own)
			}
			for library, rooms := range homes {
				if within(path, library) && !slices.Contains(rooms, s.pkg) {
					t.Errorf("%s imports %s, which only %v may import", s.path, path, rooms)
				}
			}
		}
	}
}

// forTests are the packages that every test may import.
var forTests = []string{"verify/dns/dnstest", "test/bench/corpus", "test/need", "test/output", "test/paths"}

// mayImport reports whether s may import our package own. Tests may also import
// packages that are meant for tests, and packages that the package under test
// does not import, but nothing above it.
func mayImport(s source, own string, allowed []string) bool {
	if own == s.pkg {
		return s.test
	}
	if slices.Contains(forTests, own) {
		return s.test
	}
	if s.test && within(own, "verify") && within(s.pkg, "verify") && own != "verify" {
		return true
	}
	for _, a := range allowed {
		below, tree := strings.CutSuffix(a, "/...")
		if own == a || tree && within(own, below) {
			return true
		}
	}
	return false
}

func TestPurePackages(t *testing.T) {
	fset, all := sources(t)
	for _, s := range all {
		if s.test || !slices.Contains(pure, s.pkg) {
			continue
		}
		for _, spec := range s.file.Imports {
			switch path, _ := strconv.Unquote(spec.Path.Value); path {
			case "log", "log/slog", "os", "net", "net/http", "sync", "sync/atomic", "math/rand", "math/rand/v2":
				t.Errorf("%s imports %s", s.path, path)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", fset.Position(n.Pos()))
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s: init", fset.Position(n.Pos()))
				}
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				if !ok {
					return true
				}
				switch pkg.Name + "." + n.Sel.Name {
				case "time.Now", "time.Since", "time.Until", "time.After", "time.NewTimer", "time.Sleep", "fmt.Print", "fmt.Printf", "fmt.Println":
					t.Errorf("%s: %s.%s", fset.Position(n.Pos()), pkg.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestNothingAssignsToPackageVariables checks that no package variable is ever
// changed, except those that the linker sets.
func TestNothingAssignsToPackageVariables(t *testing.T) {
	fset, all := sources(t)
	vars := map[string]map[string]bool{} // by package
	for _, s := range all {
		if s.test {
			continue
		}
		for _, decl := range s.file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if vars[s.pkg] == nil {
						vars[s.pkg] = map[string]bool{}
					}
					vars[s.pkg][name.Name] = true
				}
			}
		}
	}
	for _, s := range all {
		if s.test || belowTest(s.pkg) {
			continue
		}
		for _, decl := range s.file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			local := locals(fn)
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				assign, ok := n.(*ast.AssignStmt)
				if !ok || assign.Tok == token.DEFINE {
					return true
				}
				for _, target := range assign.Lhs {
					if name := root(target); name != "" && vars[s.pkg][name] && !local[name] {
						t.Errorf("%s assigns to the package variable %s", fset.Position(assign.Pos()), name)
					}
				}
				return true
			})
		}
	}
}

// locals returns the names that fn declares.
func locals(fn *ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	fields := []*ast.FieldList{fn.Recv, fn.Type.Params, fn.Type.Results}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			fields = append(fields, n.Type.Params, n.Type.Results)
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, x := range n.Lhs {
					names[root(x)] = true
				}
			}
		case *ast.RangeStmt:
			names[root(n.Key)] = true
			names[root(n.Value)] = true
		case *ast.ValueSpec:
			for _, name := range n.Names {
				names[name.Name] = true
			}
		}
		return true
	})
	for _, list := range fields {
		if list == nil {
			continue
		}
		for _, f := range list.List {
			for _, name := range f.Names {
				names[name.Name] = true
			}
		}
	}
	return names
}

// root returns the identifier that an assignable expression begins with.
func root(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		if x.Name == "_" {
			return ""
		}
		return x.Name
	case *ast.IndexExpr:
		return root(x.X)
	case *ast.SelectorExpr:
		return root(x.X)
	case *ast.StarExpr:
		return root(x.X)
	case *ast.ParenExpr:
		return root(x.X)
	}
	return ""
}

func TestOnlyCommandsExit(t *testing.T) {
	fset, all := sources(t)
	for _, s := range all {
		if s.test || belowTest(s.pkg) || s.pkg == "cmd/authmilter" && filepath.Base(s.path) == "main.go" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if ok && (pkg.Name == "os" && sel.Sel.Name == "Exit" || pkg.Name == "log" && strings.HasPrefix(sel.Sel.Name, "Fatal")) {
				t.Errorf("%s: %s.%s", fset.Position(n.Pos()), pkg.Name, sel.Sel.Name)
			}
			return true
		})
	}
}
