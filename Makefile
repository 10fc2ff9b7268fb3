# Few verbs; each makes ready what it needs. ARGS go to the program behind the verb.
SHELL := /bin/bash
BIN := .venv/bin
ARGS ?=
SEED ?=
MINUTES ?= 2
# Three at a time for tests with real LXDs, which wait a good part of theirs, and one more for those
# without: tests/file_turns.py.
WORKERS ?= 4
# Hundreds of processes import this package: each would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test lint types chaos bench lock charm
.DEFAULT_GOAL := help

help:
	@echo 'make run    a supervised fleet on this machine: LXD, a local GitHub, demo jobs'
	@echo '            options: make run ARGS="--runners 3 --jobs 9 --exit-when-done --json"'
	@echo 'make test   lint, types and every test'
	@echo 'make lint   what reads the code without running it'
	@echo 'make types  mypy'
	@echo 'make chaos  everything fails at once, by a seed: make chaos SEED="1 2 3" MINUTES=2'
	@echo 'make bench  the measurements'
	@echo 'make charm  the charm for the base of this machine, in dist/'
	@echo 'make lock   the lock files anew, from pyproject.toml and charm/requirements.txt'

run:
	@scripts/setup.sh
	@exec $(BIN)/supervisor-cli sandbox $(ARGS)

test:
	@scripts/setup.sh test
	@scripts/lint.sh
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint:
	@scripts/setup.sh
	@scripts/lint.sh

types:
	@scripts/setup.sh
	@$(BIN)/mypy

chaos:
	@scripts/setup.sh test
	@CHAOS_SEED='$(SEED)' CHAOS_MINUTES='$(MINUTES)' $(BIN)/python -m pytest tests/e2e/chaos -rA $(ARGS)

bench:
	@scripts/setup.sh test
	@$(BIN)/python benchmarks $(ARGS)

lock:
	@scripts/lock.sh

charm:
	@scripts/setup.sh
	@$(BIN)/python scripts/pack_charm.py $(ARGS)
