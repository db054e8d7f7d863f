# Everything runs from a fresh clone with nothing but make and Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --quiet --no-annotate \
  --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28

.DEFAULT_GOAL := help
.PHONY: help setup repro test lint format bench bench-gpu lock

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## the environment in .venv, from the two locks

$(READY): requirements.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "pool5: $(PYTHON) is older than Python 3.11; run make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "pool5: $(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

repro: $(READY)  ## set up, then the whole pipeline; opens with reports/index.html
	@$(BIN)/pool5 check
	@$(BIN)/dvc repro
	@echo "Look at reports/index.html"

test: $(READY) lint  ## set up, then every test that this machine can run
	$(BIN)/python -m pytest -m "not perf" --durations=15

lint: $(READY)  ## ruff, mypy, and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# mypy knows no package-dir: it sees the package through links
	@rm -rf build/types && mkdir -p build/types/pool5
	@ln -s $(CURDIR)/pipeline/* $(CURDIR)/stages build/types/pool5/
	$(BIN)/mypy

format: $(READY)  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## the side-by-side measurements, on the CPU
	$(BIN)/python -m benchmarks

bench-gpu: $(READY)  ## the side-by-side measurements, on CUDA
	$(BIN)/python -m benchmarks --gpu

lock: $(READY)  ## write both locks anew: hashes of every file of a release; what is pinned stays where it can
	$(BIN)/pip install --quiet uv
	$(LOCK) --extra pipeline --output-file requirements.lock
	$(LOCK) --extra dev --constraint requirements.lock --output-file requirements-dev.lock
