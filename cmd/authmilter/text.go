package main

import (
	"fmt"
	"strings"

	"authmilter/policy"
	"authmilter/verify/clean"
)

// Text from outside reaches the log and the terminal through the functions of this
// file.

// The bounds of one piece of text from outside, in octets.
const (
	maxLogged = 256  // in a log line
	maxShown  = 1024 // on a terminal
)

// logged returns text from outside as the log has it.
func logged(s string) string { return clean.Text(s, maxLogged) }

// shown returns text from outside as a terminal has it.
func shown(s string) string { return clean.Text(s, maxShown) }

func shownAll(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, shown(s))
	}
	return out
}

// reason returns the text of err on one line, "" if there is none.
func reason(err error) string {
	if err == nil {
		return ""
	}
	// errors.Join puts each error on a line of its own.
	return logged(strings.ReplaceAll(err.Error(), "\n", ", "))
}

// replyText returns a reply as the client sees it, "" if there is none.
func replyText(r policy.Reply) string {
	if r == (policy.Reply{}) {
		return ""
	}
	return fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text)
}
