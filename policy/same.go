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
// both for one message. The latter has fewer properties, and also the results that o
// hides in the former.
func SameResults(field, payload string, o ResultsOptions) bool {
	a, err := authres.Parse(field)
	if err != nil {
		return false
	}
	b, err := authres.Parse(payload)
	if err != nil || !strings.EqualFold(a.AuthservID, b.AuthservID) {
		return false
	}
	return slices.EqualFunc(a.Methods, o.shown(b.Methods), func(x, y authres.Method) bool {
		return x.Name == y.Name && x.Result == y.Result && slices.Equal(common(x), common(y))
	})
}

// common returns the properties of m that are the same in both fields.
func common(m authres.Method) []authres.Prop {
	return slices.DeleteFunc(slices.Clone(m.Props), func(p authres.Prop) bool {
		return m.Name == "arc" && m.Result == string(arc.None) // see [ARCResults]
	})
}

// ReceivedFrom reports whether the value of an Authentication-Results field that
// claims to be ours says that the message came from outside with one of the author
// domains authors, or does not say with which ones it came. What [FormatOwnResults]
// writes says that it did not come from outside.
func ReceivedFrom(field string, authors []string) bool {
	results, err := authres.Parse(field)
	if err != nil {
		return true
	}
	if ofOwnMail(results) {
		return false
	}
	from, ok := authorsOf(results)
	return !ok || slices.ContainsFunc(from, func(name string) bool { return slices.Contains(authors, name) })
}

// authorsOf returns the author domains of the DMARC results in a field; ok is false
// if there is none, or a result without a domain.
func authorsOf(r *authres.Results) (authors []string, ok bool) {
	for _, m := range r.Methods {
		if !strings.EqualFold(m.Name, "dmarc") {
			continue
		}
		from, found := property(m, "header", "from")
		name, err := domain.ToASCII(from)
		if !found || err != nil {
			return nil, false
		}
		authors = append(authors, name)
	}
	return authors, len(authors) > 0
}
