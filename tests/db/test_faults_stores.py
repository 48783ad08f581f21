"""A shared store that loses connections while shards are split: what was written is looked up."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from faults import At, Cut, CuttingStoreProxy, FaultShop, small_steps
from servers import Server, SQLiteFleet
from shardhash.db.stores import open_store

WRITES = {"journal": r"insert.*journal\x00", "configuration": r"findAndModify.*configs\x00"}


@pytest.fixture
def proxy(mongo_url: str) -> Iterator[CuttingStoreProxy]:
    found = urlsplit(mongo_url)
    proxy = CuttingStoreProxy(Server(found.hostname or "", found.port or 27017))
    yield proxy
    proxy.close()


@pytest.mark.parametrize("is_sent", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize(
    ("moment", "write"),
    [
        ("copy orders", "journal"),
        ("make s2 the owner", "journal"),
        ("make s2 the owner", "configuration"),
        ("tell readers that s1 has none", "configuration"),
    ],
)
def test_a_write_to_the_store_whose_answer_is_lost_is_looked_up(
    sqlite_fleet: SQLiteFleet,
    proxy: CuttingStoreProxy,
    mongo_url: str,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    write: str,
    is_sent: bool,
) -> None:
    small_steps(monkeypatch)
    url = re.sub(r"(127\.0\.0\.1|localhost):\d+", f"127.0.0.1:{proxy.port}", mongo_url)
    with open_store(url) as store:
        shop = FaultShop(sqlite_fleet, store=store)

        cut = Cut(f"(?s){WRITES[write]}", is_sent)
        shop.apply(at=At(moment, lambda: proxy.cut(cut)))

        assert proxy.cuts == 1
        shop.check_split()
