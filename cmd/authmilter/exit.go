package main

import "errors"

// Exit codes.
const (
	exitOK      = 0
	exitFinding = 1 // a check failed, a config is invalid, the service could not start
	exitUsage   = 2
)

// errFinding ends a command that has already said what it found.
var errFinding = errors.New("a finding was reported")

// usageError is wrong use of the command line.
type usageError struct{ error }
