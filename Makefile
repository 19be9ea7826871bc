# The commands of the house. `make demo` and `make test` need Python >= 3.11 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Compiled once, not at each call: without it every run spends its first seconds on compiling tests.
unexport PYTHONDONTWRITEBYTECODE

# Where there is a gigabyte of memory for it, the unit tests keep their files there, and only those of tests that
# failed: syncing and deleting on a disk is a quarter of their time. `make test` uses the disk.
IN_MEMORY := $(shell df -k /dev/shm 2>/dev/null | awk '$$1 == "tmpfs" && $$4 > 1048576 { print "PYTEST_DEBUG_TEMPROOT=/dev/shm" }')

# Two plain processes, each with rooms of its own, take half of what pytest-xdist takes for tests as short as these:
# no report travels, and nothing is collected twice. New rooms come to the second until somebody weighs them again.
UNIT := $(IN_MEMORY) $(BIN)/pytest -q -p no:xdist -p no:logging -m "not interop and not slow" --hypothesis-profile quick \
	-o tmp_path_retention_policy=failed
FIRST := $(addprefix tests/,api authenticity certificates cli config delivery diagnosis directory documents identity inbox \
	mail policy setup storage torture)

SECONDS ?= 60

.PHONY: demo test check lint check-unit check-first check-second install format bench torture fuzz clean

define PYTHON_IS_NEW
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Merpati needs Python 3.11 or newer: make PYTHON=python3.11 …")'
endef

$(VENV)/.run: pyproject.toml
	$(PYTHON_IS_NEW)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e .
	touch $@

# PIP names the pip of another venv where there is one: to have its own takes a third of a venv's time. Nothing is
# compiled before it is imported: most of it never is.
$(VENV)/.dev: pyproject.toml
	$(PYTHON_IS_NEW)
	test -x $(BIN)/python || $(PYTHON) -m venv $(if $(PIP),--without-pip) $(VENV)
	$(if $(PIP),,$(BIN)/pip install -q --disable-pip-version-check --upgrade 'pip>=25.1')
	$(or $(PIP),$(BIN)/pip) --python $(BIN)/python install -q --disable-pip-version-check --no-compile -e . --group dev
	touch $(VENV)/.run $@

install: $(VENV)/.run

# SEEDS=1000 START=0 say which; each failure says how to replay it.
.PHONY: simulate
simulate: $(VENV)/.dev
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000) --start $(or $(START),0)

demo: $(VENV)/.run
	$(BIN)/python examples/demo.py $(if $(ONCE),--once)

check: lint
	@$(MAKE) --no-print-directory check-unit

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check-unit: $(VENV)/.dev
	@$(MAKE) -j 2 --output-sync --no-print-directory check-first check-second

check-first:
	$(UNIT) $(FIRST)

check-second:
	$(UNIT) tests $(addprefix --ignore=,$(FIRST))

# Tests of whole servers wait for half of their time, so there is one process more than there are cores.
test: lint
	$(BIN)/pytest -n $(or $(WORKERS),$(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal -rs tests

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# FULL=1 takes every case, which is about an hour, and leaves the chart as it is.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(if $(FULL),--full,--chart docs/performance.svg)

# RUNS="kill power" chooses; SHORT=1 takes the counts of CI; RESUME=folder goes on with a run that was stopped.
torture: $(VENV)/.dev
	$(BIN)/python -m torture $(RUNS) $(if $(SHORT),--short) $(if $(RESUME),--resume $(RESUME))

# Guided by coverage where `pip install --group fuzz` could install atheris (Python >= 3.12).
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

clean:
	rm -rf $(VENV) demo-data .pytest_cache .mypy_cache .ruff_cache
