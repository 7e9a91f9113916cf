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
	for line := range strings.Lines(readPage(t, page)) {
		if strings.HasPrefix(line, prefix) && strings.Contains(line, address) {
			return strings.TrimSpace(strings.Replace(line, address, replacement, 1))
		}
	}
	t.Fatalf("%s has no line that begins with %q and contains %s", page, prefix, address)
	return ""
}

// documentedBlock returns the rest of a code block of a documentation page after
// first, its first line.
func documentedBlock(t testing.TB, page, first string) string {
	t.Helper()
	_, block, found := strings.Cut(readPage(t, page), "```\n"+first)
	block, _, closed := strings.Cut(block, "```\n")
	if !found || !closed {
		t.Fatalf("%s has no block that begins with %q", page, first)
	}
	return block
}

// readPage returns the text of a documentation page.
func readPage(t testing.TB, page string) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
