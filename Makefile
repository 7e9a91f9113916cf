# Builds and tests authmilter. CI runs .ci/run, which uses these targets.

GO = go
VERSION != git describe --tags --always --dirty 2>/dev/null || echo unknown
FUZZTIME = 30s
# Only the race detector in the tests needs cgo.
export CGO_ENABLED = 0

build:
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/authmilter ./cmd/authmilter

# Runs the milter with its defaults.
run: build
	bin/authmilter serve

# Runs every test. As root on Debian it first installs what is missing. Elsewhere,
# tests that lack something are skipped and say so.
test:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		test/install.sh && export AUTHMILTER_TEST_REQUIRE=1; \
	else \
		echo "not root on Debian: tests that lack something are skipped"; \
	fi && CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 30m ./...

# Rewrites what the tests expect, and the parts of the documentation that are
# generated from the code. Read the diff.
golden:
	AUTHMILTER_UPDATE=1 $(GO) test ./metrics ./web/... ./milter ./verify/arc ./cmd/authmilter
	AUTHMILTER_UPDATE=1 $(GO) test ./test/mta -run TestChanges
	$(GO) test ./test -run 'TestPostfix$$/scenarios' -update

lint:
	test/lint.sh

# Runs each fuzz target for FUZZTIME.
fuzz:
	test/fuzz.sh $(FUZZTIME)

# Measures what a message costs, compared with the bare cryptography and the other
# installed milters: see docs/performance.md. BENCH=-help shows the options.
bench:
	$(GO) run ./test/bench $(BENCH)

# Installs the other milters, as root on Debian, and measures them too.
bench-peers:
	test/bench/install.sh
	$(MAKE) bench

clean:
	rm -rf bin

.PHONY: build run test golden lint fuzz bench bench-peers clean
