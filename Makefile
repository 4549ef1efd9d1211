# Daily commands. Needs make and Python 3.11 or later with its venv module; PYTHON selects another interpreter.
.DEFAULT_GOAL := help
.PHONY: help demo migrate run-consumer reference run-api test chaos mutations mutants endurance fuzz simulate simulate-guards check check-python format bench web screenshots image sbom package release-dry-run audit e2e venv lock

PYTHON ?= python3
LONG ?= 1
MINUTES ?= 60
SEEDS ?= 10000
FIRST ?= 0
COUNT ?= 10000000
# Tests of `make test` that run at the same time; most wait for servers. Each starts its own Kafka and PostgreSQL (1 GiB).
WORKERS ?= 4
DOCKER ?= docker
BIN := .venv/bin
VERSION := $(shell sed -n 's/^appVersion: *"\(.*\)"/\1/p' chart/Chart.yaml)
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
IMAGE = orders:$(VERSION)
PAGE := service/handler/http/static/page/index.html
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix web --silent
# npm explains a failure in many lines: print the first that is a sentence.
NPM_CAUSE := /^npm (error|ERR!)/ && !/(error|ERR!) (code|errno|syscall|path|dest) / \
  {sub(/^npm (error|ERR!) */, ""); print "npm: " $$0; found = 1; exit} {last = $$0} END {if (!found) print "npm: " last}
UV := uv==0.13.9
PIP := $(BIN)/pip --quiet --disable-pip-version-check
# Resolves for the oldest supported Python, so that the lock files do not depend on the installed version.
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-emit-find-links

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: venv ## Run everything on this machine: Kafka, PostgreSQL, consumer, API, web page, generator (ARGS=--help for options)
	@$(MAKE) --no-print-directory web || echo "cannot build the page: the demo runs without it (later: make web)" >&2
	@$(BIN)/orders demo $(ARGS)

migrate: venv ## Migrate schema and topics on the servers of compose.yaml
	@$(BIN)/orders migrate

run-consumer: venv ## Run a consumer on the servers of compose.yaml, with metrics on port 9001
	@$(BIN)/orders consumer

run-api: venv web ## Run an API on the servers of compose.yaml, with the page on port 8000 and metrics on port 9000
	@$(BIN)/orders api

# Variables from the environment or the command line take precedence.
migrate run-consumer run-api: export ORDERS_KAFKA__BOOTSTRAP_SERVERS ?= 127.0.0.1:9092
migrate run-consumer run-api: export ORDERS_POSTGRES__DSN ?= postgresql://orders:orders@127.0.0.1:5432/orders
migrate run-consumer run-api: export ORDERS_LOG__FORMAT ?= text
run-consumer: export ORDERS_ADMIN__PORT ?= 9001
run-api: export ORDERS_ADMIN__PORT ?= 9000
run-api: export ORDERS_HTTP__HOST ?= 127.0.0.1

ifeq ($(ARGS),)
test: check ## Run the checks, then all tests that this machine supports (ARGS="tests/unit -k cache": only these tests; WORKERS=4 at a time)
	@$(NPM) test
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --ignore tests/faults
	@$(BIN)/pytest tests/faults
else
test: venv
	@$(BIN)/pytest $(ARGS)
endif

chaos: venv ## Run all fault scenarios with three seeds and account for every message (two hours; LONG=0: 40 minutes)
	@ORDERS_CHAOS_SEEDS="1 2 3" ORDERS_CHAOS_LONG=$(LONG) ORDERS_CHAOS_TABLE=docs/fault-scenarios.md $(BIN)/pytest tests/faults $(ARGS)

mutations: venv ## Apply each mutation of the delivery guarantee and require that a fault scenario fails (an hour)
	@ORDERS_MUTATIONS_TABLE=docs/mutations.md $(BIN)/python -m tests.faults.mutations $(ARGS)

mutants: venv .venv/mutants/.installed ## Change the code in small ways, and require that a unit test fails (ARGS=service/pkg: one package)
	@ORDERS_MUTANTS_TABLE=docs/mutants.md PYTHONPATH="$(CURDIR)/.venv/mutants" $(BIN)/python -m tests.mutants $(ARGS)

endurance: venv ## Process ten million messages while servers and consumers are killed, then check every order (two hours; COUNT=1000000)
	@ORDERS_ENDURANCE_TABLE=docs/endurance.md $(BIN)/python -m tests.endurance --count $(COUNT) $(ARGS)

fuzz: venv ## Fuzz decoder, HTTP and cursors with corrupted input (MINUTES=60)
	@ORDERS_FUZZ_MINUTES=$(MINUTES) $(BIN)/pytest tests/fuzz $(ARGS)

simulate: venv ## Simulate the consumer and the API with SEEDS=10000 random schedules of faults, from FIRST=0 (FIRST=7 SEEDS=1 replays one)
	@$(BIN)/python -m tests.simulation --first $(FIRST) --seeds $(SEEDS) $(ARGS)

simulate-guards: venv ## Break each guarantee, and require that a simulation fails (an hour)
	@ORDERS_SIMULATION_TABLE=docs/simulation.md $(BIN)/python -m tests.simulation.guards $(ARGS)

check: web check-python ## Build the page with its type check, run make check-python, and check the workflows with zizmor
	@$(BIN)/zizmor --quiet --offline .github

check-python: venv ## Run linter, format check and type checker of the Python code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: venv ## Format the code, and fix what the linter can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: venv ## Measure performance as ratios to limits and baselines within one run (ARGS=--quick for a short run)
	@$(BIN)/orders bench $(ARGS)

web: $(PAGE) ## Type-check and build the page

screenshots: venv web ## Take the screenshots of the documents from a running demo (needs chromium)
	@$(BIN)/python -m tests.browser.screenshots

image: ## Build orders:<version> (DOCKER=podman for another engine, PYTHON_IMAGE=python:…@sha256:… for the base image)
	@$(DOCKER) build --tag $(IMAGE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
	  $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) $(OPTIONS) .

# BuildKit stores this as the time of the image.
image: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)

reference: venv ## Generate all files that are derived from code: reference pages, schemas, dashboard, alerts, licenses
	@$(BIN)/python -m reference

e2e: venv ## Test image and chart on the cluster of KUBECONFIG, on kind, or on one started here (root; ARGS="-k upgrades")
	@.ci/e2e.sh $(IMAGE) $(ARGS)

sbom: venv ## Write dist/sbom.cdx.json, a CycloneDX SBOM of the image (after make image)
	@DOCKER=$(DOCKER) $(BIN)/python .ci/sbom.py dist/sbom.cdx.json $(IMAGE)

package: venv web ## Build wheel and chart in dist, with the same bytes for the same commit (needs helm; IMAGE_REPOSITORY=HOST/OWNER/orders)
	@.ci/package.sh dist $(IMAGE_REPOSITORY)

release-dry-run: venv web ## Publish image and chart to a registry on this machine, and download them again (after make image; needs Go)
	@.ci/release-dry-run.sh

audit: venv .venv/audit/.installed ## Check the lock files for known vulnerabilities (needs network access)
	@PATH="$(CURDIR)/.venv/audit/bin:$(CURDIR)/$(BIN):$$PATH" .ci/audit.sh

venv: .venv/.installed ## Create or update .venv from requirements-dev.lock

$(PAGE): web/node_modules/.installed docs/openapi.json $(shell find web -name node_modules -prune -o -type f -print)
	@echo "building the page"
	@$(NPM) run build -- --logLevel warn
	@touch $@

web/node_modules/.installed: web/package-lock.json | venv
	@echo "installing web/package-lock.json into web/node_modules"
	@output=$$($(NPM) ci --loglevel error 2>&1) || { printf '%s\n' "$$output" | awk '$(NPM_CAUSE)' >&2; exit 1; }
	@touch $@

.venv/.installed: requirements-dev.lock pyproject.toml | .venv/bin/pip
	@echo "installing requirements-dev.lock into .venv (two to three minutes the first time)"
	@$(BIN)/python .ci/install.py requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/audit/.installed: requirements-audit.lock | .venv/bin/pip
	@$(BIN)/python -m venv .venv/audit
	@.venv/audit/bin/pip --quiet --disable-pip-version-check install --require-hashes -r requirements-audit.lock
	@touch $@

# Next to the packages of .venv, because mutmut runs the tests in its own process.
.venv/mutants/.installed: requirements-mutants.lock | .venv/bin/pip
	@rm -rf .venv/mutants
	@$(PIP) install --require-hashes --target .venv/mutants -r requirements-mutants.lock
	@touch $@

.venv/bin/pip:
	@command -v $(PYTHON) >/dev/null || { echo "Orders needs Python 3.11 or later: $(PYTHON) not found" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Orders needs Python 3.11 or later: $$($(PYTHON) --version 2>&1) is older" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Orders needs Python's venv module with ensurepip (Debian: apt-get install python3-venv)" >&2; exit 2; }
	@$(PYTHON) -m venv .venv

lock: venv ## Update the lock files (ARGS=--upgrade for newer versions)
	@$(PIP) install $(UV)
	@$(COMPILE) pyproject.toml --extra otel --extra registry --output-file requirements.lock $(ARGS)
	@$(COMPILE) --group pyproject.toml:build --output-file requirements-build.lock $(ARGS)
	@$(COMPILE) --group pyproject.toml:audit --output-file requirements-audit.lock $(ARGS)
	@$(COMPILE) pyproject.toml --extra demo --extra otel --extra registry --group dev --output-file requirements-dev.lock $(ARGS) \
	  --constraint requirements.lock --constraint requirements-build.lock
	@$(COMPILE) --group pyproject.toml:mutants --output-file requirements-mutants.lock $(ARGS) --constraint requirements-dev.lock
	@$(NPM) run lock
