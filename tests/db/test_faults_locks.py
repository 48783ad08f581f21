"""Applications that hold rows and slots while shards are split: waits, deadlocks, XA."""

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faults import At, FaultShop, small_steps
from managers import SteppedClock
from servers import Fleet, MariaDB, MySQLFleet, wait_until
from shardhash.db import prepare_sqlite
from shardhash.db.connections import SessionSettings
from shardhash.errors import PreflightError, StoppedError

WAITS = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"


@pytest.fixture
def shop(mysql_fleet: MySQLFleet, monkeypatch: pytest.MonkeyPatch) -> FaultShop:
    small_steps(monkeypatch)
    return FaultShop(mysql_fleet)


def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sessions of operations wait one second for a lock."""
    exact = SessionSettings.operations

    def quick() -> SessionSettings:
        return replace(exact(), lock_wait_s=1)

    monkeypatch.setattr(SessionSettings, "operations", quick)


@contextmanager
def transaction(shop: FaultShop, shard: str, statement: str) -> Iterator[Any]:
    """Yield an application's connection that has run a statement and not committed it."""
    with closing(shop.fleet.connect(shard)) as app:
        if shop.fleet.kind == "sqlite":
            prepare_sqlite(app)
        app.cursor().execute("BEGIN")
        app.cursor().execute(statement)
        yield app


def test_a_transaction_in_the_way_stops_the_fence_and_is_named(
    backend: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_steps(monkeypatch)
    short_waits(monkeypatch)
    shop = FaultShop(backend)
    row = (900, shop.key(moves=True), 1, "in flight")
    with ExitStack() as stack:
        apps: list[Any] = []

        def hold() -> None:
            writing = transaction(shop, "s1", f"INSERT INTO orders VALUES {row}")
            apps.append(stack.enter_context(writing))

        plan = shop.plan(fence_wait_s=3)
        error = shop.stopped(plan, at=At("refuse writes", hold), clock=SteppedClock())
        assert "8 slots of by_k on shard s1 could not be fenced in 3 s" in str(error)
        if backend.kind == "mysql":
            assert f"connection {apps[0].thread_id()} of root" in str(error)
        mend = "let them end, or KILL each on the server of s1, or wait longer with --fence-wait"
        assert error.next_step.startswith(f"{mend} SECONDS; then shardhash op resume ")
        assert set(shop.states("s1").values()) == {"owned"}
        apps[0].commit()
    shop.rows["orders"].append(row)
    shop.add("s1", shop.key(moves=True), 901)

    shop.resume()

    shop.check_split()


def test_a_transaction_that_rolls_back_lets_the_fence_pass_at_its_next_try(
    shop: FaultShop,
) -> None:
    key = shop.key(moves=True)
    with transaction(shop, "s1", f"INSERT INTO orders VALUES (900, {key}, 1, 'gone')") as app:
        shop.apply(clock=SteppedClock(then=app.rollback))

    shop.check_split()


def test_a_writer_of_other_slots_holds_nothing_up(shop: FaultShop) -> None:
    key = shop.key(moves=False)
    row = (900, key, 1, "other")
    with transaction(shop, "s1", f"INSERT INTO orders VALUES {row}") as app:
        at = At("compare orders", app.commit)
        shop.apply(shop.plan(fence_wait_s=0), at=at)
    shop.rows["orders"].append(row)

    shop.check_split()


@pytest.mark.parametrize(
    ("words", "shard"), [("copy orders", "s2"), ("delete the old rows of orders", "s1")]
)
def test_a_lock_that_is_held_too_long_stops_after_a_batch_was_tried_again(
    shop: FaultShop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    words: str,
    shard: str,
) -> None:
    short_waits(monkeypatch)
    plan = shop.plan()
    with ExitStack() as stack:

        def hold() -> None:
            locks = f"SELECT * FROM {shop.control(shard, '_shardhash_fence')} FOR UPDATE"
            stack.enter_context(transaction(shop, shard, locks))

        with caplog.at_level(logging.WARNING, "shardhash.db.connections"):
            error = shop.stopped(plan, at=At(words, hold))
    assert "lock wait" in str(error)
    assert "tried 6 times" in str(error)
    assert "end the transaction that holds the lock" in error.next_step
    assert len(caplog.records) >= 5
    shop.resume()

    shop.check_split()


def test_a_deadlock_with_an_application_is_tried_again(
    shop: FaultShop, caplog: pytest.LogCaptureFixture
) -> None:
    """The prune holds its page's mark and waits for a row; whoever has that wants the mark."""
    server = shop.fleet.server("s1")
    marks = f"SELECT * FROM {shop.control('s1', '_shardhash_pages')} FOR UPDATE"
    kept = [row[1] for row in shop.rows["orders"] if not shop.moves(row[1])]
    for key in kept:
        shop.change("orders", key, x=5)

    def meet(app: Any) -> None:
        wait_until(lambda: server.sql(WAITS)[0][1] != "0", what="the prune to wait for a row")
        app.cursor().execute(marks)
        app.commit()
        app.close()

    with ThreadPoolExecutor(1) as pool:
        meeting: list[Future[None]] = []

        def hold() -> None:
            app = server.connect(shop.fleet.database("s1"))
            app.begin()
            # the transaction that has changed less is the one that a deadlock ends
            app.cursor().execute(f"UPDATE orders SET x = 5 WHERE k IN {tuple(kept)}")
            meeting.append(pool.submit(meet, app))

        with caplog.at_level(logging.WARNING, "shardhash.db.connections"):
            shop.apply(at=At("delete the old rows of orders", hold))
    meeting[0].result()

    assert "'reason': 'deadlock'" in caplog.text
    shop.check_split()


def test_a_prepared_transaction_is_refused_by_the_plan_and_stops_the_fence(
    start_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its locks are gone, and its row would land after the fence."""
    small_steps(monkeypatch)
    server: MariaDB = start_server()
    shop = FaultShop(MySQLFleet(tmp_path, servers={"a": server, "b": server}))
    plan = shop.plan()
    row = (900, shop.key(moves=True), 1, "prepared")
    with closing(server.connect(shop.fleet.database("s1"))) as app:
        cursor = app.cursor()
        cursor.execute("XA START 'branch'")
        cursor.execute(f"INSERT INTO orders VALUES {row}")
        cursor.execute("XA END 'branch'")
        cursor.execute("XA PREPARE 'branch'")

        with pytest.raises(PreflightError, match="prepared XA transactions there") as refused:
            shop.plan()
        assert "XA COMMIT or XA ROLLBACK" in refused.value.next_step
        error = shop.stopped(plan, clock=SteppedClock())
        assert "1 prepared XA transactions (XA RECOVER lists them)" in str(error)
        assert set(shop.states("s1").values()) == {"owned"}
        server.kill()  # a prepared transaction outlives it
        server.start()
        stops = pytest.raises(StoppedError, match="1 prepared XA")
        with shop.operations(clock=SteppedClock()) as operations, stops:
            operations.resume(shop.unfinished())
        server.sql("XA COMMIT 'branch'")
    shop.rows["orders"].append(row)
    shop.resume()

    shop.check_split()
