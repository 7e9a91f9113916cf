#!/bin/sh
# Runs the linters over the module.
set -eu
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	echo "not formatted by gofmt:" >&2
	echo "$unformatted" >&2
	exit 1
fi
go vet ./...
go tool staticcheck ./...

# Without its database govulncheck cannot tell anything about this module.
# Whatever else it says is a failure.
if ! report=$(go tool govulncheck ./... 2>&1); then
	case $report in
	*"fetching vulnerabilities"*) echo "not checked for known vulnerabilities: $report" >&2 ;;
	*)
		echo "$report" >&2
		exit 1
		;;
	esac
fi
