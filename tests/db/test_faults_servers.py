"""The server is killed while shards are split, and comes back: nothing is lost, and it goes on."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from faults import At, FaultShop, small_steps
from managers import SteppedClock
from servers import MariaDB, MySQLFleet, running_mariadb
from shardhash.errors import PreflightError, StoppedError

MOMENTS = {
    "copy on the target": ("b", "copy orders", 20),
    "copy on the source": ("a", "copy orders", 20),
    "comparison": ("b", "compare orders", 0),
    "between flip and open": ("b", "let s2 take writes", 0),
    "prune": ("a", "delete the old rows of orders", 1),
}


@pytest.fixture(scope="module")
def pair(
    prepared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, MariaDB]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                running_mariadb(prepared_data, tmp_path_factory.mktemp(f"server-{name}"))
            )
            for name in "ab"
        }


@pytest.fixture
def servers(pair: dict[str, MariaDB]) -> Iterator[dict[str, MariaDB]]:
    """Two servers that a test may kill; they run again when it ends."""
    yield pair
    for server in pair.values():
        server.kill()
        server.start()


@pytest.fixture
def shop(servers: dict[str, MariaDB], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultShop:
    small_steps(monkeypatch)
    return FaultShop(MySQLFleet(tmp_path, servers=servers))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_server_that_is_killed_stops_a_split_which_goes_on_when_it_is_back(
    shop: FaultShop, servers: dict[str, MariaDB], moment: str
) -> None:
    instance, words, rows = MOMENTS[moment]

    error = shop.stopped(at=At(words, servers[instance].kill, rows=rows))
    assert f"instance {instance}" in str(error)
    servers[instance].start()
    shop.resume()

    shop.check_split()


def test_a_split_whose_target_was_killed_is_taken_back_when_it_is_back(
    shop: FaultShop, servers: dict[str, MariaDB]
) -> None:
    error = shop.stopped(at=At("copy items", servers["b"].kill))
    assert f"op abort {shop.unfinished()}" in error.next_step

    with pytest.raises(Exception, match="instance b"):
        shop.abort()
    servers["b"].start()
    shop.abort()

    shop.check_taken_back()


def test_a_server_that_dies_while_the_fence_waits_keeps_what_was_acknowledged(
    shop: FaultShop, servers: dict[str, MariaDB]
) -> None:
    """The writer that the fence waits for dies with the server: its row was never acknowledged."""
    shop.add("s1", shop.key(moves=True), 500)
    with closing(shop.fleet.server("s1").connect(shop.fleet.database("s1"))) as writer:
        writer.begin()
        writer.cursor().execute("UPDATE orders SET x = 9")

        shop.stopped(clock=SteppedClock(then=servers["a"].kill))
    servers["a"].start()
    shop.resume()

    shop.check_split()


def test_a_fence_that_the_source_has_forgotten_stops_what_goes_on(
    shop: FaultShop, servers: dict[str, MariaDB]
) -> None:
    """As after a crash without durable commits: the slots are open again, and a row changes."""
    shop.stopped(at=At("compare items", servers["a"].kill))
    servers["a"].start()
    shop.fleet.sql("s1", f"UPDATE {shop.control('s1', '_shardhash_slots')} SET state = 'owned'")
    key = next(row[1] for row in shop.rows["orders"] if shop.moves(row[1]))
    shop.write("s1", "UPDATE orders SET note = 'later' WHERE k = %s", key)
    shop.change("orders", key, note="later")

    with pytest.raises(StoppedError, match="8 slots of by_k are not fenced on s1 any more") as stop:
        shop.resume()
    assert stop.value.next_step.endswith(f"shardhash op abort {shop.unfinished()}")
    shop.abort()

    shop.check_taken_back()
    shop.apply()
    shop.check_split()


@pytest.mark.parametrize(("instance", "setting"), [("a", 0), ("a", 2), ("b", 0)])
def test_a_server_that_could_forget_commits_is_refused_before_anything_is_done(
    shop: FaultShop, servers: dict[str, MariaDB], instance: str, setting: int
) -> None:
    servers[instance].sql(f"SET GLOBAL innodb_flush_log_at_trx_commit = {setting}")

    with pytest.raises(PreflightError, match="a crash of its server could forget") as refused:
        shop.plan()

    assert refused.value.exit_code == 3
    assert "SET GLOBAL innodb_flush_log_at_trx_commit = 1" in refused.value.next_step
    shop.check_taken_back()


def test_a_server_that_could_forget_commits_since_the_plan_stops_at_its_fence(
    shop: FaultShop, servers: dict[str, MariaDB]
) -> None:
    plan = shop.plan()
    servers["a"].sql("SET GLOBAL innodb_flush_log_at_trx_commit = 0")

    error = shop.stopped(plan)
    assert "SET GLOBAL innodb_flush_log_at_trx_commit = 1" in error.next_step
    assert set(shop.states("s1").values()) == {"owned"}
    servers["a"].sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    shop.resume()

    shop.check_split()
