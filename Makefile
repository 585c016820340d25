# Consilium's chores. `make` alone lists them; `make verify` is what CI runs.
# Go 1.26 is all that build, test and demo need. `make race` needs a C compiler.

export CGO_ENABLED ?= 0
# The same for programs, vet and tests, so that each package is compiled once, and in
# whichever folder this is.
export GOFLAGS += -trimpath

BIN   := bin
TOOLS := $(BIN)/tools
# Where goroutines meet: packages that start some, in code or tests, run under the
# race detector. In reverse: the one that takes longest, the federation, goes first.
RACE   = $(shell git grep -lE '^[[:space:]]*go [[:alpha:]]|[.]Go[^[:alnum:]]|t[.]Parallel' -- 'crypto/*.go' 'coordinator/*.go' 'site-agent/*.go' 'internal/*.go' 'simulations/federation/*.go' | xargs -n 1 dirname | sort -ru | sed 's|^|./|')
# Tests wait for disks and connections: one package more at a time than there are
# processors. They are vetted by lint.
TEST  := go test -count=1 -timeout 15m -vet=off -p $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
# Seconds that `make fuzz` gives each fuzzer.
FUZZTIME ?= 10s

# verify goes from what fails fast to what takes long, whatever -j says.
.NOTPARALLEL:

.PHONY: help build test race lint fmt generate fresh verify demo bench fuzz clean

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the programs, static, into bin/
	go build -buildvcs=false -o $(BIN)/ ./coordinator/cmd/coordinator ./coordinator/cmd/consilium ./coordinator/cmd/checkbundle ./site-agent/cmd/site-agent ./simulations/cmd/simulate ./simulations/demo

test: ## every test, the longest first
	$(TEST) ./simulations/federation ./compute/fairness ./...

race: ## the packages with concurrency under the race detector, long tests left out
	CGO_ENABLED=1 $(TEST) -race -short $(RACE)

lint: $(TOOLS)/buf ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; echo "run: make fmt"; exit 1; fi
	go vet ./...
	$(TOOLS)/staticcheck ./...

fmt: ## format every Go file
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

generate: $(TOOLS)/buf ## Go code from proto/
	cd proto && PATH="$(CURDIR)/$(TOOLS):$$PATH" buf lint && PATH="$(CURDIR)/$(TOOLS):$$PATH" buf generate

# Generated files are committed; this proves that they are what proto/ says.
fresh: generate ## prove that generated files match their sources
	@test -z "$$(git status --porcelain -- proto)" || { git --no-pager diff -- proto; git status --short -- proto; echo "generated files differ from what is committed: commit the result of make generate"; exit 1; }

verify: fresh lint build race test ## all that CI checks: freshness, lint, build, race, tests

demo: build ## a consortium of separate processes on this machine; DATA=patients.csv for real patients
	$(BIN)/demo $(if $(DATA),--data "$(DATA)")

bench: ## what the secure sum and two large studies cost, some five minutes, into docs/performance.md and out/bench.json
	go run ./simulations/bench

fuzz: ## every fuzzer for FUZZTIME each
	@set -e; for package in $$(go list ./...); do \
	  for fuzzer in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "== $$package $$fuzzer"; \
	    go test -run '^$$' -fuzz "^$$fuzzer$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

clean: ## remove what was built and what the demo wrote
	rm -rf $(BIN) out

# buf, the protoc plugins and staticcheck, all at once; their versions are pinned
# in .ci/tools.mod, apart from the module's own.
$(TOOLS)/buf: .ci/tools.mod .ci/tools.sum
	@mkdir -p $(TOOLS)
	GOBIN="$(CURDIR)/$(TOOLS)" go install -modfile=.ci/tools.mod tool
	@touch $@
