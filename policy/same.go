package policy

import (
	"slices"
	"strings"

	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/domain"
)

// SameResults reports whether the value of an Authentication-Results field has the
// same results as the payload of an ARC-Authentication-Results field, if we wrote
// both for one message. The latter has fewer properties.
func SameResults(field, payload string) bool {
	a, ok := parseOwn(field)
	if !ok {
		return false
	}
	b, ok := parseOwn(payload)
	if !ok || !strings.EqualFold(a.AuthservID, b.AuthservID) {
		return false
	}
	return slices.EqualFunc(a.Methods, b.Methods, func(x, y authres.Method) bool {
		return x.Name == y.Name && x.Result == y.Result && slices.Equal(common(x), common(y))
	})
}

// parseOwn reads a field of ours. Text that is not well formed is not ours: other
// readers may see results in it.
func parseOwn(field string) (results *authres.Results, ok bool) {
	results, err := authres.Parse(field)
	return results, err == nil && len(results.Skipped) == 0
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
	results, ok := parseOwn(field)
	if !ok {
		return "", false
	}
	for _, m := range results.Methods {
		if !strings.EqualFold(m.Name, "dmarc") {
			continue
		}
		from, _ := property(m, "header", "from")
		name, err := domain.ToASCII(from)
		if err != nil || author != "" {
			return "", false
		}
		author = name
	}
	return author, author != ""
}
