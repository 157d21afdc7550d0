.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV ?= uv
ARGS ?=

BIN := .venv/bin
PIP := -m pip install --quiet --disable-pip-version-check
LOCKED := $(PIP) --require-hashes -r

# A stamp stands in the environment that it vouches for. Older than its requirements: the environment is made anew, so
# that nothing remains in it which they do not name.
LOCK := .venv/.lock-stamp
DEV := .venv/.dev-stamp
BENCH := .venv/.bench-stamp
TRAIN := .venv/.train-stamp

# The demo is somebody's first minute, so it installs four packages and what they need, and no tools. A developer's
# environment serves as it is. The SDKs come along when there is a key to use them with.
ifneq ($(wildcard $(DEV)),)
DEMO_PYTHON := $(BIN)/python
DEMO := $(DEV)
else
DEMO_PYTHON := .venv-demo/bin/python
DEMO_LOCK := $(if $(OPENAI_API_KEY)$(ANTHROPIC_API_KEY)$(wildcard .venv-demo/.examples-stamp),examples,core)
DEMO := .venv-demo/.$(DEMO_LOCK)-stamp
endif

define new-environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "Interlock needs Python 3.11 or newer; \`$(PYTHON)\` is $$($(PYTHON) -V 2>/dev/null || echo not there)." >&2; \
  echo "Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
  exit 1; }
@echo "making $(1) from requirements/$(2).txt ..."
@$(PYTHON) -m venv --clear $(1)
@$(1)/bin/python $(LOCKED) requirements/$(2).txt
endef

.PHONY: help setup demo test check bench bench-agentdojo conformance chaos train-detector lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name what; do printf '%-24s %s\n' "$$name" "$$what"; done

setup: $(DEV) ## the developer's environment, .venv

demo: $(DEMO) ## an agent is attacked, without Interlock and with it
	@PYTHONPATH=src $(DEMO_PYTHON) -m interlock.demo $(ARGS)

test: $(DEV) ## every test, with branch coverage
	@$(BIN)/python -m pytest --cov --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

check: $(DEV) ## formatting, lint, types, rings
	@$(BIN)/python -m ruff format --check
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m mypy
	@PYTHONPATH=src $(BIN)/lint-imports --no-logo --no-cache  # the cache was seen to miss changes

bench: $(DEV) ## the timings that the README quotes
	@PYTHONPATH=src $(BIN)/python -m bench $(ARGS)

conformance: $(DEV) ## the gateway's matrix: where a call can hide, by client and wire format
	@PYTHONPATH=src:. $(BIN)/python -m tests.conformance $(ARGS)

chaos: $(DEV) ## kill everything at random instants and count what is left (ARGS="--kills 1000")
	@PYTHONPATH=src:. $(BIN)/python -m tests.chaos $(ARGS)

train-detector: $(TRAIN) ## the injection model, anew (ARGS="--data DIRECTORY")
	@PYTHONPATH=src:. nice $(BIN)/python -m training $(ARGS)

bench-agentdojo: $(BENCH) ## AgentDojo with a fully hijacked model
	@PYTHONPATH=src $(BIN)/python -m bench.agentdojo $(ARGS)

# The widest set is resolved first and binds the others, so that every file names one version of a package.
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
  --python-version 3.11
lock: ## requirements/*.txt from *.in (needs uv; ARGS=--upgrade for newer versions)
	$(COMPILE) $(ARGS) requirements/bench.in -o requirements/bench.txt
	$(COMPILE) requirements/dev.in -c requirements/bench.txt -o requirements/dev.txt
	$(COMPILE) requirements/train.in -c requirements/bench.txt -o requirements/train.txt
	$(COMPILE) requirements/service.in -c requirements/bench.txt -o requirements/service.txt
	$(COMPILE) requirements/tools.in -c requirements/bench.txt -o requirements/tools.txt
	$(COMPILE) requirements/examples.in -c requirements/bench.txt -o requirements/examples.txt
	$(COMPILE) requirements/core.in -c requirements/bench.txt -o requirements/core.txt

clean: ## remove the environments and all that tools and builds left
	rm -rf .venv .venv-demo .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(LOCK): requirements/dev.txt
	$(call new-environment,.venv,dev)
	@touch $@

$(DEV): $(LOCK) pyproject.toml
	@$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH): $(DEV) requirements/bench.txt
	@echo "adding requirements/bench.txt to .venv ..."
	@$(BIN)/python $(LOCKED) requirements/bench.txt
	@touch $@

$(TRAIN): $(DEV) requirements/train.txt
	@echo "adding requirements/train.txt to .venv ..."
	@$(BIN)/python $(LOCKED) requirements/train.txt
	@touch $@

.venv-demo/.%-stamp: requirements/%.txt
	$(call new-environment,.venv-demo,$*)
	@touch $@
