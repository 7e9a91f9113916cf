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

# What tidy compares with may have to be downloaded first. Without a network it
# cannot tell; whatever else it says is a failure.
complaints=$(mktemp)
trap 'rm -f "$complaints"' EXIT
if ! untidy=$(go mod tidy -diff 2>"$complaints"); then
	report=$(cat "$complaints")
	case $untidy$report in
	diff\ *)
		echo "go.mod or go.sum is not as go mod tidy writes it:" >&2
		echo "$untidy" >&2
		exit 1
		;;
	*"dial tcp"* | *"proxyconnect"* | *"i/o timeout"* | *"handshake timeout"* | *"lookup disabled by GOPROXY=off"*)
		echo "not compared with go mod tidy: $report" >&2
		;;
	*)
		echo "$report" >&2
		exit 1
		;;
	esac
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
