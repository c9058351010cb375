# Set-up and everyday commands. `make demo` and `make test` need Python 3.11 or newer, git and make; the rest is installed.
#
#   make demo TORCH_INDEX=URL    takes PyTorch from that wheel index (its CPU or one of its CUDA builds) instead of pip's own
#   make demo PYTHON=python3.12  creates .venv with another Python

PYTHON      ?= python3
VENV        ?= .venv
TORCH_INDEX ?=

TORCH_VERSION     := $(shell sed -n 's/.*"torch==\([0-9.]*\)".*/\1/p' pyproject.toml)
TORCH_INDEX_FLAGS := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))

BIN       := $(VENV)/bin
PIP       := $(BIN)/python -m pip --disable-pip-version-check install --quiet
STAMP     := $(VENV)/.penumbra
TORCH     := $(STAMP)/torch-$(TORCH_VERSION)-$(or $(notdir $(TORCH_INDEX:/=)),default)
INSTALLED := $(STAMP)/installed
DEV       := $(STAMP)/dev

.DEFAULT_GOAL := help
.PHONY: help setup device demo test lint bench clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    set up and render shot_010 to renders/"
	@echo "make test    set up and run all tests"
	@echo "make lint    ruff and mypy"
	@echo "make bench   every benchmark, quick; writes docs/results/"
	@echo "make clean   remove $(VENV)"

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Penumbra needs Python 3.11 or newer, and '$(PYTHON)' was not found; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Penumbra needs Python 3.11 or newer, '$(PYTHON)' is $$($(PYTHON) -V 2>&1 | head -n 1); name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python cannot create virtual environments here; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# One stamp per build of torch: asking for another index replaces the build that is there.
$(TORCH): | $(BIN)/python
	@echo "Installing torch $(TORCH_VERSION) (some minutes, the first time)"
	@mkdir -p $(STAMP)
	@if ls $(STAMP)/torch-* >/dev/null 2>&1; then $(BIN)/python -m pip uninstall --quiet --yes torch; rm -f $(STAMP)/torch-*; fi
	@$(PIP) torch==$(TORCH_VERSION) $(TORCH_INDEX_FLAGS)
	@touch $@

$(INSTALLED): pyproject.toml $(TORCH)
	@echo "Installing Penumbra"
	@$(PIP) --editable '.[oidn,farm,learn,preview,capture,storage]'
	@touch $@

$(DEV): $(INSTALLED)
	@echo "Installing the tools for tests"
	@$(PIP) --editable '.[oidn,farm,learn,preview,capture,storage,usd,dev]'
	@touch $@

# A device that renders: CUDA or LLVM, tried in a subprocess and remembered. Root on Debian gets the library installed.
device: $(INSTALLED)
	@if $(BIN)/python -m pipeline.device 2>/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing libllvm19"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y libllvm19 >/dev/null; \
	  $(BIN)/python -m pipeline.device; \
	else $(BIN)/python -m pipeline.device; fi

setup: device

demo: setup
	@$(BIN)/pipeline submit shot_010

test: setup $(DEV)
	@$(BIN)/python -m pytest -q $(PYTEST_FLAGS)

lint: $(DEV)
	@$(BIN)/ruff check .
	@$(BIN)/mypy pipeline workers

bench: setup $(DEV)
	@for file in benchmarks/[a-z]*.py; do \
	  grep -q '^    .*main("' $$file || continue; name=$$(basename $$file .py); \
	  echo "== $$name"; $(BIN)/python -m benchmarks.$$name --quick --json docs/results/$$name.json || exit 1; \
	done

clean:
	rm -rf $(VENV)
