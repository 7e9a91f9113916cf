#!/bin/sh
# Runs each fuzz target in the module for the given time: fuzz.sh 30s
set -eu
cd "$(dirname "$0")/.."

go list -f '{{.Dir}}' ./... | while read -r dir; do
	# "go test -list" would not do: it lists the targets of all packages without
	# saying which package they are in.
	for target in $(cat "$dir"/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do
		echo "$dir $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$dir" </dev/null
	done
done
