package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"authmilter/policy"
)

// normalizeOverrides checks the override tables and sets f.overrides.
func (f *File) normalizeOverrides() error {
	for i, table := range f.Override {
		o, err := f.normalizeOverride(i, table)
		if err != nil {
			return err
		}
		f.overrides = append(f.overrides, o)
	}
	return nil
}

// normalizeOverride returns the override of the i-th override table. It checks keys
// and types again, because checkKinds does not look into a list of inline tables.
func (f *File) normalizeOverride(i int, table Override) (o policy.Override, err error) {
	var actions []Choice
	for _, a := range policy.Actions() {
		actions = append(actions, Choice(a))
	}
	table, err = table.lower()
	if err != nil {
		return o, badKeyOf(i, "override", "%w", err)
	}
	action, err := table.text("action")
	if err == nil {
		o.Name, err = table.text("name")
	}
	if err != nil {
		return o, badKeyOf(i, "override", "%w", err)
	}
	if err := Choice(action).oneOf(i, "override.action", actions...); err != nil {
		return o, err
	}
	o.Action = policy.Action(action)
	asks := false
	for _, c := range policy.Conditions() {
		key := c.Name()
		if table[key] == nil {
			continue
		}
		items, err := table.texts(key)
		if err == nil && key == listenerKey {
			err = f.normalizeListeners(items)
		}
		if err == nil {
			err = o.Ask(key, items...)
		}
		if err != nil {
			return o, badKeyOf(i, "override."+key, "%w", err)
		}
		asks = true
	}
	if !asks {
		return o, badKeyOf(i, "override", "has no condition, and would match every message")
	}
	return o, nil
}

// lower returns the table with its keys in lower case: the decoder accepts every other
// key in any case. It refuses keys that an override does not have.
func (t Override) lower() (Override, error) {
	types, table := keyTypes(), Override{}
	for _, key := range slices.Sorted(maps.Keys(t)) {
		lower := strings.ToLower(key)
		switch {
		case types["override."+lower] == nil:
			return nil, fmt.Errorf("%s: unknown key", key)
		case table[lower] != nil:
			return nil, fmt.Errorf("%s is set twice", lower)
		}
		table[lower] = t[key]
	}
	return table, nil
}

// text returns the value of a string key, or "" if it is not set.
func (t Override) text(key string) (string, error) {
	switch v := t[key].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%s must be %s", key, aText)
}

// texts returns the value of a key that is a list of strings.
func (t Override) texts(key string) ([]string, error) {
	list, ok := t[key].([]any)
	items := make([]string, len(list))
	for i := range list {
		if ok {
			items[i], ok = list[i].(string)
		}
	}
	if !ok {
		return nil, errors.New("must be a list of quoted strings")
	}
	return items, nil
}

// listenerKey is the key of the condition whose items must also be in listen.
const listenerKey = "listener"

// normalizeListeners rewrites addresses as listen spells them, and returns an error
// for one that is not in listen.
func (f *File) normalizeListeners(addresses []string) error {
	for n, text := range addresses {
		var l ListenAddress
		if err := l.UnmarshalText([]byte(text)); err != nil {
			return err
		}
		if !slices.ContainsFunc(f.Listen, func(a ListenAddress) bool { return a.String() == l.String() }) {
			return fmt.Errorf("%s is not in listen", l)
		}
		addresses[n] = l.String()
	}
	return nil
}
