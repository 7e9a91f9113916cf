package main

import "errors"

// Exit codes.
const (
	exitOK      = 0
	exitFinding = 1 // a check failed, the configuration is invalid, or the service could not start or end
	exitUsage   = 2
)

// errFinding ends a command that has already reported a problem.
var errFinding = errors.New("a finding was reported")

// usageError is an incorrect use of the command line.
type usageError struct{ error }
