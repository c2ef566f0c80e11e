# `make up` starts a cluster with the demo on it, `make test` runs every check. Both install what is missing and may be repeated.
#
#   DATA_DIR=/path       where the cluster lives (/var/lib/tiphys)
#   UP="--secure-port 7443"   further options of `tiphys up`
#   PYTHON=/path/python3   the Python that .venv is made with

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help up down test test-unit test-e2e lint types bench clean run-venv test-venv

VENV ?= .venv
UP ?=
PYTEST ?=
export VENV PYTHON
ifdef DATA_DIR
export TIPHYS_DATA_DIR := $(DATA_DIR)
endif
TIPHYS := $(VENV)/bin/tiphys
RUN := $(VENV)/bin/python -m

help:
	@echo "make up      start a cluster on this machine and deploy the demo (as root)"
	@echo "make down    stop it; make down PURGE=1 removes every trace of it"
	@echo "make test    lint, types, import contracts, unit, integration and end-to-end tests"
	@echo "make lint    lint, types and import contracts only"
	@echo "make bench   the benchmarks; results also in bench/out/"
	@echo "make clean   remove what builds and tests leave in this directory"

up: run-venv
	@$(TIPHYS) up $(UP)
	@$(TIPHYS) images build pause busybox web nginx
	@env -u KUBECONFIG $(TIPHYS) kubectl apply -f examples/demo/demo.yaml
	@env -u KUBECONFIG $(TIPHYS) kubectl rollout status deployment/demo --timeout=180s
	@$(VENV)/bin/python tools/demo_check.py $(TIPHYS)

down:
	@if [ -x $(TIPHYS) ]; then $(TIPHYS) down $(if $(PURGE),--purge); else echo "Nothing is installed in $(VENV): no cluster was started from here."; fi

test: lint test-unit test-e2e

test-unit: test-venv
	@echo "== unit and integration tests"
	@$(RUN) pytest -q -n 2 tests/unit tests/integration $(PYTEST)

# Containers need root; without it these tests skip themselves.
test-e2e: test-venv
	@echo "== end-to-end tests"
	@$(RUN) pytest -q tests/e2e $(PYTEST)

lint: test-venv
	@echo "== lint"
	@$(RUN) ruff check .
	@$(RUN) ruff format --check --quiet . || { $(RUN) ruff format --check .; exit 1; }
	@echo "== import contracts"
	@$(VENV)/bin/lint-imports
	@$(MAKE) --no-print-directory types

types: test-venv
	@echo "== types"
	@$(RUN) mypy tiphys tests

bench: test-venv
	@$(RUN) bench

clean:
	@rm -rf build bench/out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	@echo "Removed; $(VENV) stays (rm -rf $(VENV) makes the next run install it anew)."

run-venv:
	@tools/bootstrap run

test-venv:
	@tools/bootstrap test
