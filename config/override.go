package config

import (
	"fmt"
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

// normalizeOverride returns the override of the i-th override table, whose keys and
// types have been checked.
func (f *File) normalizeOverride(i int, table Override) (o policy.Override, err error) {
	table, err = table.lower()
	if err != nil {
		return o, badKeyOf(i, "override", "%w", err)
	}
	var actions []Choice
	for _, a := range policy.Actions() {
		actions = append(actions, Choice(a))
	}
	if err := Choice(table.text("action")).oneOf(i, "override.action", actions...); err != nil {
		return o, err
	}
	o.Name, o.Action = table.text("name"), policy.Action(table.text("action"))
	asks := false
	for _, c := range policy.Conditions() {
		key := c.Name()
		if table[key] == nil {
			continue
		}
		items := table.texts(key)
		var err error
		if key == listenerKey {
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
// key in any case.
func (t Override) lower() (Override, error) {
	table := Override{}
	for key, value := range t {
		lower := strings.ToLower(key)
		if table[lower] != nil {
			return nil, fmt.Errorf("%s is set twice", lower)
		}
		table[lower] = value
	}
	return table, nil
}

// text returns the value of a string key, or "" if it is not set.
func (t Override) text(key string) string {
	s, _ := t[key].(string)
	return s
}

// texts returns the items of a key that is a list of strings.
func (t Override) texts(key string) []string {
	list, _ := t[key].([]any)
	items := make([]string, len(list))
	for i := range list {
		items[i], _ = list[i].(string)
	}
	return items
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
