# Two commands: `make demo` shows the whole story, `make test` proves it. Both make what they need.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: demo test check format clean

demo: $(STAMP)
	$(BIN)/offramp demo --out demo

test: $(STAMP)
	PATH="$(abspath $(BIN)):$$PATH" scripts/test

check: $(STAMP)
	PATH="$(abspath $(BIN)):$$PATH" scripts/check

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[all,test]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) demo build dist src/*.egg-info
