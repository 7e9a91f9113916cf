package config

import (
	"slices"
	"strconv"
	"strings"

	"authmilter/policy"
	"authmilter/verify/spf"
)

// Choice is one of a few keywords.
type Choice string

// The values of metrics.status_page.
const (
	StatusPageFull      Choice = "full"
	StatusPageAnonymous Choice = "anonymous"
	StatusPageOff       Choice = "off"
)

// Values that several keys have in common.
const (
	choiceAccept     Choice = "accept"
	choiceQuarantine Choice = Choice(policy.Quarantine)
	choiceReject     Choice = Choice(policy.Reject)
	choiceTempfail   Choice = "tempfail"
	choiceByPolicy   Choice = "by-policy"
	choiceTemperror  Choice = Choice(spf.TempError)
	choiceNone       Choice = Choice(spf.None)
)

// disposition returns the disposition that c stands for.
func (c Choice) disposition() policy.Disposition {
	if c == choiceAccept {
		return policy.None
	}
	return policy.Disposition(c)
}

// tempError returns the effect of a temporary error that c stands for.
func (c Choice) tempError() policy.TempError {
	if c == choiceByPolicy {
		return policy.TempErrorByPolicy
	}
	return policy.TempError(c)
}

// oneOf returns an error unless c, the value of a key in the i-th table with its
// name, is one of words.
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
		return badKeyOf(i, key, "is missing; it must be one of %s", list)
	}
	return badKeyOf(i, key, "%q is not one of %s", string(c), list)
}
