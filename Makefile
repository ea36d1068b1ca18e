# Needs Python 3.11 or newer, make, and a network that reaches the package registries.
# Everything else is fetched into .tools, .venv and the user's cache.

PYTHON ?= python3
ARGS ?=

UV_VERSION := 0.13.9
MUTMUT_VERSION := 3.8.1
UV := .tools/bin/uv
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never
# Otherwise the first import compiles, or every one with PYTHONDONTWRITEBYTECODE: seconds.
export UV_COMPILE_BYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help setup run browser programs unit test faults mutants mutant fuzz bench lint fmt types layers spelling deps lock docs screenshot check

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 20
	@echo 'ARGS="..." passes more arguments to the command: make test ARGS="tests/unit -x"'

setup: .venv/.ready ## fetch everything: Python packages and the broker
	@$(BIN)/python -m headrace.local.broker.archive

run: setup ## run everything on this machine until Ctrl-C
	@$(BIN)/headrace up $(ARGS)

browser: .venv/.ready ## see that there is a Chromium for the tests; apt installs one
	@$(BIN)/python -m tests.fixtures.chromium

programs: .venv/.ready ## see that there are the other programs that the tests need; apt, npm and Go install them
	@$(BIN)/python -m tests.fixtures.programs

# The tests start hundreds of Python processes: without this, each compiles headrace and the tests.
unit test faults mutants: export PYTHONDONTWRITEBYTECODE :=

unit: .venv/.ready ## run what needs no Kafka, no PostgreSQL and no browser, with few examples of each property
	@$(BIN)/pytest -n 2 --dist worksteal --hypothesis-profile=quick $(or $(ARGS),tests/unit tests/component tests/property \
	  tests/contract/docs tests/contract/headrace tests/contract/infra tests/contract/producer_api tests/contract/schemas)

test: setup browser programs ## run all tests that a change needs, in three processes
	@$(BIN)/pytest -n 3 --dist worksteal $(ARGS)

faults: setup browser programs ## run the fault suite and all slow tests, some 40 minutes; `make test` runs its fast part
	@$(BIN)/pytest -n 3 --dist worksteal -m "fault or slow" $(or $(ARGS),tests)

# In an overlay of .venv that uv caches, because mutmut runs the tests in its own process.
MUTMUT := $(UV) run --frozen --no-sync --with "mutmut==$(MUTMUT_VERSION)" mutmut
# The overlay's directory has copies of the compiled modules, which a rebuild outdates.
mutants: .venv/.ready ## change the rules in small ways and list what no test notices; ARGS="streams.domain.sessions*"
	@if [ .venv/.ready -nt mutants ]; then rm -rf mutants; fi
	@$(MUTMUT) run --max-children 2 $(or $(ARGS),"streams.domain.*")
	@$(MUTMUT) results

mutant: .venv/.ready ## show one mutant: make mutant ARGS=NAME
	@$(MUTMUT) show $(ARGS)

fuzz: .venv/.ready ## fuzz both compiled modules, a million inputs each under AddressSanitizer; needs clang
	@tests/fuzz/run $(ARGS)

bench: setup ## measure everything and write docs/benchmarks.md; bench-codec and so on: one of them
	@$(BIN)/python -m benchmarks $(ARGS)

bench-%: setup
	@$(BIN)/python -m benchmarks $* $(ARGS)

lint: .venv/.ready ## look for mistakes and for what is not formatted
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

fmt: .venv/.ready ## format, and fix what can be fixed automatically
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

types: .venv/.ready ## check the types
	@$(BIN)/mypy

layers: .venv/.ready ## check who imports whom
	@$(BIN)/lint-imports

spelling: .venv/.ready ## check the spelling
	@$(BIN)/codespell

deps: .venv/.ready ## check that what is imported is declared, and that what is declared is imported
	@$(BIN)/deptry --no-ansi .

lock: .venv/.ready ## check that each dependency is locked, with its hashes
	@$(UV) lock --check --quiet

docs: .venv/.ready ## write the references and the figure of the data flow from the code
	@$(BIN)/python -m docs.reference
	@$(BIN)/python -m docs.figures

screenshot: setup browser ## write docs/images/dashboard.png: a dashboard with simulated visitors
	@$(BIN)/python -m docs.screenshot $(ARGS)

check: lint types layers spelling deps lock ## all that needs no broker: the six before this

# Reinstall headrace itself: it is compiled, and uv may have cached the build of another clone.
COMPILED := schemas/avro_compiled.pyx $(addprefix producer_api/events/,event_compiled.pyx derive/steps.py derive/steps.pxd) \
  sinks/sql/conversion.py sinks/sql/conversion.pxd
.venv/.ready: pyproject.toml uv.lock hatch_build.py $(COMPILED) .tools/$(UV_VERSION)
	@$(UV) sync --frozen --quiet --python "$$(command -v $(PYTHON))" --reinstall-package headrace
	@touch $@

.tools/$(UV_VERSION):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "headrace needs Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up: about a minute, this once ..." >&2
	@$(PYTHON) -m venv --clear .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@touch $@
