package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// brokenCitation matches a citation that goes on in the next line, behind the
// marks of a comment or a quotation: after "RFC", "RFC 1234" or "section".
var brokenCitation = regexp.MustCompile(`(?i:` +
	`\brfc[ \t]*\n` + nextLine + `\d` +
	`|\brfc[ -]?\d{3,5},?[ \t]*\n` + nextLine + `(?:sections?|appendix)\b` +
	`|\b(?:sections?|appendix)[ \t]*\n` + nextLine + `(?:\d|[a-z]\.\d)` +
	`)`)

// nextLine matches what a line begins with before its text.
const nextLine = `[ \t]*(?://|#|>|\*|--|;)?[ \t]*`

func TestBrokenCitation(t *testing.T) {
	for text, want := range map[string]bool{
		"// as RFC\n// 5321 says":                 true,
		"// (RFC 5321\n// section 4.1.3)":         true,
		"\t// RFC 5321,\n\t// section 4.1.3":      true,
		"RFC 5321 section\n4.1.3":                 true,
		"# RFC 8617 Appendix\n# B.1":              true,
		"sections\n3 and 4":                       true,
		"// RFC 5321 section 4.1.3\n// section 4": false,
		"// as RFC 5321\n// says in section 4":    false,
		"// in this section\n// nothing":          false,
		"RFC 5321\n\nsection 4":                   false,
	} {
		if got := brokenCitation.MatchString(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}

// TestCitationsStayOnOneLine lets grep find what cites a section of an RFC.
func TestCitationsStayOnOneLine(t *testing.T) {
	out, err := exec.Command("git", "-C", "..", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatal(err)
	}
	texts := 0
	for _, name := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if name == "test/citations_test.go" || strings.Contains(name, "testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", name))
		if os.IsNotExist(err) {
			continue // deleted, but not yet from the index
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 {
			continue // no text
		}
		texts++
		for _, at := range brokenCitation.FindAllIndex(text, -1) {
			t.Errorf("%s:%d: a citation goes on in the next line: %q", name, 1+bytes.Count(text[:at[0]], []byte("\n")), text[at[0]:at[1]])
		}
	}
	if texts < 300 {
		t.Errorf("only %d files", texts)
	}
}
