package policy

import (
	"slices"

	"authmilter/verify"
	"authmilter/verify/authres"
)

// ResultsOptions change what our Authentication-Results field shows. With the zero
// value it has a result of every method, and one of DMARC.
type ResultsOptions struct {
	// HideNone are the methods whose results are left out if they are none, each one
	// of [Hideable].
	HideNone []string
	// EachAuthor adds a DMARC result for each author domain whose result is not the
	// one that is reported anyway.
	EachAuthor bool
}

// Hideable returns the methods whose result can be none.
func Hideable() []string { return []string{"arc", "dkim", "dmarc", "spf"} }

// shown returns methods without the results that o hides.
func (o *ResultsOptions) shown(methods []authres.Method) []authres.Method {
	if len(o.HideNone) == 0 {
		return methods
	}
	return slices.DeleteFunc(slices.Clone(methods), func(m authres.Method) bool {
		return m.Result == "none" && slices.Contains(o.HideNone, m.Name)
	})
}

// furtherAuthors returns a DMARC result for each author domain except the one in r.DMARC.
func furtherAuthors(r *verify.Result) (methods []authres.Method) {
	for i := range r.Authors {
		// A result without a domain is about the From field as a whole. It is
		// reported if it is the strictest.
		if d := &r.Authors[i]; d.Author != "" && d.Author != r.DMARC.Author {
			methods = append(methods, authorMethod(r, d, d.Author, OverrideReason{}))
		}
	}
	return methods
}
