# Every target does its own set-up: a machine with Python 3.11 and make is enough. No root, no Docker.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

SUITES := crash faults postgres-safety leases integrity sim clocks

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-loss demo-alive test e2e check fix schema readme golden lock bench clean \
	runbooks plan-honesty safety guard-kill safety-table crash faults postgres-safety leases integrity sim clocks

help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: $(READY) ## Make .venv with exactly the locked versions

$(READY): requirements.lock pyproject.toml
	@echo "setting up $(VENV) from requirements.lock (about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "drctl needs Python 3.11 to 3.13: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## Lose a region and fail over, for real, on this machine
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh plain

demo-loss: $(READY) ## The same with replication broken before: the RPO gate refuses, then is overruled
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh loss

demo-alive: $(READY) ## The same with the old primary alive and in use
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh alive

test: $(READY) ## All tests: unit, scenarios, properties, contracts, end to end
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

e2e: $(READY) ## Only the end-to-end failovers
	@$(BIN)/python -m pytest -n 2 --dist loadgroup tests/e2e

runbooks: $(READY) ## Every shipped runbook: validated, simulated with each fault, run in the lab
	@rm -rf build/runbooks
	@$(BIN)/drctl validate runbooks/*.yaml
	@$(BIN)/python -m pytest -q -n 2 --dist loadgroup tests/scenarios tests/shipped tests/e2e; \
		code=$$?; $(BIN)/python tests/e2e/table.py && exit $$code

plan-honesty: $(READY) ## Is the plan true? Forecasts, defects, lost regions, and what planning changes
	@rm -rf build/honesty
	@DRCTL_SAFETY=full $(BIN)/python -m pytest -q tests/honesty; first=$$?; \
		$(BIN)/python tests/honesty/fate/run.py; second=$$?; \
		$(BIN)/python tests/honesty/table.py && exit $$((first + second))

safety: ## Every safety suite, whole; about an hour on two cores
	@for suite in $(SUITES); do $(MAKE) --no-print-directory $$suite || exit 1; done
	@$(MAKE) --no-print-directory guard-kill safety-table

postgres-safety: $(READY) ## Real PostgreSQL: 42 fences, 30 lags, 9 wrong candidates, 200 kills, 20 restores
	@DRCTL_SAFETY=full $(BIN)/python -m pytest -q tests/safety/postgres tests/contract/postgres_hosts/test_a_restore.py

guard-kill: $(READY) ## Switch every guard off, one at a time: its suite must go red
	@$(BIN)/python tests/safety/guards.py $(GUARD)

safety-table: $(READY) ## Write the table of `drctl explain safety` from what the suites found
	@$(BIN)/python tests/safety/table.py

faults: $(READY) ## Every operation of every action under every fault; ends with the table of outcomes
	@DRCTL_SAFETY=full $(BIN)/python -m pytest -q -n 2 --dist loadgroup tests/safety/faults; \
		code=$$?; cat build/safety/faults-table.txt; exit $$code

integrity: $(READY) ## Approvals and plans, the whole: every attack, every byte, every race
	@DRCTL_SAFETY=full $(BIN)/python -m pytest -q -n 2 --timeout 900 tests/safety/integrity

sim: $(READY) ## Simulated nights with drawn troubles: SEEDS=1000, nightly 20000; one again: SEED=17
	@DRCTL_SAFETY=full $(BIN)/python tests/safety/sim/sim_many.py --seeds $(or $(SEEDS),1000) $(if $(SEED),--seed $(SEED))

leases: $(READY) ## Contenders, stopped and killed processes, clocks that are wrong: one right at a time
	@DRCTL_SAFETY=full $(BIN)/python -m pytest -q --timeout 1200 tests/safety/leases

crash: $(READY) ## Die at every place a run passes, resume, compare; failing system calls; hostile files
	@DRCTL_SAFETY=full $(BIN)/python -m pytest -q tests/safety/crash tests/safety/files

clocks: $(READY) ## Wall clocks that jump, reboots, journals with known answers; the history checker itself
	@DRCTL_SAFETY=full $(BIN)/python -m pytest -n 2 tests/safety/clock tests/safety/history

check: $(READY) ## Format, lint, types, import contracts, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tests/generated.py --check

fix: $(READY) ## Format, and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

schema: $(READY) ## Regenerate the editor schema
	@$(BIN)/python tests/generated.py schema

readme: $(READY) ## Regenerate the help text in README.md
	@$(BIN)/python tests/generated.py readme

golden: $(READY) ## Rewrite what the scenarios expect; the diff is the review
	@DRCTL_GOLDEN=1 $(BIN)/python -m pytest -q tests/scenarios

lock: $(READY) ## Lock every version anew, none younger than a week
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-header --quiet --exclude-newer "7 days" -o requirements.lock

bench: $(READY) ## Ratios to peers and floors, taken in one run
	@$(BIN)/python tests/bench/bench.py

clean: ## Remove what was built here
	@test ! -x $(BIN)/drctl || $(BIN)/drctl lab down >/dev/null
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
