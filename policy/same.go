package policy

import (
	"slices"
	"strings"

	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/domain"
)

// SameResults reports which of fields, the values of Authentication-Results fields,
// top first, are those whose results make up payload: that of the
// ARC-Authentication-Results field that we wrote for the message. It has our results
// and those of relays of ours (see [ARCResults]), with fewer properties. If some of
// its results are missing, none of the fields counts.
func SameResults(fields []string, payload string) []bool {
	same := make([]bool, len(fields))
	sealed, err := authres.Parse(payload)
	if err != nil {
		return same
	}
	rest := sealed.Methods
	for i, field := range fields {
		r, err := authres.Parse(field)
		if err != nil || !strings.EqualFold(r.AuthservID, sealed.AuthservID) || len(r.Methods) > len(rest) {
			continue
		}
		if n := len(r.Methods); n > 0 && slices.EqualFunc(r.Methods, rest[:n], sameMethod) {
			same[i], rest = true, rest[n:]
		}
	}
	if len(rest) > 0 {
		clear(same)
	}
	return same
}

// sameMethod reports whether two fields say the same about a method.
func sameMethod(x, y authres.Method) bool {
	return x.Name == y.Name && x.Result == y.Result && slices.Equal(common(x), common(y))
}

// common returns the properties of m that are the same in both fields.
func common(m authres.Method) []authres.Prop {
	return slices.DeleteFunc(slices.Clone(m.Props), func(p authres.Prop) bool {
		return m.Name == "arc" && m.Result == string(arc.None) // see [ARCResults]
	})
}

// AuthorOf returns the author domain of the DMARC result in the value of an
// Authentication-Results field; ok is false unless there is exactly one.
func AuthorOf(field string) (author string, ok bool) {
	results, err := authres.Parse(field)
	if err != nil {
		return "", false
	}
	for _, m := range results.Methods {
		if !strings.EqualFold(m.Name, "dmarc") {
			continue
		}
		from, found := property(m, "header", "from")
		name, err := domain.ToASCII(from)
		if !found || err != nil || author != "" {
			return "", false
		}
		author = name
	}
	return author, author != ""
}
