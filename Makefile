# Everything runs from a fresh clone with nothing but make and Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin
BIOME := npx --yes @biomejs/biome@2.3.8
# named after the folder: what pip writes holds its path, so a project that was moved needs a new .venv
READY := .venv/.ready-$(shell pwd | cksum | cut -d" " -f1)
LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --quiet --no-annotate \
  --generate-hashes --universal --python-version 3.11
# settings of one's own that would install elsewhere than into .venv
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help setup repro test test-long browser lint format bench bench-gpu gpu-check lock
# a module's tests share what it set up, so they stay with one worker; how many: as many as there are cores
TESTS := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --durations=15

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## the environment in .venv, from the two locks

$(READY): requirements.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "pool5: $(PYTHON) is older than Python 3.11; run make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "pool5: $(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@[ -e $@ ] || rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

repro: $(READY)  ## set up, then the whole pipeline; opens with reports/index.html
	@[ -e .git ] || $(BIN)/dvc config --local core.no_scm true  # an archive of the sources has no history
	@$(BIN)/pool5 check
	@$(BIN)/dvc repro
	@echo "Look at reports/index.html"

test: $(READY) lint  ## set up, lint, then every test but the long ones
	$(TESTS) -m "not perf and not long"

test-long: $(READY)  ## the tests that are long by nature: kills, faults, photographs, small data sets
	$(TESTS) -m "long and not perf"

browser:  ## install the system's chromium, in which the page is tested
	@command -v chromium chromium-browser google-chrome >/dev/null \
	  || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }

lint: $(READY)  ## ruff, mypy, the floors, the page's scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# mypy knows no package-dir: it sees the package through links
	@rm -rf build/types && mkdir -p build/types/pool5
	@ln -s $(CURDIR)/pipeline/* $(CURDIR)/stages build/types/pool5/
	$(BIN)/mypy
	@# the same links show import-linter the stages as well
	PYTHONPATH=build/types $(BIN)/lint-imports --no-logo --no-cache
	@# the page's scripts, where npm can bring the linter
	@if $(BIOME) --version >/dev/null 2>&1; then $(BIOME) lint --diagnostic-level=error pipeline/report/templates pipeline/serve/templates; \
	else echo "no npx, or no network: the page's scripts are not linted"; fi

format: $(READY)  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## the side-by-side measurements, on the CPU
	$(BIN)/python -m benchmarks

bench-gpu: $(READY)  ## the side-by-side measurements, on CUDA
	$(BIN)/python -m benchmarks --gpu

gpu-check: $(READY)  ## what a card is promised to do, and how fast: eight minutes at most
	$(BIN)/python -m benchmarks.gpu_check

lock: $(READY)  ## write both locks anew: hashes of every file of a release; what is pinned stays where it can
	$(BIN)/pip install --quiet uv
	$(LOCK) --extra pipeline --extra timm --extra open-clip --extra s3 --extra heif --extra ray --extra lance --extra maps-cpu --extra serve --extra mcp --output-file requirements.lock
	$(LOCK) --extra dev --constraint requirements.lock --output-file requirements-dev.lock
