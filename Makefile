# smartem: what can be made. Plain `make` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO := cargo
BINARY := target/release/smartem

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: demo
demo: build ## Show a simulated city on a map, on a throw-away store
	exec $(BINARY) demo

.PHONY: demo-models
demo-models: ## Fit the gas models of the demo anew (minutes)
	@scripts/need.sh cargo cc
	$(CARGO) run --release --locked -p smartem-simulate --example fit_demo_models

.PHONY: build
build: web ## Build the viewer and the release binary
	@scripts/need.sh cargo cc
	$(CARGO) build --release --locked -p smartem

.PHONY: web
web: web/dist/index.html ## Build the viewer

WEB_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' -not -path 'web/src/map/data/*' 2>/dev/null)

web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	cd web && npm run build
	@touch $@

web/node_modules/.installed: web/package.json web/package-lock.json
	@scripts/need.sh node
	cd web && npm ci --no-audit --no-fund
	@touch $@

.PHONY: test
test: lint test-web test-rust test-browser ## Lint and run all tests
	@echo "all tests passed"

.PHONY: test-rust
test-rust: web ## Tests of the crates: unit, golden, property, black box
	@scripts/need.sh cargo cc influx influxd mosquitto mosquitto_pub postgres psql pgbouncer promtool amtool
	@scripts/object-storage.sh
	@scripts/deploy-tools.sh
	@scripts/sta-tools.sh
	@scripts/test-make-secrets.sh
	$(CARGO) build --locked -p sta-conformance
	$(CARGO) test --workspace --locked --no-fail-fast

.PHONY: test-web
test-web: web/node_modules/.installed ## Unit tests of the viewer
	cd web && npm test

.PHONY: test-browser
test-browser: web ## The viewer in a real browser, against a running demo
	@scripts/need.sh cargo cc chromium
	$(CARGO) build --locked -p smartem
	scripts/browser-test.sh target/debug/smartem

.PHONY: bless
bless: web ## Write the pages of the documentation that are made from data
	BLESS=1 $(CARGO) test --locked -p smartem --test it reference

.PHONY: lint
lint: web/node_modules/.installed ## Formatting, clippy, documentation, licences, viewer
	@scripts/need.sh cargo cc
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --locked -p smartem-deploy --test e2e -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --locked check bans licenses sources; \
	else echo "skipped: cargo deny is not installed, so licences and bans were not checked"; fi
	cd web && npm run lint

.PHONY: bench
bench: ## Benches of the refiner, the store and the simulator
	@scripts/need.sh cargo cc
	$(CARGO) bench --locked -p smartem-points -p smartem-refine -p smartem-store -p smartem-simulate

.PHONY: test-long
test-long: web ## The tests that kill and that inject failures, with 20 seeds
	@scripts/need.sh cargo cc influxd mosquitto mosquitto_pub postgres psql pgbouncer
	KILL_TEST_SEEDS=20 $(CARGO) test --locked -p smartem --test it kill -- --nocapture
	FAULT_TEST_SEEDS=20 $(CARGO) test --locked -p smartem --test it faults -- --nocapture
	COLLECT_KILLS=50 $(CARGO) test --locked -p smartem --test it collect::kill -- --nocapture

.PHONY: soak
soak: web ## The same with 200 seeds, and a backlog with a budget of 30 s (hours)
	@scripts/need.sh cargo cc influxd mosquitto mosquitto_pub postgres psql pgbouncer
	KILL_TEST_SEEDS=50 $(CARGO) test --locked -p smartem --test it kill -- --nocapture
	BACKLOG_BUDGET_S=30 $(CARGO) test --locked -p smartem --test it backlog -- --nocapture
	FAULT_TEST_SEEDS=200 $(CARGO) test --locked -p smartem --test it faults -- --nocapture

.PHONY: conformance
conformance: ## A SensorThings server of any maker against the standard (URL=http://…/v1.1 ARGS="--token …")
	@scripts/need.sh cargo cc
	$(CARGO) run --locked --quiet -p sta-conformance -- $(URL) $(ARGS)

.PHONY: image
image: web ## The one image of all services and jobs, without pulling anything (podman or docker)
	@scripts/need.sh cargo cc
	scripts/image.sh

.PHONY: sbom
sbom: ## What is in the image, as CycloneDX
	@scripts/need.sh cargo
	scripts/sbom.sh

.PHONY: pin-images
pin-images: ## Write the digests of the images into deploy/images.toml (needs their registries)
	scripts/pin-images.sh

.PHONY: render
render: ## Write what the overlays of deploy/kubernetes become
	@scripts/deploy-tools.sh
	scripts/render.sh

.PHONY: test-deploy
test-deploy: web ## Only the checks of deploy/: schemas, our rules, linters, and broken manifests for each
	@scripts/need.sh cargo cc promtool amtool
	@scripts/deploy-tools.sh
	@scripts/sta-tools.sh
	@scripts/test-make-secrets.sh
	$(CARGO) test --locked -p smartem-deploy
	$(CARGO) test --locked -p smartem --test it deploy

.PHONY: e2e
e2e: image ## The rendered pods in podman: updated, killed, backed up and restored (SCENARIOS="rolling sigterm" chooses)
	@scripts/need.sh cargo cc podman mmdebstrap
	@# What root's podman needs inside a container too, unless you have settings of your own.
	if [ "$$(id -u)" = 0 ]; then export CONTAINERS_CONF="$${CONTAINERS_CONF:-$(CURDIR)/deploy/podman/containers.conf}"; fi; \
	scripts/e2e-images.sh && $(CARGO) test --locked -p smartem-deploy --test e2e -- $(SCENARIOS)

.PHONY: kit
kit: web ## Image, renders, bill of materials and sums, for an installation without a network
	scripts/kit.sh

.PHONY: fuzz
fuzz: ## Look for input that readers stumble over, 10 minutes each (nightly Rust and cargo-fuzz)
	@scripts/need.sh cargo cc cargo-fuzz
	$(CARGO) +nightly fuzz run line_protocol -- -max_total_time=600 -max_len=4096
	for target in sta_filter sta_query sta_body; do \
		$(CARGO) +nightly fuzz run $$target -- -max_total_time=600 -max_len=1024 -dict=fuzz/dictionaries/sta.dict; \
	done

.PHONY: clean
clean: ## Remove what was built
	$(CARGO) clean
	rm -rf web/dist web/node_modules web/src/map/data
