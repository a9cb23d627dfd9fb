# kube-nflog: build, test and lint. "make" alone lists the targets.
# Needs Go, and nothing else prepared by hand; what is built lands in bin/.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE   ?= kube-nflog:dev
HELM    ?= $(CURDIR)/bin/helm
# One platform, or several separated by commas where the builder can.
PLATFORM ?= $(HOST)
FUZZTIME ?= 30s
FLEET    ?= 1000
HOST     := linux/$(shell uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')

GOLANGCI = bin/golangci-lint
# A cache for each checkout: its results name files, and what .golangci.yml says
# of folders would not match those of another checkout.
export GOLANGCI_LINT_CACHE := $(CURDIR)/bin/golangci-lint-cache
ACTIONLINT = bin/actionlint
SBOM     = bin/cyclonedx-gomod
ROUTER   = bin/kube-router
# One static file, the same bytes from the same sources wherever it is built.
GOBUILD  = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
# The module in test/ holds real Kubernetes programs, compiled once, without cgo.
INTEST   = cd test && CGO_ENABLED=0
# Its mains of a line each; to lint one is to analyse all of Kubernetes.
UPSTREAM = /cmd/(etcd|kube-apiserver|kubectl)$$
# The race detector needs cgo, and cgo a C compiler.
RACE    ?= $(shell command -v gcc >/dev/null 2>&1 && echo -race)

.DEFAULT_GOAL := help
.PHONY: help build test test-unit test-system lint fmt fuzz demo dev bench bench-resolve bench-emit bench-policy bench-footprint image release e2e e2e-kind helm clean check-go

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: check-go ## build the agent: bin/kube-nflog, static
	$(GOBUILD) -o bin/kube-nflog ./cmd/kube-nflog

test: test-unit test-system ## run all tests: unit, fuzz seeds, kernel, control plane

test-unit: check-go ## run the unit tests and the fuzz seeds, under the race detector
	@[ -n "$(RACE)" ] || echo 'no gcc: running without the race detector'
	$(GO) test $(RACE) ./...

test-system: check-go $(ROUTER) ## run the tests against a real kernel and a real control plane
	test/setup
	$(INTEST) $(GO) test -count 1 ./... # not from the cache: the agent is no import
	cd test/agreement && CGO_ENABLED=0 $(GO) test ./...
	cd test/monitoring && CGO_ENABLED=0 $(GO) test -count 1 ./... # not from the cache: deploy/ is no import

lint: check-go $(GOLANGCI) $(ACTIONLINT) ## run gofmt, go vet and golangci-lint on all modules, actionlint on the workflows
	$(ACTIONLINT) .github/workflows/*.yml
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); [ -z "$$unformatted" ] || \
		{ echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; }
	CGO_ENABLED=0 $(GO) vet ./... # without cgo as the rest here: what is imported is compiled once
	GOOS=darwin $(GO) vet ./cmd/kube-nflog # explain and rules are for any machine
	GOOS=windows $(GO) vet ./cmd/kube-nflog
	CGO_ENABLED=0 $(GOLANGCI) run ./...
	$(INTEST) ../$(GOLANGCI) run --config ../.golangci.yml $$($(GO) list -tags e2e -f '{{.Dir}}' ./... | grep -vE '$(UPSTREAM)')
	cd test/agreement && CGO_ENABLED=0 ../../$(GOLANGCI) run --config ../../.golangci.yml ./...
	cd test/monitoring && CGO_ENABLED=0 ../../$(GOLANGCI) run --config ../../.golangci.yml ./...

fmt: check-go ## format all Go files
	"$$($(GO) env GOROOT)/bin/gofmt" -w .

fuzz: check-go ## fuzz every target for FUZZTIME (default 30s) each
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

demo: check-go ## show the main job for real, no cluster needed: a denied packet becomes an event
	$(INTEST) $(GO) run ./cmd/demo

image: ## build the image IMAGE (default kube-nflog:dev) for PLATFORM, with docker or buildah
	@if docker version >/dev/null 2>&1; then \
		set -x; docker build --platform $(PLATFORM) --build-arg VERSION=$(VERSION) -t $(IMAGE) .; \
	elif command -v buildah >/dev/null; then \
		set -x; buildah build --platform $(PLATFORM) --build-arg BUILDPLATFORM=$(HOST) --build-arg VERSION=$(VERSION) -t $(IMAGE) .; \
	else \
		echo 'make image needs docker with a running daemon, or buildah; neither is here' >&2; exit 1; \
	fi

release: check-go $(SBOM) ## build static binaries for all platforms with SBOMs and checksums: dist/
	rm -rf dist
	@set -e; for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
		os=$${platform%/*}; arch=$${platform#*/}; suffix=; [ $$os != windows ] || suffix=.exe; \
		file=dist/kube-nflog_$(VERSION)_$${os}_$$arch$$suffix; echo "$$file"; \
		GOOS=$$os GOARCH=$$arch $(GOBUILD) -o "$$file" ./cmd/kube-nflog; \
		$(SBOM) bin -json -std -noserial -version $(VERSION) "$$file" 2>/dev/null | sed '/^    "timestamp":/d' >"$$file.cdx.json"; \
		grep -q '"bomFormat": "CycloneDX"' "$$file.cdx.json"; \
	done
	cd dist && sha256sum kube-nflog_* >SHA256SUMS

e2e: check-go $(HELM) ## test deploy/ on a real cluster; needs KUBECONFIG, E2E_IMAGE, E2E_POD_IMAGE, see test/e2e/doc.go
	$(INTEST) HELM=$(HELM) $(GO) test -tags e2e -count 1 -timeout 10m -v ./e2e/

e2e-kind: check-go $(HELM) ## run e2e on a kind cluster of its own; needs docker, kind and kubectl
	test/e2e/kind

dev: check-go ## install the work tree on a kind cluster, made on the first run; needs docker, kind and kubectl
	test/e2e/dev

bench: check-go ## compare the packet path's cost with its peers', some 13 minutes
	test/bench/packets/setup
	$(INTEST) $(GO) run ./bench/packets -json bin/bench/packets.json

bench-resolve: check-go ## measure resolving in a cluster of 150,000 pods
	$(INTEST) $(GO) run ./bench/resolve

bench-emit: check-go ## compare the events with client-go's recorders', and run a fleet of FLEET (default 1000) agents; 20 minutes
	$(INTEST) $(GO) build -o ../bin/bench-emit ./bench/emit && ../bin/bench-emit -fleet=$(FLEET)

bench-policy: check-go ## measure the packet path while NetworkPolicies change, some 2 minutes
	$(INTEST) $(GO) run ./bench/policy

bench-footprint: check-go ## measure the memory of an idle agent in a cgroup, some 2 minutes
	$(INTEST) $(GO) run ./bench/footprint

clean: ## remove what was built
	rm -rf bin test/bin dist

$(GOLANGCI): test/tools/go.mod test/tools/go.sum
	CGO_ENABLED=0 $(GO) -C test/tools build -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(ACTIONLINT): test/tools/go.mod test/tools/go.sum
	CGO_ENABLED=0 $(GO) -C test/tools build -o ../../$@ github.com/rhysd/actionlint/cmd/actionlint

# Built ahead of the tests that run it: it takes minutes the first time.
$(ROUTER): test/tools/kube-router/go.mod test/tools/kube-router/go.sum
	CGO_ENABLED=0 $(GO) -C test/tools/kube-router build -buildvcs=false -o ../../../$@ github.com/cloudnativelabs/kube-router/cmd/kube-router

# The same bytes wherever it is built: its hash is in the SBOMs.
$(SBOM): test/tools/sbom/go.mod test/tools/sbom/go.sum
	CGO_ENABLED=0 $(GO) -C test/tools/sbom build -trimpath -buildvcs=false -o ../../../$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

helm: check-go $(CURDIR)/bin/helm ## build the helm that the chart is tested with: bin/helm

$(CURDIR)/bin/helm: test/tools/helm/go.mod test/tools/helm/go.sum test/tools/helm/build
	GO=$(GO) test/tools/helm/build $@

# An older Go fetches the one that go.mod names by itself, unless told not to;
# what counts is the one that runs in this folder.
check-go:
	@command -v $(GO) >/dev/null || { echo 'Go is missing: install Go 1.26 or later, https://go.dev/dl/' >&2; exit 1; }
	@want=$$(awk '$$1 == "go" { print $$2; exit }' go.mod); have=$$($(GO) env GOVERSION); have=$${have%% *}; \
	oldest=$$(printf '%s\n%s\n' "$$want" "$${have#go}" | sort -V | head -n 1); \
	[ "$$oldest" = "$$want" ] || { echo "Go is too old: $${have:-unknown} is here, go.mod asks for $$want" >&2; exit 1; }
