package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// decode sets f from text, the content of the file path. An error names the file, the
// line and the key.
func (f *File) decode(path string, text []byte) error {
	f.source = scan(path, text)
	if err := checkKinds(f.source.settings); err != nil {
		return f.source.locate(err)
	}
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(f)
	var bad *toml.DecodeError
	var unknown *toml.StrictMissingError
	switch {
	case errors.As(err, &unknown):
		var all []error
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			all = append(all, unknownKey(path, line, strings.Join(e.Key(), ".")))
		}
		return errors.Join(all...)
	case errors.As(err, &bad):
		line, _ := bad.Position()
		reason := strings.TrimPrefix(bad.Error(), "toml: ")
		if key := bad.Key(); len(key) > 0 { // otherwise the syntax is wrong
			reason = f.source.keyAt(line, strings.Join(key, ".")) + ": " + reason
		}
		return fmt.Errorf("%s:%d: %s", path, line, reason)
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w", path, err)
	}
	// The decoder accepts any key in an override.
	var all []error
	types := keyTypes()
	for _, s := range f.source.settings {
		if strings.HasPrefix(s.key, "override.") && types[strings.ToLower(s.key)] == nil {
			all = append(all, unknownKey(path, s.line, s.key))
		}
	}
	return errors.Join(all...)
}

func unknownKey(path string, line int, key string) error {
	return fmt.Errorf("%s:%d: %s: unknown key", path, line, key)
}
