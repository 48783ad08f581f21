"""Schemas, rights and guards that are not what a plan takes them for, or change under it."""

import pytest

from faults import At, FaultShop, small_steps
from servers import Fleet, MySQLFleet
from shardhash.errors import PreflightError, StalePlanError, StoppedError

PASSWORD = "of the operator"


@pytest.fixture
def shop(backend: Fleet, monkeypatch: pytest.MonkeyPatch) -> FaultShop:
    small_steps(monkeypatch)
    return FaultShop(backend)


def allocated(shop: FaultShop) -> None:
    """Make s2, which owns nothing yet."""
    with shop.operations() as operations:
        plan = operations.plan_allocate("s2", instance="b", mapping="by_k")
        operations.apply(shop.known(plan))


@pytest.mark.parametrize("shard", ["s1", "s2"])
@pytest.mark.parametrize("change", ["ADD COLUMN later INT", "ALTER note"])
def test_a_table_that_was_altered_since_the_plan_makes_it_stale(
    shop: FaultShop, shard: str, change: str
) -> None:
    if shop.fleet.kind == "sqlite":
        change = "ADD COLUMN later INT" if "ADD" in change else "DROP COLUMN note"
    elif "note" in change:
        change = "MODIFY note VARCHAR(5000)"
    allocated(shop)
    with shop.operations() as operations:
        plan = operations.plan_move("s1", "s2", slots="8-15", freeze=True)
    without_guards(shop, shard, f"ALTER TABLE orders {change}")

    with pytest.raises(StalePlanError, match=f"table orders of {shard} changed") as refused:
        shop.apply(plan)

    assert refused.value.exit_code == 3
    assert set(shop.states("s1").values()) == {"owned"}
    assert set(shop.states("s2").values()) == {"foreign"}


@pytest.mark.parametrize("shard", ["s1", "s2"])
def test_tables_that_differ_are_refused_by_the_plan(shop: FaultShop, shard: str) -> None:
    allocated(shop)
    without_guards(shop, shard, "ALTER TABLE orders ADD COLUMN later INT")

    with shop.operations() as operations, pytest.raises(PreflightError, match="column later"):
        operations.plan_move("s1", "s2", slots="8-15", freeze=True)


def without_guards(shop: FaultShop, shard: str, statement: str) -> None:
    """Alter a table; SQLite cannot while triggers on it call functions that it does not know."""
    if shop.fleet.kind == "sqlite":
        from contextlib import closing

        from shardhash.db import prepare_sqlite

        with closing(shop.fleet.connect(shard)) as connection:
            prepare_sqlite(connection)
            connection.execute(statement)
        return
    shop.fleet.sql(shard, statement)


ADD = "ALTER TABLE orders ADD COLUMN later INT DEFAULT 7"
OLD_ROWS = "delete the old rows of orders"
MOMENTS = ("copy items", "compare items", "make s2 the owner")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_column_that_is_added_meanwhile_stops_what_goes_on(shop: FaultShop, moment: str) -> None:
    """Rows that were copied have no value in it."""
    error = shop.stopped(at=At(moment, lambda: without_guards(shop, "s1", ADD)))
    assert "orders" in str(error)
    assert "later" in str(error) or "changed" in str(error)
    shop.abort()

    assert [row[:4] for row in shop.table("s1", "orders")] == shop.rows["orders"]
    without_guards(shop, "s1", "ALTER TABLE orders DROP COLUMN later")
    shop.check_taken_back()


def test_a_column_that_is_added_before_the_prune_keeps_the_old_rows_until_it_is_gone(
    shop: FaultShop,
) -> None:
    error = shop.stopped(at=At(OLD_ROWS, lambda: without_guards(shop, "s1", ADD)))
    assert "table orders of s1 changed since the plan was made" in str(error)
    with pytest.raises(StoppedError, match="table orders of s1 changed since the plan"):
        shop.resume()
    without_guards(shop, "s1", "ALTER TABLE orders DROP COLUMN later")
    shop.resume()

    shop.check_split()


CHILD = "CREATE TABLE notes (id BIGINT PRIMARY KEY, o {type}, CONSTRAINT of_order "
CHILD += "FOREIGN KEY (o) REFERENCES orders (id) ON DELETE {action})"


@pytest.mark.parametrize(
    "change",
    [
        "CREATE UNIQUE INDEX one_note ON orders (note)",
        CHILD.replace("{action}", "RESTRICT"),
        "CREATE TRIGGER seen AFTER UPDATE ON orders FOR EACH ROW {body}",
    ],
    ids=["unique key", "child", "trigger"],
)
def test_what_is_no_harm_to_a_delete_does_not_stop_the_prune(shop: FaultShop, change: str) -> None:
    shop.apply(at=At(OLD_ROWS, lambda: without_guards(shop, "s1", spelled(shop, change))))

    shop.check_split()


@pytest.mark.parametrize(
    ("change", "told", "back"),
    [
        (CHILD.replace("{action}", "CASCADE"), "of notes says ON DELETE", "DROP TABLE notes"),
        (
            "CREATE TRIGGER seen AFTER DELETE ON orders FOR EACH ROW {body}",
            "DELETE fires trigger seen",
            "DROP TRIGGER seen",
        ),
    ],
    ids=["child", "trigger"],
)
def test_what_would_change_more_with_each_delete_stops_the_prune(
    shop: FaultShop, change: str, told: str, back: str
) -> None:
    statement = spelled(shop, change)
    error = shop.stopped(at=At(OLD_ROWS, lambda: without_guards(shop, "s1", statement)))
    assert told in str(error)
    without_guards(shop, "s1", back)
    shop.resume()

    shop.check_split()


def spelled(shop: FaultShop, statement: str) -> str:
    """Return a statement in the words of the shop's servers."""
    if shop.fleet.kind == "sqlite":
        return statement.replace("{type}", "INTEGER").replace("{body}", "BEGIN SELECT 1; END")
    return statement.replace("{type}", "BIGINT").replace("{body}", "SET @seen = 1")


def test_a_new_child_of_a_table_that_refers_to_itself_stops_the_prune(
    mysql_fleet: MySQLFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The references of such a table are not checked while its rows go."""
    small_steps(monkeypatch)
    shop = FaultShop(mysql_fleet)
    shop.fleet.sql(
        "s1", "ALTER TABLE orders ADD CONSTRAINT own FOREIGN KEY (id) REFERENCES orders (id)"
    )
    child = spelled(shop, CHILD.replace("{action}", "RESTRICT"))
    error = shop.stopped(at=At(OLD_ROWS, lambda: shop.fleet.sql("s1", child)))
    assert "of_order of notes is new" in str(error)
    shop.fleet.sql("s1", "DROP TABLE notes")
    shop.resume()

    shop.check_split()


@pytest.mark.parametrize("event", ["INSERT", "UPDATE"])
@pytest.mark.parametrize("moment", ["copy items", "make s2 the owner"])
def test_a_guard_that_somebody_drops_stops_what_goes_on(
    shop: FaultShop, event: str, moment: str
) -> None:
    """What is written past it is not lost: the source keeps it when the split is taken back."""
    row = (900, shop.key(moves=True), 1, "past the guards")

    def drop_and_write() -> None:
        shop.fleet.sql("s1", f"DROP TRIGGER {trigger(shop, 's1', event)}")
        if event == "INSERT":
            shop.add("s1", row[1], row[0])
            return
        key = next(row[1] for row in shop.rows["orders"] if shop.moves(row[1]))
        shop.write("s1", "UPDATE orders SET note = 'past' WHERE k = %s", key)
        shop.change("orders", key, note="past")

    is_flip = "owner" in moment
    error = shop.stopped(at=At(moment, drop_and_write), for_good=is_flip)
    told = "s1 does not refuse writes any more" if is_flip else "differs between s1 and s2"
    assert told in str(error)
    shop.abort()

    for table, rows in shop.rows.items():
        assert shop.table("s1", table) == sorted(rows)
    with shop.operations() as operations, pytest.raises(PreflightError, match="guard of orders"):
        operations.plan_split("s1", "s2", instance="b", freeze=True)
    with shop.operations() as operations:
        operations.apply(operations.plan_guard("by_k"))
    shop.apply()
    shop.check_split()


def test_slots_that_somebody_opens_stop_the_flip(shop: FaultShop) -> None:
    """The rows were equal when they were compared; what came since is on the source alone."""
    key = shop.key(moves=True)

    def open_and_write() -> None:
        slots = shop.control("s1", "_shardhash_slots")
        shop.fleet.sql("s1", f"UPDATE {slots} SET state = 'owned' WHERE slot >= 8")
        shop.add("s1", key, 900)

    error = shop.stopped(at=At("make s2 the owner", open_and_write), for_good=True)
    assert "8 slots of by_k are not fenced on s1 any more (8-15)" in str(error)
    assert "rows may have changed since they were copied" in str(error)
    shop.abort()

    shop.check_taken_back()


@pytest.mark.parametrize("moment", ["copy items", "compare items"])
def test_a_target_that_is_emptied_meanwhile_does_not_become_the_owner(
    shop: FaultShop, moment: str
) -> None:
    """TRUNCATE fires no trigger; the source still has every row."""
    is_compared = "compare" in moment
    error = shop.stopped(at=At(moment, lambda: empty(shop, "s2")), for_good=is_compared)
    told = "s2 has no row of orders any more" if is_compared else "orders differs between s1 and s2"
    assert told in str(error)
    assert f"op abort {shop.unfinished()}" in error.next_step
    shop.abort()

    shop.check_taken_back()


def test_a_source_that_is_emptied_meanwhile_leaves_the_copy_until_somebody_aborts(
    shop: FaultShop,
) -> None:
    error = shop.stopped(at=At("copy items", lambda: empty(shop, "s1")))

    assert "orders differs between s1 and s2" in str(error)
    moved = [row for row in shop.rows["orders"] if shop.moves(row[1])]
    assert shop.table("s2", "orders") == moved


@pytest.mark.parametrize("moment", ["compare items", "delete the old rows of items"])
def test_old_rows_that_somebody_has_deleted_need_no_prune(shop: FaultShop, moment: str) -> None:
    gone = sum(shop.moves(row[1]) for row in shop.rows["orders"])
    report = shop.apply(at=At(moment, lambda: empty(shop, "s1")))

    assert report.warnings == (f"orders: somebody else has deleted {gone} of its old rows on s1",)
    assert report.rows["orders"].deleted == 0
    shop.rows["orders"] = [row for row in shop.rows["orders"] if shop.moves(row[1])]
    shop.check_split()


def empty(shop: FaultShop, shard: str) -> None:
    """Empty the orders of a shard as a client does that no guard sees."""
    if shop.fleet.kind == "mysql":
        shop.fleet.sql(shard, "TRUNCATE orders")
        return
    found = shop.fleet.sql(shard, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    for name, _ in found:
        shop.fleet.sql(shard, f'DROP TRIGGER "{name}"')
    shop.fleet.sql(shard, "DELETE FROM orders")
    for _, text in found:
        shop.fleet.sql(shard, text)


def trigger(shop: FaultShop, shard: str, event: str) -> str:
    """Return the name of the guard of orders for an event."""
    if shop.fleet.kind == "mysql":
        rows = shop.fleet.sql(shard, "SHOW TRIGGERS")
        return next(row[0] for row in rows if (row[1], row[2]) == (event, "orders"))
    found = shop.fleet.sql(shard, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    return next(
        f'"{name}"' for name, text in found if f"AFTER {event}" in text and "orders" in text
    )


def test_an_index_that_is_dropped_meanwhile_is_no_harm(
    mysql_fleet: MySQLFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_steps(monkeypatch)
    shop = FaultShop(mysql_fleet)

    shop.apply(at=At("copy orders", lambda: shop.fleet.sql("s1", "DROP INDEX by_k ON orders")))

    shop.check_split()
