"""Connections that are lost around a statement: whether it was done is looked up, not guessed."""

import os
import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event

import pytest

from faults import At, Cut, CuttingProxy, FaultShop, small_steps
from servers import MySQLFleet, wait_until
from shardhash.errors import DatabaseError, StoppedError

SEED = int(os.environ.get("SHARDHASH_CUT_SEED", random.SystemRandom().randrange(10**6)))
DRAWS = int(os.environ.get("SHARDHASH_CUT_DRAWS", 4))
STATEMENTS = {"a": 250, "b": 240}
"""About how many a split sends to each."""
MOMENTS = {
    "batch of a copy": ("b", "copy orders", 20),
    "fence": ("a", "refuse writes", 0),
    "opening on the old owner": ("a", "let s2 take writes", 0),
    "opening on the new owner": ("b", "let s2 take writes", 0),
    "record of compared pages": ("a", "compare orders", 0),
    "batch of a prune": ("a", "delete the old rows of orders", 1),
}


class ProxiedShop(FaultShop):
    """A shop whose servers are behind proxies."""

    proxies: dict[str, CuttingProxy]

    @classmethod
    def behind(cls, fleet: MySQLFleet, proxies: dict[str, CuttingProxy]) -> "ProxiedShop":
        """Return a shop whose configuration knows the proxies, not the servers."""
        shop = cls(fleet, urls={name: proxy.url for name, proxy in proxies.items()})
        shop.proxies = proxies
        return shop

    def cut_at(self, moment: str, cut: Cut) -> At:
        """Return what loses a connection at a moment."""
        instance, words, rows = MOMENTS[moment]
        return At(words, lambda: self.proxies[instance].cut(cut), rows=rows)


@contextmanager
def proxied(fleet: MySQLFleet) -> Iterator[ProxiedShop]:
    with ExitStack() as stack:
        proxies = {name: CuttingProxy(server) for name, server in fleet.servers.items()}
        for proxy in proxies.values():
            stack.callback(proxy.close)
        yield ProxiedShop.behind(fleet, proxies)


@pytest.fixture
def shop(mysql_fleet: MySQLFleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProxiedShop]:
    small_steps(monkeypatch)
    with proxied(mysql_fleet) as shop:
        yield shop


@pytest.mark.parametrize("is_sent", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_commit_whose_answer_is_lost_is_looked_up(
    shop: ProxiedShop, moment: str, is_sent: bool
) -> None:
    try:
        shop.apply(at=shop.cut_at(moment, Cut("^COMMIT", is_sent)))
    except StoppedError:
        shop.resume()

    assert sum(proxy.cuts for proxy in shop.proxies.values()) == 1
    shop.check_split()


@pytest.mark.parametrize("moment", [name for name in MOMENTS if name.startswith("batch")])
def test_a_commit_that_comes_while_its_batch_is_tried_again_is_found(
    shop: ProxiedShop, moment: str
) -> None:
    """The server commits only when the next try waits for it, as with a disk that stands still."""
    instance, words, rows = MOMENTS[moment]
    proxy, held = shop.proxies[instance], Event()
    waits = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"

    def commit_when_one_waits() -> None:
        wait_until(lambda: proxy.server.sql(waits)[0][1] != "0", what="the next try to wait")
        held.set()

    with ThreadPoolExecutor(1) as pool:
        watching: list[Future[None]] = []

        def lose() -> None:
            proxy.cut(Cut("^COMMIT", is_sent=True, held=held))
            watching.append(pool.submit(commit_when_one_waits))

        shop.apply(at=At(words, lose, rows=rows))

    watching[0].result()
    shop.check_split()


@pytest.mark.parametrize("is_sent", [True, False], ids=["done", "not done"])
def test_a_batch_of_a_prune_by_keys_whose_answer_is_lost_is_looked_up(
    shop: ProxiedShop, is_sent: bool
) -> None:
    """Rows of s2 that are on s1 too go from there, and no other."""
    shop.apply()
    moved = [row for row in shop.rows["orders"] if shop.moves(row[1])]
    with shop.operations() as operations:
        operations.apply(operations.plan_guard("by_k", wanted=False))
    for row in moved:
        shop.write("s1", "INSERT INTO orders VALUES (%s, %s, %s, %s)", *row)
    with shop.operations() as operations:
        plan = operations.plan_prune("s1", using="keys")
        at = At("orders", lambda: shop.proxies["a"].cut(Cut("^COMMIT", is_sent)))
        report = operations.apply(plan, progress=at)

    assert shop.proxies["a"].cuts == 1
    assert not report.kept
    assert shop.table("s1", "orders") == [row for row in shop.rows["orders"] if row not in moved]
    assert shop.table("s2", "orders") == moved


@pytest.mark.parametrize("draw", range(DRAWS))
def test_a_connection_that_is_lost_anywhere_is_no_harm(
    mysql_fleet: MySQLFleet, monkeypatch: pytest.MonkeyPatch, draw: int
) -> None:
    small_steps(monkeypatch)
    chance = random.Random(f"{SEED} {draw}")
    instance, is_sent = chance.choice("ab"), chance.choice([True, False])
    skip = int(chance.random() * STATEMENTS[instance])
    with proxied(mysql_fleet) as shop:
        plan = shop.plan()
        proxy = shop.proxies[instance]
        proxy.statements.clear()
        proxy.cut(Cut(".", is_sent, skip=skip))
        where = f"SHARDHASH_CUT_SEED={SEED}, draw {draw}: {instance}, {is_sent}, statement {skip}"
        try:
            shop.apply(plan)
        except StoppedError:
            shop.resume()
        except DatabaseError:  # nothing was begun
            shop.apply(plan)

        assert proxy.cuts == 1, f"{where}: of {len(proxy.statements)}"
        shop.check_split()
