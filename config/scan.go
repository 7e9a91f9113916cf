package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Only this file uses go-toml's parser, whose interface is not stable. The decoder
// reports a line only for syntax errors, but an admin needs the line of every mistake:
// a value out of range, a key file that cannot be read, an address in use.

// source is the file that a configuration was read from. Its path is "" for the
// defaults.
type source struct {
	path     string
	settings []setting
}

// setting is a line of a configuration file that sets a key or begins a table.
type setting struct {
	key   string // dotted
	line  int
	kind  kind   // of the value
	items []kind // of the items of a list
}

// kind is the type of a value or of a table header, as worded in error messages.
type kind string

const (
	kindText        kind = "a string"
	kindNumber      kind = "a number"
	kindFraction    kind = "a fraction"
	kindBool        kind = "true or false"
	kindDate        kind = "a date or time"
	kindList        kind = "a list"
	kindInlineTable kind = "an inline table"
	kindTable       kind = "a table"
	kindTableItem   kind = "a list of tables"
)

// isHeader reports whether the setting begins a table.
func (s setting) isHeader() bool { return s.kind == kindTable || s.kind == kindTableItem }

// kindOf returns the kind of a value.
func kindOf(k unstable.Kind) kind {
	switch k {
	case unstable.String:
		return kindText
	case unstable.Integer:
		return kindNumber
	case unstable.Float:
		return kindFraction
	case unstable.Bool:
		return kindBool
	case unstable.Array:
		return kindList
	case unstable.InlineTable:
		return kindInlineTable
	}
	return kindDate
}

// scan returns the settings of a file in order, up to the first syntax error.
func scan(path string, content []byte) source {
	var p unstable.Parser
	p.Reset(content)
	s := source{path: path}
	prefix := ""
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			name, line := keyOf(&p, e)
			header := setting{key: name, line: line, kind: kindTable}
			if e.Kind == unstable.ArrayTable {
				header.kind = kindTableItem
			}
			s.settings = append(s.settings, header)
			prefix = name + "."
		case unstable.KeyValue:
			s.add(&p, prefix, e)
		}
	}
	return s
}

// add adds what the key-value e sets, including the keys of inline tables in it.
func (s *source) add(p *unstable.Parser, prefix string, e *unstable.Node) {
	name, line := keyOf(p, e)
	value := e.Value()
	at := len(s.settings)
	s.settings = append(s.settings, setting{key: prefix + name, line: line, kind: kindOf(value.Kind)})
	for it := value.Children(); it.Next(); {
		n := it.Node()
		switch {
		case value.Kind == unstable.InlineTable:
			s.add(p, prefix+name+".", n)
			continue
		case n.Kind == unstable.InlineTable:
			s.addItem(p, prefix+name, line, n)
		}
		s.settings[at].items = append(s.settings[at].items, kindOf(n.Kind))
	}
}

// addItem adds an inline table in the list with the given key as if it had a header.
// line is the line of the list.
func (s *source) addItem(p *unstable.Parser, key string, line int, table *unstable.Node) {
	at := len(s.settings)
	s.settings = append(s.settings, setting{key: key, line: line, kind: kindTableItem})
	for it := table.Children(); it.Next(); {
		s.add(p, key+".", it.Node())
	}
	if len(s.settings) > at+1 {
		s.settings[at].line = s.settings[at+1].line
	}
}

func keyOf(p *unstable.Parser, e *unstable.Node) (name string, line int) {
	var parts []string
	for it := e.Key(); it.Next(); {
		n := it.Node()
		parts = append(parts, string(n.Data))
		if line == 0 {
			line = p.Shape(n.Raw).Start.Line
		}
	}
	return strings.Join(parts, "."), line
}

// locate prefixes err with the file and the line that sets its key.
func (s source) locate(err error) error {
	var bad *keyError
	if s.path == "" || !errors.As(err, &bad) {
		return err
	}
	if line := s.lineOf(bad); line > 0 {
		return fmt.Errorf("%s:%d: %w", s.path, line, err)
	}
	return fmt.Errorf("%s: %w", s.path, err)
}

// lineOf returns the line that sets the key of e. If there is none, it returns the
// line of the table in which the key belongs, or 0.
func (s source) lineOf(e *keyError) int {
	first, _, _ := strings.Cut(e.key, ".")
	line, tables := 0, 0
	for _, v := range s.settings {
		if strings.EqualFold(v.key, first) && v.kind == kindTableItem {
			if tables == e.table {
				line = v.line
			}
			tables++
			continue
		}
		if strings.EqualFold(v.key, e.key) && (tables == 0 || tables-1 == e.table) {
			return v.line
		}
		if strings.EqualFold(v.key, first) && line == 0 {
			line = v.line
		}
	}
	return line
}

// keyAt returns the dotted key that is set at line or on the nearest line before it,
// or fallback if there is none.
func (s source) keyAt(line int, fallback string) string {
	key := fallback
	for _, v := range s.settings {
		if v.line <= line && !v.isHeader() {
			key = v.key
		}
	}
	return key
}
