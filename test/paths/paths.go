// Package paths is a table of the paths that SMTP clients write, and of what
// MTAs make of them.
package paths

import (
	_ "embed"
	"strconv"
	"strings"
	"testing"
)

//go:embed paths.txt
var table string

// Path is one path in the table.
type Path struct {
	// Text is the path as the client writes it. Want is the address that it
	// means if the MTA says nothing about it.
	Text, Want string
	// Postfix and Sendmail are what these MTAs say.
	Postfix, Sendmail Word
}

// Word is what an MTA says about a path.
type Word struct {
	// Refused reports that the MTA refuses the path.
	Refused bool
	// Macro is the value of {mail_addr}. Want is the address that is meant.
	Macro, Want string
}

// Load returns the table.
func Load(t testing.TB) []Path {
	t.Helper()
	var all []Path
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		var columns []string
		for column := range strings.SplitSeq(line, "\t") {
			text, err := strconv.Unquote(column)
			if column == refused {
				text, err = column, nil
			}
			if err != nil {
				t.Fatalf("%s: %v", column, err)
			}
			columns = append(columns, text)
		}
		if len(columns) != 4 && len(columns) != 6 {
			t.Fatalf("%d columns in %q", len(columns), line)
		}
		p := Path{Text: columns[0], Want: columns[1]}
		for i, w := range []*Word{&p.Postfix, &p.Sendmail} {
			*w = Word{Refused: columns[2+i] == refused, Macro: columns[2+i], Want: p.Want}
			if len(columns) == 6 {
				w.Want = columns[4+i]
			}
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("the table is empty")
	}
	return all
}

// refused stands in for the macro if the MTA refuses the path.
const refused = "refused"
