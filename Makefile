# The two commands: `make demo` and `make test`. With another Python: make test PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test lint clean

help:
	@echo "make demo    audit real text and generations of a model trained on itself"
	@echo "make test    lint, types and all tests"
	@echo "make lint    lint and types only"
	@echo "make clean   remove the environment and everything made here"

demo: $(VENV)/installed
	@$(BIN)/tailguard demo -o demo
	@echo
	@echo "Open demo/generation-3.html in a browser."

lint: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -n 2 -q src tests

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tailguard needs Python 3.11 or newer; try: make demo PYTHON=python3.12")'
	@echo "Installing Tailguard into $(VENV); this takes a minute."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --editable .
	@touch $@

$(VENV)/tested: $(VENV)/installed
	@echo "Installing what the tests need; this takes a minute or two."
	@$(PIP) install --editable '.[test]'
	@touch $@
