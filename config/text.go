package config

import (
	"bytes"

	"github.com/pelletier/go-toml/v2"

	"authmilter/policy"
)

// Text returns the whole configuration, including defaults, as an equivalent file. It
// contains no secrets, since keys are in separate files. Overrides can name people;
// they are left out unless overrides is true.
func (f *File) Text(overrides bool) (string, error) {
	plain := *f
	plain.Override = nil
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(&plain); err != nil {
		return "", err
	}
	if overrides {
		for i := range f.overrides {
			if err := writeOverride(&b, i, &f.overrides[i]); err != nil {
				return "", err
			}
		}
	}
	return b.String(), nil
}

// writeOverride writes the i-th override table.
func writeOverride(b *bytes.Buffer, i int, o *policy.Override) error {
	b.WriteByte('\n')
	if i == 0 {
		b.WriteString("# Exceptions to the policy; the first that matches in full decides.\n")
	}
	b.WriteString("[[override]]\n")
	parts := []any{struct {
		Name   string        `toml:"name,omitempty" comment:"Shown in the log and the header."`
		Action policy.Action `toml:"action" comment:"accept, report-only, quarantine, reject or skip."`
	}{o.Name, o.Action}}
	for _, c := range policy.Conditions() {
		if items := o.Items(c.Name()); items != nil {
			parts = append(parts, map[string][]string{c.Name(): items})
		}
	}
	for _, part := range parts {
		text, err := toml.Marshal(part)
		if err != nil {
			return err
		}
		b.Write(text)
	}
	return nil
}
