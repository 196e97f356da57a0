# GNU Make 4.3 and a POSIX shell. `make` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
ROOT := $(or $(ML_ASSETS_HOME),$(CURDIR))
PYTHON ?=
DAYS ?=
CUTOFFS ?=
FIGURES ?=
TESTS = OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal --durations=25 --junitxml=.pytest_cache/$@.xml

export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
# Dagster says so before it loads the project, whose own list is in ml_assets/__init__.py; `dg check defs` doesn't read
# workspace.yaml.
export PYTHONWARNINGS := ignore:Function `definitions_validate_command` is superseded

.PHONY: help env up land materialize ui down check test proofs durations figures lint validate bench bench-peers lock clean

help: ## list the targets
	@echo "make up is all you need. The targets:"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s%s\n", $$1, $$2 }'
	@echo
	@echo "  DAYS=200       land that many days instead of the whole year (land)"
	@echo "  CUTOFFS=2      train on the newest so many cutoffs instead of 12 (up, materialize)"
	@echo "  PYTHON=...     the Python to make .venv with (3.11, 3.12 or 3.13)"
	@echo "  ML_ASSETS_PORT, ML_ASSETS_MLFLOW_PORT   other ports than 3000 and 5000"

up: env ## environment, data, every asset, then Dagster and MLflow in the background
	@$(BIN)/ml-assets up $(if $(CUTOFFS),--cutoffs $(CUTOFFS))

env: ## make or refresh .venv from requirements.lock
	@sh .ci/env "$(PYTHON)"

land: env ## drop the purchases in data/landing, one file per day
	@$(BIN)/ml-assets data land $(if $(DAYS),--days $(DAYS))

materialize: env ## materialize the whole graph
	@$(BIN)/ml-assets materialize $(if $(CUTOFFS),--cutoffs $(CUTOFFS))

ui: env ## Dagster and MLflow in the foreground, until Ctrl-C
	@exec $(BIN)/ml-assets serve

down: env ## end what `make up` started
	@$(BIN)/ml-assets down

check: env ## run all asset checks; fails if one fails
	@$(BIN)/ml-assets check

test: env ## the tests of all rooms, in two processes
	@$(TESTS) $(PYTEST)

proofs: env ## what takes longer: the whole project, kills of the whole command, a year's backfill, drills
	@$(TESTS) -m "slow or proof" --hypothesis-profile=full $(PYTEST)

durations: env ## write what the last `make test` and `make proofs` took into docs/testing.md
	@$(BIN)/python -m ml_assets_tests.figures durations

figures: env ## measure, and write into README and docs; FIGURES="drift spine" for those that take long
	@$(BIN)/python -m ml_assets_tests.figures $(FIGURES)

lint: env ## ruff, formatting, types, dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/deptry ml_assets

validate: env ## dagster.yaml, workspace.yaml and every defs.yaml load
	@$(BIN)/ml-assets validate
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && cp dagster.yaml "$$home" && \
	export DAGSTER_HOME="$$home" && \
	$(BIN)/python -c 'from dagster import DagsterInstance; DagsterInstance.get(); print("dagster.yaml is valid")' && \
	$(BIN)/dg check yaml && \
	$(BIN)/dagster definitions validate -w workspace.yaml

bench: env ## the benchmarks, each as a ratio measured in one run
	@$(BIN)/python -m ml_assets_tests.benchmarks

bench-peers: env ## make or refresh .venv-bench, whose libraries `make bench` compares with
	@if uv --version >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python $(BIN)/python .venv-bench && \
	  uv pip sync --quiet --python .venv-bench/bin/python --require-hashes requirements-bench.lock; \
	else \
	  $(BIN)/python -m venv .venv-bench && \
	  .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    -r requirements-bench.lock; \
	fi

COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

lock: ## resolve the dependencies anew into requirements.lock and requirements-bench.lock
	$(COMPILE) pyproject.toml --extra dev -o requirements.lock
	$(COMPILE) ml_assets_tests/benchmarks/requirements.in -o requirements-bench.lock

clean: ## remove tables, models and the Dagster instance; landing files and .venv stay
	@if [ -x $(BIN)/ml-assets ]; then $(BIN)/ml-assets down; fi
	@for folder in data/lake data/mlflow data/training .dagster; do \
	  if [ -e "$(ROOT)/$$folder" ]; then echo "removing $(ROOT)/$$folder"; rm -rf "$(ROOT)/$$folder"; fi; \
	done
