# What is built and tested here, and how. CI runs .ci/run, which runs these.

GO = go
VERSION != git describe --tags --always --dirty 2>/dev/null || echo unknown
FUZZTIME = 30s
# The race detector of the tests needs cgo; nothing else does.
export CGO_ENABLED = 0

build:
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/authmilter ./cmd/authmilter

# Runs the milter on its defaults.
run: build
	bin/authmilter serve

# Runs every test. As root on Debian it installs what is missing; where it
# cannot, the tests that need it skip, and say so.
test:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		test/install.sh && export AUTHMILTER_TEST_REQUIRE=1; \
	else \
		echo "not root on Debian: tests that miss something are skipped"; \
	fi && CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 30m ./...

# Rewrites what the tests expect, and the parts of the documentation that are made
# from the code: read the difference.
golden:
	AUTHMILTER_UPDATE=1 $(GO) test ./metrics ./web/... ./milter ./verify/arc ./cmd/authmilter
	AUTHMILTER_UPDATE=1 $(GO) test ./test/mta -run TestChanges
	$(GO) test ./test -run 'TestPostfix$$/scenarios' -update

lint:
	test/lint.sh

# Runs each fuzz target for FUZZTIME.
fuzz:
	test/fuzz.sh $(FUZZTIME)

# Measures what a message costs, beside the bare cryptography and the other
# milters that are installed: docs/performance.md. BENCH = -help tells more.
bench:
	$(GO) run ./test/bench $(BENCH)

# Installs those other milters, as root on Debian, and measures with them.
bench-peers:
	test/bench/install.sh
	$(MAKE) bench

clean:
	rm -rf bin

.PHONY: build run test golden lint fuzz bench bench-peers clean
