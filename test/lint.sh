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

# go mod tidy may have to download modules first. Without a network the check is
# skipped; any other error is a failure.
complaints=$(mktemp)
trap 'rm -f "$complaints"' EXIT
if ! untidy=$(go mod tidy -diff 2>"$complaints"); then
	report=$(cat "$complaints")
	case $untidy$report in
	diff\ *)
		echo "go.mod or go.sum is not tidy; run go mod tidy:" >&2
		echo "$untidy" >&2
		exit 1
		;;
	*"dial tcp"* | *"proxyconnect"* | *"i/o timeout"* | *"handshake timeout"* | *"lookup disabled by GOPROXY=off"*)
		echo "skipped go mod tidy: $report" >&2
		;;
	*)
		echo "$report" >&2
		exit 1
		;;
	esac
fi
go vet ./...
go tool staticcheck ./...

# Without its database govulncheck cannot check anything, and is skipped. Any other
# error is a failure.
if ! report=$(go tool govulncheck ./... 2>&1); then
	case $report in
	*"fetching vulnerabilities"*) echo "skipped govulncheck: $report" >&2 ;;
	*)
		echo "$report" >&2
		exit 1
		;;
	esac
fi
