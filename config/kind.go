package config

import (
	"encoding"
	"reflect"
	"strings"

	"authmilter/policy"
)

// checkKinds refuses values of the wrong type. The decoder alone would accept 5 as a
// duration of five nanoseconds, and its errors would name Go types.
func checkKinds(all []setting) error {
	types := keyTypes()
	begun := map[string]bool{} // the lists of tables that have one
	for _, s := range all {
		key := strings.ToLower(s.key) // the decoder ignores case too
		t, known := types[key]
		if !known {
			continue // decode refuses it
		}
		list, _, _ := strings.Cut(key, ".")
		begun[key] = begun[key] || s.kind == kindTableItem
		isList := t.Kind() == reflect.Slice
		switch {
		case s.kind == kindTable && isTables(t), list != key && isTables(types[list]) && !begun[list]:
			return badKey(s.key, "there can be several such tables: write [[%[1]s]], not [%[1]s]", list)
		case s.isHeader():
			if s.kind == kindTable && wanted(t) != aTable || s.kind == kindTableItem && !isTables(t) {
				return badKey(s.key, "is not %s", s.kind)
			}
		case isList && s.kind == kindList:
			for _, item := range s.items {
				if !fits(item, t.Elem()) {
					return badKey(s.key, "each item must be %s, not %s", wanted(t.Elem()), item)
				}
			}
		case !fits(s.kind, t):
			return badKey(s.key, "must be %s, not %s", wanted(t), s.kind)
		}
	}
	return nil
}

// isTables reports whether t is a list of tables.
func isTables(t reflect.Type) bool {
	return t != nil && t.Kind() == reflect.Slice && wanted(t.Elem()) == aTable
}

// keyTypes returns the type of each dotted key.
func keyTypes() map[string]reflect.Type {
	types := map[string]reflect.Type{
		"override.name":   reflect.TypeFor[string](),
		"override.action": reflect.TypeFor[Choice](),
	}
	for _, c := range policy.Conditions() {
		types["override."+c.Name()] = reflect.TypeFor[[]string]()
	}
	addTypes(types, "", reflect.TypeFor[File]())
	return types
}

// addTypes adds the keys of the struct t below prefix.
func addTypes(types map[string]reflect.Type, prefix string, t reflect.Type) {
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
		if inner.Kind() == reflect.Struct && wanted(inner) == aTable {
			addTypes(types, prefix+name+".", inner)
		}
	}
}

// The types of values in a configuration file, as worded in error messages.
const (
	aText   = "a quoted string"
	aNumber = "a whole number"
	aBool   = "true or false"
	aList   = "a list in brackets"
	aTable  = "a table"
)

// wanted returns the type in a configuration file of a value of a Go type.
func wanted(t reflect.Type) string {
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()), t.Kind() == reflect.String:
		return aText
	case t.Kind() == reflect.Bool:
		return aBool
	case t.Kind() == reflect.Slice:
		return aList
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return aTable
	}
	return aNumber
}

// fits reports whether a value decodes into t. A size can also be a plain number of
// octets.
func fits(k kind, t reflect.Type) bool {
	want := wanted(t)
	switch k {
	case kindText:
		return want == aText
	case kindNumber:
		return want == aNumber || t == reflect.TypeFor[Size]()
	case kindBool:
		return want == aBool
	case kindInlineTable:
		return want == aTable
	}
	return false
}
