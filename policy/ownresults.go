package policy

import (
	"strings"

	"authmilter/verify/authres"
	"authmilter/verify/dkim"
)

// ownMark is the comment on each result of our own mail. It tells the field from
// the fields of mail from outside, in which every other result may be hidden.
const ownMark = "own mail"

// FormatOwnResults returns the value of the Authentication-Results field for a
// message of which only the signatures were verified, without leading white space.
// own reports that it is ours: that it did not come from outside on an earlier pass.
func FormatOwnResults(authservID string, results []dkim.Result, own bool) string {
	methods := dkimMethods(results)
	for i := range methods {
		if m := &methods[i]; own && m.Comment != "" {
			m.Comment += ", " + ownMark
		} else if own {
			m.Comment = ownMark
		}
	}
	value, _ := fit(authservID, methods)
	return value
}

// ofOwnMail reports whether r is what [FormatOwnResults] writes for a message that is
// ours.
func ofOwnMail(r *authres.Results) bool {
	for _, m := range r.Methods {
		if m.Name != "dkim" || m.Comment != ownMark && !strings.HasSuffix(m.Comment, ", "+ownMark) {
			return false
		}
	}
	return len(r.Methods) > 0
}
