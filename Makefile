# Each verb sets up by itself what it needs; a second time it finds it there.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

UV_VERSION := 0.13.9
CACHE := $(or $(SERINUS_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/serinus)
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
PYTHON := .venv/bin/python
READY := .venv/.ready
CLUSTER_TOOL := $(PYTHON) -m tests.cluster
LOCKS := requirements.lock operator/requirements.lock $(wildcard images/*/requirements.lock)

.PHONY: help demo test check unit e2e bench-jobs bench-server images generate cluster-up cluster-down cluster-status clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## The product's story on a real local cluster, from nothing to a registered model
	@$(PYTHON) -m tests.demo

test: check ## Every test there is; what CI runs
	@$(PYTHON) -m pytest tests

check: $(READY) ## Lint, format, types, import contracts, generated files
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --quiet --check . || { echo "error: not formatted; → .venv/bin/ruff format ." >&2; exit 1; }
	@$(PYTHON) -m mypy --no-error-summary
	@.venv/bin/lint-imports > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	@UV=$(UV) $(PYTHON) -m tests.generate --check

unit: $(READY) ## The tests that need nothing
	@$(PYTHON) -m pytest tests/unit

e2e: $(READY) ## The tests on a real cluster
	@$(PYTHON) -m pytest tests/e2e

bench-jobs: $(READY) ## Measure 100, 1,000 and 3,000 TrainingJobs beside plain Jobs: build/bench/jobs.json, .png
	@$(PYTHON) -m tests.bench.jobs --uv $(UV) $(BENCH_OPTIONS)

bench-server: $(READY) ## Measure the model server beside others: build/bench/server.json, .png
	@$(PYTHON) -m tests.bench.server --uv $(UV) $(BENCH_OPTIONS)

images: $(READY) ## Build all images; their archives stay in the cache
	@$(CLUSTER_TOOL) images

generate: $(READY) ## Make anew what is generated: definitions, references, locks
	@UV=$(UV) $(PYTHON) -m tests.generate

cluster-up: $(READY) ## Start the local Kubernetes, or find it running
	@$(CLUSTER_TOOL) up

cluster-down: $(READY) ## Remove it and all that belongs to it
	@$(CLUSTER_TOOL) down

cluster-status: $(READY) ## Say how each of its parts does
	@$(CLUSTER_TOOL) status

clean: $(READY) ## Remove the cluster, the cache of what was built, and the environment
	@$(CLUSTER_TOOL) clean
	rm -rf .venv

# The environment: exactly what the lock says, made again when the lock changes.
$(READY): requirements.lock operator/pyproject.toml .python-version | $(UV)
	@echo "setting up the Python environment (.venv)"
	@$(UV) venv --quiet --clear .venv
	@$(UV) pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@$(UV) pip install --quiet --no-deps --editable operator
	@touch $@

$(UV):
	@command -v python3 > /dev/null || { echo "error: python3 is missing; → install Python 3" >&2; exit 1; }
	@echo "installing uv $(UV_VERSION) into the cache"
	@rm -rf $(CACHE)/uv-$(UV_VERSION).tmp
	@python3 -m venv $(CACHE)/uv-$(UV_VERSION).tmp || { echo "error: python3 has no venv; → on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(CACHE)/uv-$(UV_VERSION).tmp/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@rm -rf $(CACHE)/uv-$(UV_VERSION) && mv $(CACHE)/uv-$(UV_VERSION).tmp $(CACHE)/uv-$(UV_VERSION)
