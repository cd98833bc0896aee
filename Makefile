# Needs Python 3.11 or later and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILT_FROM := pyproject.toml requirements.lock hatch_build.py app/replica/_kernel.c

.PHONY: help run test coverage check format bench lock clean

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

run: $(VENV)/.installed  ## Serve VoltWay on 127.0.0.1:8000 from an embedded database, with sample data if it is empty
	@$(BIN)/voltway migrate
	@$(BIN)/voltway demo --if-empty
	@$(BIN)/voltway keys development || true  # refused on a PostgreSQL database, which others use too
	@SIMULATE_DEMO=true $(BIN)/voltway serve

test: $(VENV)/.developing  ## Everything: static checks, and the tests on each Python that is here
	@sh tools/install-test-services.sh
	@$(MAKE) --no-print-directory check
	$(BIN)/pytest -n auto --dist loadscope
	@PYTHON=$(BIN)/python sh tools/test-on-other-pythons.sh

coverage: $(VENV)/.developing  ## The tests again, with the lines and branches that they reach
	$(BIN)/pytest -n auto --dist loadscope --cov --cov-report=term

check: $(VENV)/.developing  ## Static checks only: ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.developing  ## Let ruff rewrite the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.developing  ## Measure, and print ratios to the floor
	$(BIN)/python -m benchmarks.imports
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.under_updates
	$(BIN)/python -m benchmarks.rivals
	$(BIN)/python -m benchmarks.starting
	$(BIN)/python -m benchmarks.visibility
	$(BIN)/python -m benchmarks.live
	$(BIN)/python -m benchmarks.streams
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.logging_cost
	$(BIN)/python -m benchmarks.caching
	$(BIN)/python -m benchmarks.batches
	$(BIN)/python -m benchmarks.exports
	$(BIN)/python -m benchmarks.jobs
	$(BIN)/python -m benchmarks.takeover

lock: $(VENV)/.developing  ## Choose the newest allowed versions anew
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --group dev pyproject.toml \
		--no-emit-index-url --no-header --annotation-style line --output-file requirements.lock

clean:  ## Remove what was installed and generated, but no data
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* htmlcov

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "VoltWay needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BUILT_FROM) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable .
	@touch $@

$(VENV)/.developing: $(BUILT_FROM) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock --editable .
	@touch $@ $(VENV)/.installed
