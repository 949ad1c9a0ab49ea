# make         the whole gate: format, vet, lint, tests
# make test    everything the tests need, then every test: TESTS below
#              go test ./... needs nothing but Go, and skips what it lacks
# make deploy-test  the stack into an emulator of AWS, real clients through it
# make sam     checks the template, builds it for both architectures
# make sim     simulated worlds, SIMTIME long
# make soak    real clients on a DynamoDB engine that is paused and killed, SOAKTIME long
# make restart RESTARTED clients come back to a server that is restarted
# make recover real clients whose networks are out for up to 100 s, and a server that is killed; half an hour
# make build   bin/owt-signal and the functions, for this machine
# make snapshot  dist/: archives, image, checksums of this commit, as a release has them
# make bench   owt-signal beside Socket.IO servers on Node.js and, with cargo, on Rust, under the same load
# make fuzz    every fuzz target, FUZZTIME each
# make fix     what the gate can repair by itself
# make measure what the functions take to start and to run, ROUNDS times
# make doctor  looks at this machine and at the AWS account before a deployment
# make e2e     ENDPOINT=wss://…: real clients against any endpoint, then the probe
# make probe   ENDPOINT=wss://…: what the endpoint does where AWS is silent
#              LONG=1: with the tests and questions that take an hour

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

FUNCTIONS := connect disconnect message lobby keepalive events api
# What the functions are built for: for Lambda, linux on ARCH; by make build, this
# machine, unless there is an ARCH.
ifndef ARCH
ARCH := arm64
$(FUNCTIONS): PLATFORM =
endif
PLATFORM = GOOS=linux GOARCH=$(1)
FUZZTIME ?= 30s
SIMTIME ?= 10m
SOAKTIME ?= 20m
RESTARTED ?= 10000
WORLDS ?= 50000
TIMEOUT ?= 45m
ROUNDS ?= 20

# What `make` and `make test` run, each a target of its own, all of them though one
# fails (scripts/gate). A comma: beside the one before, at the lowest priority. The
# clients of test-e2e mostly wait, so that what only computes gets along with them.
CHECKS := fmt vet lint
TESTS := sam test-go deploy-test,reckon test-e2e,explore,worlds test-clients,test-modules
LIBRARIES := $(addprefix e2e/libraries/,.venv-4/.stamp .venv-5/.stamp java/1/lib/.stamp java/2/lib/.stamp)
NEEDED := deps e2e/node_modules/.package-lock.json .venv/.stamp .venv-emulator/.stamp $(LIBRARIES)

# The modules but for the first, which is the service's.
MODULES := $(patsubst %/,%,$(dir $(wildcard */go.mod */*/go.mod)))

# go tool builds each tool once, and keeps it in Go's cache.
TOOL := go tool -modfile=$(CURDIR)/tools.mod
# The path of the test runner; it names at the end what failed and what was skipped.
GOTESTSUM = $$($(TOOL) -n gotestsum) --format=pkgname --format-hide-empty-pkg
# A skip for lack of something is a failure (internal/need).
GOTEST = OWT_REQUIRE=1 CGO_ENABLED=1 $(GOTESTSUM) -- -race -shuffle=on -timeout=$(TIMEOUT)
LAMBDA = CGO_ENABLED=0 $(PLATFORM) go build -tags lambda.norpc -trimpath -ldflags "-s -w"
# Without telemetry, and without looking for credentials.
SAM := SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true .venv/bin/sam
MAXZIP := 5000000

.PHONY: all fmt vet lint fix doctor test test-go test-e2e test-clients deploy-test test-modules reckon explore worlds e2e probe deps sam sim soak recover restart snapshot bench build fuzz measure clean $(FUNCTIONS)

all: $(NEEDED)
	@scripts/gate $(CHECKS) $(TESTS)

test: $(NEEDED)
	@scripts/gate $(TESTS)

fmt:
	$(TOOL) golangci-lint fmt --diff

vet:
	@for module in . $(MODULES); do \
		(set -x; cd $$module && go mod tidy -diff && go vet ./...); \
	done

lint:
	@for module in . $(MODULES); do \
		(set -x; cd $$module && $(TOOL) golangci-lint run); \
	done
	$(TOOL) actionlint

fix:
	$(TOOL) golangci-lint fmt
	@for module in . $(MODULES); do \
		(set -x; cd $$module && $(TOOL) golangci-lint run --fix); \
	done

# The race detector makes ten seconds of reckoning a hundred, and keeps memory of each
# coroutine of the simulator for ever. It is not for what reckons, in virtual time or
# with one thing after the other: what that runs, others run at the same time.
# internal/explore, which reckons, too, has a target of its own.
RECKONS := ./cmd/owt-signal-costs ./internal/costs ./internal/sim ./internal/template ./scripts

test-go: $(NEEDED)
	$(GOTEST) -p=3 $$(go list ./... | grep -v $(patsubst ./%,-e /%$$,$(RECKONS) ./internal/explore))

reckon: $(NEEDED)
	$(GOTEST) -race=false $(RECKONS)

test-e2e: $(NEEDED)
	cd e2e && $(GOTEST) -p=1 -skip '^TestLibraries$$' . ./clienttest

# Socket.IO's libraries in Java and Python, beside JavaScript.
test-clients: $(NEEDED)
	cd e2e && $(GOTEST) -run '^TestLibraries$$' -parallel 8 .

deploy-test: $(NEEDED)
	cd e2e && $(GOTEST) ./deploy

# The race detector is not for the examples, since what they import takes minutes to
# build, nor for a release, which compresses, one file after the other.
test-modules: $(NEEDED)
	@for module in $(filter-out e2e,$(MODULES)); do \
		race=; [[ $$module != examples/* && $$module != release ]] || race=-race=false; \
		(set -x; cd $$module && $(GOTEST) $$race ./...); \
	done

# A quarter of its time was the collecting of garbage.
explore:
	GOGC=400 go test -timeout=60m ./internal/explore -explore=all

worlds:
	go run ./cmd/owt-signal-sim -first 1 -seeds $(WORLDS)
	go run ./cmd/owt-signal-sim -first 17592186044416 -seeds $(WORLDS) # sim.FirstWithLobbies
	go run ./cmd/owt-signal-sim -first 140737488355328 -seeds $(WORLDS) # sim.FirstWithRecovery

# CONFIG_ENV is an environment of samconfig.toml.
doctor:
	@scripts/doctor $(if $(CONFIG_ENV),--config-env $(CONFIG_ENV))

# MESSAGES is how many each of two clients sends the other, CLIENTS which files of
# the suite are run. The probe is run even if the clients fail.
e2e: e2e/node_modules/.package-lock.json
	@: "$${ENDPOINT:?is needed: make $@ ENDPOINT=wss://…}"
	@cd e2e; export STRAGGLERS=1 MESSAGES="$${MESSAGES:-100}"; status=0; \
	env $(if $(LONG),IDLE_SCALE=1) node --test --test-concurrency=2 --test-reporter=spec $${CLIENTS:-clients/*.test.mjs} || status=$$?; \
	node probe/probe.mjs || status=$$?; \
	exit $$status

probe: e2e/node_modules/.package-lock.json
	@: "$${ENDPOINT:?is needed: make $@ ENDPOINT=wss://…}"
	@cd e2e && node probe/probe.mjs

# The file is npm's own record of what it installed.
e2e/node_modules/.package-lock.json: e2e/package.json e2e/package-lock.json | deps
	cd e2e && npm ci --ignore-scripts
	touch $@

.venv/.stamp: requirements-dev.txt | deps
.venv-emulator/.stamp: requirements-emulator.txt | deps
.venv/.stamp .venv-emulator/.stamp:
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# The libraries of test-clients, of the versions that these files pin.
e2e/libraries/.venv-%/.stamp: e2e/libraries/requirements-%.txt | deps
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

COPY_JARS := org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies
e2e/libraries/java/%/lib/.stamp: e2e/libraries/java/%/pom.xml | deps
	rm -rf $(@D)
	mvn --quiet --batch-mode --file $< $(COPY_JARS) -DoutputDirectory=lib
	touch $@

# What comes from Debian: a C compiler for the race detector, Node.js, Java and Maven
# for the clients, Chromium for the page, a TURN server, nginx and Caddy to be behind,
# systemd for its unit, Python for the SAM CLI. Root gets what is missing installed; no
# service is started.
deps:
	@set --; \
	command -v gcc >/dev/null || set -- "$$@" gcc libc6-dev; \
	command -v node >/dev/null || set -- "$$@" nodejs; \
	command -v npm >/dev/null || set -- "$$@" npm; \
	command -v chromium >/dev/null || set -- "$$@" chromium; \
	command -v javac >/dev/null || set -- "$$@" default-jdk-headless; \
	command -v mvn >/dev/null || set -- "$$@" maven; \
	PATH=$$PATH:/usr/sbin; command -v nginx >/dev/null || set -- "$$@" nginx-light; \
	command -v caddy >/dev/null || set -- "$$@" caddy; \
	command -v systemd-analyze >/dev/null || set -- "$$@" systemd; \
	command -v turnserver >/dev/null || set -- "$$@" coturn; \
	python3 -c 'import ensurepip' 2>/dev/null || set -- "$$@" python3-venv; \
	[ $$# -gt 0 ] || exit 0; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "missing, to be installed first (Debian's names): $$*" >&2; exit 1; \
	fi; \
	apt-get update -qq; \
	[ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; trap 'rm /usr/sbin/policy-rc.d' EXIT; }; \
	DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$$@"

# A zip compresses as gzip does.
sam: .venv/.stamp
	$(SAM) validate --lint
	.venv/bin/cfn-lint
	@for architecture in arm64 x86_64; do \
		$(SAM) build --build-dir ".aws-sam/$$architecture/build" --parameter-overrides "Architecture=$$architecture" >/dev/null; \
		for f in .aws-sam/$$architecture/build/*Function/bootstrap; do \
			go version -m "$$f" | grep -q "GOARCH=$${architecture/x86_64/amd64}$$" || { echo "$$f is not for $$architecture" >&2; exit 1; }; \
			size=$$(gzip -c "$$f" | wc -c); \
			echo "$$size bytes zipped: $$f"; \
			[ "$$size" -le $(MAXZIP) ] || { echo "$$f is more than $(MAXZIP) bytes zipped" >&2; exit 1; }; \
		done; \
	done

# Beside plain Socket.IO servers on Node.js and, where there is cargo, on Rust, in one run.
RUST := $(if $(shell command -v cargo),bench/socketioxide/target/release/socketioxide-server)
bench: bin/owt-signal e2e/bench/reference/node_modules/.package-lock.json $(RUST:%=e2e/%)
	go run -C e2e ./bench -socketioxide "$(RUST)"

e2e/bench/socketioxide/target/release/socketioxide-server: e2e/bench/socketioxide/Cargo.toml e2e/bench/socketioxide/src/main.rs
	cd e2e/bench/socketioxide && cargo build --release
	touch $@

e2e/bench/reference/node_modules/.package-lock.json: e2e/bench/reference/package.json e2e/bench/reference/package-lock.json | deps
	cd e2e/bench/reference && npm ci --ignore-scripts
	touch $@

sim:
	go run ./cmd/owt-signal-sim -for $(SIMTIME)

soak: e2e/node_modules/.package-lock.json
	OWT_TEST_SOAK=$(SOAKTIME) go test -C e2e -v -run TestSoak -timeout 24h .

restart:
	OWT_TEST_RESTART=$(RESTARTED) go test -C e2e -v -run TestRestart -timeout 30m .

# All at a time: they wait. RECOVER chooses, as in RECOVER=memory.
recover: e2e/node_modules/.package-lock.json
	OWT_TEST_RECOVER=1 go test -C e2e -v -run 'TestRecovery/$(RECOVER)' -parallel 8 -timeout 3h .

build: bin/owt-signal $(FUNCTIONS)

.PHONY: bin/owt-signal
bin/owt-signal:
	go build -trimpath -ldflags "-s -w" -o $@ ./cmd/owt-signal

# Six builds, from nothing in some minutes.
snapshot:
	rm -rf dist
	go run -C release . -snapshot -out ../dist

$(FUNCTIONS):
	$(call LAMBDA,$(ARCH)) -o bin/functions/$@/bootstrap ./functions/$@

# `sam build` asks for build-<logical id> (template.yaml, BuildMethod: makefile). It
# tells the architecture only in the record that it writes before it builds all
# functions; where there is none, ARCH says it.
RECORDED = $(shell awk -v RS= '/"$*Function"/' "$(ARTIFACTS_DIR)/../../build.toml" 2>/dev/null | \
	sed -n 's/^architecture = "\(.*\)"/\1/p')
build-%Function:
	$(call LAMBDA,$(or $(subst x86_64,amd64,$(RECORDED)),$(ARCH))) -o "$(ARTIFACTS_DIR)/bootstrap" "./functions/$$(tr A-Z a-z <<< $*)"

# Fuzzing takes one target of one package at a time.
fuzz:
	go test -list '^Fuzz' ./... | \
	awk '/^Fuzz/ { name[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, name[i]; n = 0 }' | \
	while read -r package name; do \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
	done

# On one core, as a function has at most one below 1,769 MB.
measure: e2e/node_modules/.package-lock.json
	$$(command -v taskset >/dev/null && echo taskset -c 0) \
	go test -C e2e -run '^$$' -bench '^BenchmarkFunctions$$' -benchtime $(ROUNDS)x .

clean:
	rm -rf bin dist .aws-sam .venv .venv-emulator e2e/node_modules e2e/bench/reference/node_modules e2e/bench/socketioxide/target $(dir $(LIBRARIES))
