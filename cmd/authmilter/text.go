package main

import (
	"fmt"

	"authmilter/policy"
	"authmilter/verify/clean"
)

// All external text passes through the functions in this file on its way to the log
// or the terminal.

// Limits on one piece of external text, in octets.
const (
	maxLogged = 256  // in a log line
	maxShown  = 1024 // on a terminal
)

// logged cleans external text for the log.
func logged(s string) string { return clean.Text(s, maxLogged) }

// shown cleans external text for a terminal.
func shown(s string) string { return clean.Text(s, maxShown) }

func shownAll(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, shown(s))
	}
	return out
}

// reason returns the text of err as the log has it, "" for nil.
func reason(err error) string { return logged(clean.Err(err)) }

// replyText returns a reply as the client sees it, "" if there is none.
func replyText(r policy.Reply) string {
	if r == (policy.Reply{}) {
		return ""
	}
	return fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text)
}
