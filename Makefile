# kube-nflog: build, test and lint. "make" without a target lists the targets.
# It needs only Go. The targets build into bin/.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE   ?= kube-nflog:dev
HELM    ?= $(CURDIR)/bin/helm
# One platform. Separate several by commas, if the builder supports that.
PLATFORM ?= $(HOST)
FUZZTIME ?= 30s
FLEET    ?= 1000
HOST     := linux/$(shell uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')

GOLANGCI = bin/golangci-lint
# Each checkout has its own cache. Cached results contain file names, and the folder
# rules of .golangci.yml would not match the file names of another checkout.
export GOLANGCI_LINT_CACHE := $(CURDIR)/bin/golangci-lint-cache
ACTIONLINT = bin/actionlint
SBOM     = bin/cyclonedx-gomod
ROUTER   = bin/kube-router
# One static file. The same sources give the same bytes on every machine.
GOBUILD  = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
# The module in test/ contains real Kubernetes programs. Everything there is compiled
# without cgo, so that they are compiled only once.
INTEST   = cd test && CGO_ENABLED=0
# Its main packages of one line each. Linting one would analyse all of Kubernetes.
UPSTREAM = /cmd/(etcd|kube-apiserver|kubectl)$$
# The race detector needs cgo, and cgo a C compiler.
RACE    ?= $(shell command -v gcc >/dev/null 2>&1 && echo -race)

.DEFAULT_GOAL := help
.PHONY: help build test test-unit test-system lint fmt fuzz demo dev bench bench-resolve bench-emit bench-policy bench-footprint image release e2e e2e-kind helm clean check-go

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: check-go ## build the static binary bin/kube-nflog
	$(GOBUILD) -o bin/kube-nflog ./cmd/kube-nflog

test: test-unit test-system ## run all tests: test-unit and test-system

test-unit: check-go ## run the unit tests and fuzz seeds, with the race detector if gcc is there
	@[ -n "$(RACE)" ] || echo 'gcc is not installed: the tests run without the race detector'
	$(GO) test $(RACE) ./...

test-system: check-go $(ROUTER) ## run the tests against a real kernel and a real control plane
	test/setup
	$(INTEST) $(GO) test -count 1 ./... # not cached: the tests run the agent but do not import it
	cd test/agreement && CGO_ENABLED=0 $(GO) test ./...
	cd test/monitoring && CGO_ENABLED=0 $(GO) test -count 1 ./... # not cached: the tests read deploy/ but do not import it

lint: check-go $(GOLANGCI) $(ACTIONLINT) ## run gofmt, go vet, golangci-lint and actionlint
	$(ACTIONLINT) .github/workflows/*.yml
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); [ -z "$$unformatted" ] || \
		{ echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; }
	CGO_ENABLED=0 $(GO) vet ./... # without cgo like the commands below, so that imports are compiled once
	GOOS=darwin $(GO) vet ./cmd/kube-nflog # explain and rules run on macOS and Windows too
	GOOS=windows $(GO) vet ./cmd/kube-nflog
	CGO_ENABLED=0 $(GOLANGCI) run ./...
	$(INTEST) ../$(GOLANGCI) run --config ../.golangci.yml $$($(GO) list -tags e2e -f '{{.Dir}}' ./... | grep -vE '$(UPSTREAM)')
	cd test/agreement && CGO_ENABLED=0 ../../$(GOLANGCI) run --config ../../.golangci.yml ./...
	cd test/monitoring && CGO_ENABLED=0 ../../$(GOLANGCI) run --config ../../.golangci.yml ./...

fmt: check-go ## format all Go files
	"$$($(GO) env GOROOT)/bin/gofmt" -w .

fuzz: check-go ## run each fuzz target for FUZZTIME (default 30s)
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

demo: check-go ## show the main job without a cluster: a denied packet becomes an event
	$(INTEST) $(GO) run ./cmd/demo

image: ## build the image IMAGE (default kube-nflog:dev) for PLATFORM, with docker or buildah
	@if docker version >/dev/null 2>&1; then \
		set -x; docker build --platform $(PLATFORM) --build-arg VERSION=$(VERSION) -t $(IMAGE) .; \
	elif command -v buildah >/dev/null; then \
		set -x; buildah build --platform $(PLATFORM) --build-arg BUILDPLATFORM=$(HOST) --build-arg VERSION=$(VERSION) -t $(IMAGE) .; \
	else \
		echo 'make image needs docker with a running daemon, or buildah. Neither was found.' >&2; exit 1; \
	fi

release: check-go $(SBOM) ## build binaries for all platforms into dist/, with SBOMs and checksums
	rm -rf dist
	@set -e; for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
		os=$${platform%/*}; arch=$${platform#*/}; suffix=; [ $$os != windows ] || suffix=.exe; \
		file=dist/kube-nflog_$(VERSION)_$${os}_$$arch$$suffix; echo "$$file"; \
		GOOS=$$os GOARCH=$$arch $(GOBUILD) -o "$$file" ./cmd/kube-nflog; \
		$(SBOM) bin -json -std -noserial -version $(VERSION) "$$file" 2>/dev/null | sed '/^    "timestamp":/d' >"$$file.cdx.json"; \
		grep -q '"bomFormat": "CycloneDX"' "$$file.cdx.json"; \
	done
	cd dist && sha256sum kube-nflog_* >SHA256SUMS

e2e: check-go $(HELM) ## test deploy/ on a real cluster; test/e2e/doc.go lists the variables it needs
	$(INTEST) HELM=$(HELM) $(GO) test -tags e2e -count 1 -timeout 10m -v ./e2e/

e2e-kind: check-go $(HELM) ## run e2e on a new kind cluster; needs docker, kind and kubectl
	test/e2e/kind

dev: check-go ## install the work tree on a kind cluster; needs docker, kind and kubectl
	test/e2e/dev

bench: check-go ## measure the packet path, and compare it with other readers; 13 minutes
	test/bench/packets/setup
	$(INTEST) $(GO) run ./bench/packets -json bin/bench/packets.json

bench-resolve: check-go ## measure finding pods in a cluster of 150,000 pods
	$(INTEST) $(GO) run ./bench/resolve

bench-emit: check-go ## measure writing events: one agent, FLEET agents (default 1000), client-go's recorders; 20 minutes
	$(INTEST) $(GO) build -o ../bin/bench-emit ./bench/emit && ../bin/bench-emit -fleet=$(FLEET)

bench-policy: check-go ## measure the packet path while NetworkPolicies change; 2 minutes
	$(INTEST) $(GO) run ./bench/policy

bench-footprint: check-go ## measure the memory of an idle agent in a cgroup; 2 minutes
	$(INTEST) $(GO) run ./bench/footprint

clean: ## remove everything that was built
	rm -rf bin test/bin dist

$(GOLANGCI): test/tools/go.mod test/tools/go.sum
	CGO_ENABLED=0 $(GO) -C test/tools build -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(ACTIONLINT): test/tools/go.mod test/tools/go.sum
	CGO_ENABLED=0 $(GO) -C test/tools build -o ../../$@ github.com/rhysd/actionlint/cmd/actionlint

# It is built before the tests that run it, because the first build takes minutes.
$(ROUTER): test/tools/kube-router/go.mod test/tools/kube-router/go.sum
	CGO_ENABLED=0 $(GO) -C test/tools/kube-router build -buildvcs=false -o ../../../$@ github.com/cloudnativelabs/kube-router/cmd/kube-router

# It must have the same bytes on every machine, because the SBOMs contain its hash.
$(SBOM): test/tools/sbom/go.mod test/tools/sbom/go.sum
	CGO_ENABLED=0 $(GO) -C test/tools/sbom build -trimpath -buildvcs=false -o ../../../$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

helm: check-go $(CURDIR)/bin/helm ## build bin/helm, which the chart is tested with

$(CURDIR)/bin/helm: test/tools/helm/go.mod test/tools/helm/go.sum test/tools/helm/build
	GO=$(GO) test/tools/helm/build $@

# An older Go downloads the version that go.mod names, unless GOTOOLCHAIN forbids it.
# So this checks the version that actually runs in this folder.
check-go:
	@command -v $(GO) >/dev/null || { echo 'Go is missing: install Go 1.26 or later, https://go.dev/dl/' >&2; exit 1; }
	@want=$$(awk '$$1 == "go" { print $$2; exit }' go.mod); have=$$($(GO) env GOVERSION); have=$${have%% *}; \
	oldest=$$(printf '%s\n%s\n' "$$want" "$${have#go}" | sort -V | head -n 1); \
	[ "$$oldest" = "$$want" ] || { echo "Go is too old: this is $${have:-unknown}, and go.mod needs $$want" >&2; exit 1; }
