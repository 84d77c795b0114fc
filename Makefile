# make run: see it work. make demo: the whole story in some minutes. make test: prove it. Both need nothing but Python 3.11 or newer and pip.

# python3, or a newer one where that is 3.11: its comment says why.
PYTHON ?= $(shell .ci/python)
BIN := .venv/bin
ARGS ?=
# From 3.12 on Python itself tells which lines ran, next to free; a tracer doubles what tests take.
CORE = $(shell $(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")')
WORKERS = $(shell $(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')
COVERED = COVERAGE_CORE=$(CORE) $(BIN)/python -m coverage run -m pytest

# Images of containers set it, and each of the hundreds of processes that tests start would compile the
# product's modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run demo kernels test test-kafka faults check format bench constraints clean

run: .venv/run
	$(BIN)/python -m sentinel run $(ARGS)

demo: .venv/run
	$(BIN)/python -m sentinel demo $(ARGS)

# Compiled once, before there are several processes and a tracer.
kernels: .venv/dev
	$(BIN)/python -m tests

# What needs a server waits for most of its time: there is one process more than there are cores, and
# who has nothing left takes tests from another. Of some tests, by ARGS, no coverage is asked.
test: kernels
ifneq ($(ARGS),)
	$(BIN)/python -m pytest $(ARGS)
else
	rm -f .coverage .coverage.*
	$(COVERED) -n $(WORKERS) --dist worksteal
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=85 --skip-covered --sort=cover
	$(BIN)/python -m coverage report --fail-under=95 --include='sentinel/core/*' --format=total
endif

# On Apache Kafka, of which Maven fetches 43 MB the first time; it runs on Java 17. One after the
# other: strikes beside each other's brokers fail for want of a core.
test-kafka: kernels
	$(BIN)/python -m tests.kafka.cluster
	SENTINEL_TEST_KAFKA=1 $(BIN)/python -m pytest -m kafka $(ARGS)

# Hours: strikes the label chain, and then every fault, twenty times on each of its brokers, and
# prints what came of it. ARGS are for the latter.
faults: .venv/dev
	$(BIN)/python -m tests.faults.labels
	$(BIN)/python -m tests.kafka.cluster
	$(BIN)/python -m tests.faults $(ARGS)

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev
	$(BIN)/python benchmarks/forest.py --quick
	$(BIN)/python benchmarks/features.py --quick
	$(BIN)/python -m benchmarks.latency --quick
	$(BIN)/python -m benchmarks.scale --quick

constraints: .venv/dev
	{ sed '/^[^#]/,$$d' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable; } > .venv/constraints
	mv .venv/constraints constraints.txt

clean:
	rm -rf .venv .sentinel .cache/kernels .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Sentinel needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

.venv/run: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded]'
	touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,dev]'
	touch $@ .venv/run
