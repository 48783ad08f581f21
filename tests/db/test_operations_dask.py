"""Verify and prune on two worker processes: what they find and do is what threads find and do."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from dask_workers import dask_cluster
from pruning import by_key, ids, make_shards, owner_by_zlib
from shardhash.db import Cluster, Config
from shardhash.db.operations import Operations
from shardhash.db.workers import dask_executor
from shardhash.errors import UsageError

ROWS = [(number, number % 400, f"x{number}") for number in range(2000)]


@pytest.fixture(scope="module")
def address():
    with dask_cluster() as address:
        yield address


@pytest.fixture
def path(backend):
    """Two shards that both hold all rows, but for one that its owner has otherwise."""
    make_shards(
        backend, "CREATE TABLE orders (id INT PRIMARY KEY, k INT, x VARCHAR(20))",
        "CREATE INDEX orders_k ON orders (k)",
    )  # fmt: skip
    for shard in ("s1", "s2"):
        for start in range(0, len(ROWS), 500):
            fill_block(backend, shard, ROWS[start : start + 500])
    differing = next(number for number, key, _ in ROWS if owner_by_zlib(key) == "s2")
    backend.sql("s2", "UPDATE orders SET x = 'other' WHERE id = %s", (differing,))
    return backend.write_config(by_key())


def fill_block(fleet, shard, rows):
    values = ", ".join(["(%s, %s, %s)"] * len(rows))
    flat = tuple(value for row in rows for value in row)
    fleet.sql(shard, f"INSERT INTO orders VALUES {values}", flat)


def foreign(fleet, shard):
    return [number for number, key, _ in ROWS if owner_by_zlib(key) != shard]


def test_verify_on_workers_finds_what_verify_finds_here(path, address):
    with Cluster.open(path) as cluster, dask_executor(address) as workers:
        here = cluster.operations.verify()
        on_workers = cluster.operations.verify(executor=workers)
        beside = cluster.operations.verify("s1", against="s2", executor=workers)

    assert on_workers == here
    assert here.misplaced > 1000
    assert [len(table.misplaced_rows) for table in on_workers.tables] == [10, 10]
    assert len(beside.mismatches) == 1


def test_prune_on_workers_does_what_prune_does_on_threads(backend, path, address):
    with Cluster.open(path) as cluster, dask_executor(address) as workers:
        plan = cluster.operations.plan_prune("s1")
        report = cluster.operations.apply(plan, executor=workers)
        threads = cluster.operations.apply(cluster.operations.plan_prune("s2"))

    (kept,) = report.kept_rows
    assert (kept.owner, kept.reason) == ("s2", "differs there")
    counts = report.rows["orders"]
    assert counts.deleted == len(foreign(backend, "s1")) - 1
    assert counts.kept == 1
    assert ids(backend, "s1") == sorted(
        [number for number, key, _ in ROWS if owner_by_zlib(key) == "s1"] + list(kept.primary_key)
    )
    assert threads.rows["orders"].deleted == len(foreign(backend, "s2"))
    assert not report.warnings


def test_workers_write_past_guards_by_a_pass_of_their_own(backend, path, address):
    with Cluster.open(path) as cluster, dask_executor(address) as workers:
        cluster.operations.apply(cluster.operations.plan_guard("by_key"))
        plan = cluster.operations.plan_prune("s2")
        report = cluster.operations.apply(plan, executor=workers)

    assert report.rows["orders"].deleted == len(foreign(backend, "s2"))


def test_a_batch_that_runs_twice_deletes_nothing_more(backend, path, monkeypatch):
    """Dask runs a task again when its worker died, also where the work had been done."""

    class Twice(ThreadPoolExecutor):
        def submit(self, do, order, primary_keys):
            sent = pickle.loads(pickle.dumps(order))
            done = super().submit(do, sent, primary_keys)
            again = super().submit(do, sent, primary_keys)
            assert done.result().deleted
            assert not again.result().deleted
            return done

    monkeypatch.setattr("shardhash.db.processes.Workers.is_here", property(lambda _: False))
    with Cluster.open(path) as cluster, Twice(1) as workers:
        report = cluster.operations.apply(cluster.operations.plan_prune("s2"), executor=workers)

    assert report.rows["orders"].deleted == len(foreign(backend, "s2"))


def test_threads_that_are_given_stay_in_the_process(backend, path):
    with Cluster.open(path) as cluster, ThreadPoolExecutor(2) as threads:
        verified = cluster.operations.verify(executor=threads)
        report = cluster.operations.apply(cluster.operations.plan_prune("s2"), executor=threads)

        assert verified.misplaced
        assert report.rows["orders"].after == len(ROWS) - len(foreign(backend, "s2"))


def test_work_for_other_processes_needs_a_configuration_that_they_can_load(path, address):
    config = Config.load(path)
    with (
        Operations(config) as operations,
        dask_executor(address) as workers,
        pytest.raises(UsageError, match="no path or URL"),
    ):
        operations.verify(executor=workers)
