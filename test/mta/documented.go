package mta

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// documented returns the first line of a documentation page that begins with
// prefix and contains address, with address replaced, so that the tests use the
// same lines that administrators copy.
func documented(t testing.TB, page, prefix, address, replacement string) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(file), "../../docs", page)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, prefix) && strings.Contains(line, address) {
			return strings.TrimSpace(strings.Replace(line, address, replacement, 1))
		}
	}
	t.Fatalf("%s has no line that begins with %q and contains %s", path, prefix, address)
	return ""
}
