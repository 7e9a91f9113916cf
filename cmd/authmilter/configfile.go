package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// configSource is the file that a Config was read from; its path is "" for the
// built-in defaults.
type configSource struct {
	path     string
	settings []setting
}

// loadConfig reads the configuration from the file path, or returns the
// defaults where path is empty. An error names the file, the line and the key.
func loadConfig(path string) (*Config, error) {
	c := defaultConfig()
	var text []byte
	if path != "" {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, pathReason(path, err)
		}
	}
	c.source = configSource{path, settings(text)}
	if err := c.decode(text); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, c.locate(err)
	}
	return &c, nil
}

func (c *Config) decode(text []byte) error {
	if err := checkKinds(c.source.settings); err != nil {
		return c.locate(err)
	}
	path := c.source.path
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(c)
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		var all []error
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			all = append(all, fmt.Errorf("%s:%d: %s: unknown key", path, line, strings.Join(e.Key(), ".")))
		}
		return errors.Join(all...)
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, _ := bad.Position()
		reason := strings.TrimPrefix(bad.Error(), "toml: ")
		if key := bad.Key(); len(key) > 0 { // otherwise the syntax is wrong
			reason = c.source.keyAt(line, strings.Join(key, ".")) + ": " + reason
		}
		return fmt.Errorf("%s:%d: %s", path, line, reason)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// keyError is a value that its key does not accept.
type keyError struct {
	key string
	err error
	// table is which table of a list of tables the key is in, from 0.
	table int
}

func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

func badKey(key, format string, args ...any) error {
	return &keyError{key: key, err: fmt.Errorf(format, args...)}
}

// locate puts the file, and the line that sets the key of err, before err.
func (c *Config) locate(err error) error {
	var key *keyError
	if c.source.path == "" || !errors.As(err, &key) {
		return err
	}
	if line := c.source.lineOf(key); line > 0 {
		return fmt.Errorf("%s:%d: %w", c.source.path, line, err)
	}
	return fmt.Errorf("%s: %w", c.source.path, err)
}

// lineOf returns the line that sets the key of e; where none does, the line of
// the table that should, or 0.
func (s configSource) lineOf(e *keyError) int {
	table, _, _ := strings.Cut(e.key, ".")
	line, tables := 0, 0
	for _, v := range s.settings {
		if v.key == table && v.table && v.kind == unstable.ArrayTable {
			if tables == e.table {
				line = v.line
			}
			tables++
			continue
		}
		if v.key == e.key && (tables == 0 || tables-1 == e.table) {
			return v.line
		}
		if v.key == table && line == 0 {
			line = v.line
		}
	}
	return line
}

// keyAt returns the dotted key that is set at line, or on the nearest line
// before it; fallback where there is none.
func (s configSource) keyAt(line int, fallback string) string {
	key := fallback
	for _, v := range s.settings {
		if v.line <= line && !v.table {
			key = v.key
		}
	}
	return key
}

// setting is a place in a config file that sets a key or begins a table.
type setting struct {
	key   string // with dots
	line  int
	kind  unstable.Kind // of the value
	items []unstable.Kind
	table bool // the header of a table
}

// settings returns what text sets, in its order, up to the first syntax error.
func settings(text []byte) []setting {
	var p unstable.Parser
	p.Reset(text)
	var all []setting
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			name, line := keyOf(&p, e)
			all = append(all, setting{key: name, line: line, kind: e.Kind, table: true})
			table = name + "."
		case unstable.KeyValue:
			all = appendSettings(all, &p, table, e)
		}
	}
	return all
}

// appendSettings adds what the key-value e sets, and what the keys of an inline
// table in it set.
func appendSettings(all []setting, p *unstable.Parser, table string, e *unstable.Node) []setting {
	name, line := keyOf(p, e)
	value := e.Value()
	s := setting{key: table + name, line: line, kind: value.Kind}
	var inner []*unstable.Node
	for it := value.Children(); it.Next(); {
		s.items = append(s.items, it.Node().Kind)
		if value.Kind == unstable.InlineTable {
			inner = append(inner, it.Node())
		}
	}
	all = append(all, s)
	for _, n := range inner {
		all = appendSettings(all, p, s.key+".", n)
	}
	return all
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

// checkKinds refuses values of another type than their keys have. The decoder
// alone would take 5 for a duration of five nanoseconds, and speak of Go's types.
func checkKinds(all []setting) error {
	types := map[string]reflect.Type{}
	keyTypes(types, "", reflect.TypeFor[Config]())
	for _, s := range all {
		t, known := types[s.key]
		if !known {
			continue // the decoder tells
		}
		isList := t.Kind() == reflect.Slice
		if s.table {
			if isTable := s.kind == unstable.Table; isTable == isList || wanted(t) != aTable && !isList {
				return badKey(s.key, "is not %s", tableWord(s.kind))
			}
			continue
		}
		if isList && s.kind == unstable.Array {
			for _, item := range s.items {
				if !fits(item, t.Elem()) {
					return badKey(s.key, "%s in the list, where %s belongs", kindWord(item), wanted(t.Elem()))
				}
			}
			continue
		}
		if !fits(s.kind, t) {
			return badKey(s.key, "%s, where %s belongs", kindWord(s.kind), wanted(t))
		}
	}
	return nil
}

// keyTypes fills types with the type of each key below prefix.
func keyTypes(types map[string]reflect.Type, prefix string, t reflect.Type) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if name == "" {
			continue
		}
		types[prefix+name] = f.Type
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if wanted(inner) == aTable {
			keyTypes(types, prefix+name+".", inner)
		}
	}
}

// What a value of a config file can be.
const (
	aText   = "a text in quotes"
	aNumber = "a whole number"
	aBool   = "true or false"
	aList   = "a list in brackets"
	aTable  = "a table"
)

// wanted says what a value of a Go type is in a config file.
func wanted(t reflect.Type) string {
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()), t.Kind() == reflect.String:
		return aText
	case t.Kind() == reflect.Bool:
		return aBool
	case t.Kind() == reflect.Slice:
		return aList
	case t.Kind() == reflect.Struct:
		return aTable
	}
	return aNumber
}

// fits tells whether a value of kind decodes into t. Sizes may also be plain
// numbers of octets.
func fits(kind unstable.Kind, t reflect.Type) bool {
	if kind == unstable.Integer && t == reflect.TypeFor[size]() {
		return true
	}
	want := wanted(t)
	switch kind {
	case unstable.String:
		return want == aText
	case unstable.Integer:
		return want == aNumber
	case unstable.Bool:
		return want == aBool
	case unstable.InlineTable:
		return want == aTable
	}
	return false
}

func kindWord(kind unstable.Kind) string {
	switch kind {
	case unstable.String:
		return "a text"
	case unstable.Integer:
		return "a number"
	case unstable.Float:
		return "a fraction"
	case unstable.Bool:
		return "true or false"
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	}
	return "a date or time"
}

func tableWord(kind unstable.Kind) string {
	if kind == unstable.ArrayTable {
		return "a list of tables"
	}
	return "a table"
}
