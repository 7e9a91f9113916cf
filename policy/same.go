package policy

import (
	"slices"
	"strings"

	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/domain"
)

// SameResults reports which of fields, the values of Authentication-Results fields
// from the top, are genuine: together, their results must be the ones in payload, the
// value of the ARC-Authentication-Results field that we wrote for the message. It also
// has the results that o hides and the results of our relays (see [ARCResults]), all
// with fewer properties. If payload has another result that is in no field, no field is
// genuine.
func SameResults(fields []string, payload string, o ResultsOptions) []bool {
	same := make([]bool, len(fields))
	sealed, ok := parseOwn(payload)
	if !ok {
		return same
	}
	rest := sealed.Methods
	for i, field := range fields {
		r, ok := parseOwn(field)
		if !ok || !strings.EqualFold(r.AuthservID, sealed.AuthservID) {
			continue
		}
		if left, ok := cutResults(rest, r.Methods, o); ok {
			same[i], rest = true, left
		}
	}
	if len(o.shown(rest)) > 0 {
		clear(same)
	}
	return same
}

// cutResults returns what follows methods in sealed; ok is false unless sealed begins
// with them, apart from results that o hides.
func cutResults(sealed, methods []authres.Method, o ResultsOptions) (rest []authres.Method, ok bool) {
	for _, m := range methods {
		for len(sealed) > 0 && !sameMethod(m, sealed[0]) && len(o.shown(sealed[:1])) == 0 {
			sealed = sealed[1:]
		}
		if len(sealed) == 0 || !sameMethod(m, sealed[0]) {
			return nil, false
		}
		sealed = sealed[1:]
	}
	return sealed, true
}

// sameMethod reports whether two fields say the same about a method. Relays may have
// written what we clean in the set.
func sameMethod(x, y authres.Method) bool {
	return x.Name == y.Name && x.Result == y.Result && slices.Equal(common(x.Cleaned()), common(y.Cleaned()))
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

// ReceivedFrom reports whether the value of an Authentication-Results field that
// claims to be ours says that the message came from outside with one of the author
// domains authors, or does not say with which ones it came. What [FormatOwnResults]
// writes says that it did not come from outside.
func ReceivedFrom(field string, authors []string) bool {
	results, ok := parseOwn(field)
	if !ok {
		return true
	}
	if ofOwnMail(results) {
		return false
	}
	from, known := authorsOf(results)
	return !known || slices.ContainsFunc(from, func(name string) bool { return slices.Contains(authors, name) })
}

// authorsOf returns the author domains of the DMARC results in a field; ok is false
// if there is none, or a result without a domain.
func authorsOf(r *authres.Results) (authors []string, ok bool) {
	for _, m := range r.Methods {
		if !strings.EqualFold(m.Name, "dmarc") {
			continue
		}
		from, _ := property(m, "header", "from")
		name, err := domain.ToASCII(from)
		if err != nil {
			return nil, false
		}
		authors = append(authors, name)
	}
	return authors, len(authors) > 0
}
