package config

import (
	"slices"
	"strconv"
	"strings"

	"authmilter/policy"
)

// Choice is one of a few words.
type Choice string

// What metrics.status_page may be.
const (
	StatusPageFull      Choice = "full"
	StatusPageAnonymous Choice = "anonymous"
	StatusPageOff       Choice = "off"
)

// Words that several keys take.
const (
	choiceAccept     Choice = "accept"
	choiceQuarantine Choice = Choice(policy.Quarantine)
	choiceReject     Choice = Choice(policy.Reject)
	choiceTempfail   Choice = "tempfail"
	choiceByPolicy   Choice = "by-policy"
)

// disposition returns the disposition that c asks for.
func (c Choice) disposition() policy.Disposition {
	if c == choiceAccept {
		return policy.None
	}
	return policy.Disposition(c)
}

// tempError returns what c asks for if there is a temporary error.
func (c Choice) tempError() policy.TempError {
	if c == choiceByPolicy {
		return policy.TempErrorByPolicy
	}
	return policy.TempError(c)
}

// oneOf refuses c, the value of a key in the i-th table of its name, unless it is one
// of words.
func (c Choice) oneOf(i int, key string, words ...Choice) error {
	if slices.Contains(words, c) {
		return nil
	}
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, strconv.Quote(string(w)))
	}
	list := strings.Join(quoted, ", ")
	if c == "" {
		return badKeyOf(i, key, "is missing; it is one of %s", list)
	}
	return badKeyOf(i, key, "%q is none of %s", string(c), list)
}
