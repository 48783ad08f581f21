"""Connection managers over the fixtures' databases, for tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

from servers import Fleet, Server
from shardhash.db import Config, ConnectionManager
from shardhash.db.topology import Backend, Endpoint, Instance, Shard, TlsMode


class SteppedClock:
    """Time that passes only when somebody sleeps; ``then`` runs at each sleep."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.slept: list[float] = []
        self._then = then

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._then()


@contextmanager
def manager_of(fleet: Fleet, **options: Any) -> Iterator[ConnectionManager]:
    with ConnectionManager(Config.parse(fleet.config_text()), **options) as manager:
        yield manager


def with_table(fleet: Fleet, *shards: str) -> None:
    for shard in shards:
        fleet.add(shard)
        fleet.sql(shard, "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)")
        fleet.sql(shard, "INSERT INTO t VALUES (1, 10), (2, 20)")


def config_of(server: Server, database: str, **changes: Any) -> Config:
    settings = {"host": server.host, "port": server.port, "user": server.user,
                "tls": TlsMode.DISABLED}  # fmt: skip
    endpoint = Endpoint(**(settings | changes))
    return Config(
        instances={"i": Instance(name="i", backend=Backend.MYSQL, endpoint=endpoint)},
        shards={"s": Shard(name="s", instance="i", database=database)},
    )


def update(connection: Connection, row: int = 1) -> None:
    connection.execute(text("UPDATE t SET v = v + 1 WHERE id = :id"), {"id": row})
