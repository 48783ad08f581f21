"""A small shop that is split while something breaks, and what must be there afterwards.

What is there is read by SQL and YAML alone, never by shardhash. ``CuttingProxy`` stands between
shardhash and a server, and loses the connection around a statement that the test names.
"""

import re
import socket
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

import pytest
from ruamel.yaml import YAML

from servers import Fleet, MySQLFleet, Row, Server, wait_until
from shardhash.db import prepare_sqlite
from shardhash.db.connections import RetryPolicy
from shardhash.db.executor import _pages, _table_copy
from shardhash.db.operations import Operations
from shardhash.db.plan import Plan, Progress, Report
from shardhash.db.ports import Clock
from shardhash.db.stores import ConfigStore, FileStore
from shardhash.errors import StoppedError

SLOTS = 16
ROWS = 60
PAGE_ROWS = 20
ORDERS = [(number, number, 0, f"note {number} äß") for number in range(1, ROWS + 1)]
ITEMS = [(number, 1, number, f"{number}.50") for number in range(1, ROWS + 1, 2)]

_MYSQL = (
    """CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL, x INT,
    note VARCHAR(40), KEY by_k (k)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4""",
    """CREATE TABLE items (order_id BIGINT, line INT, k INT NOT NULL, amount VARCHAR(20),
    PRIMARY KEY (order_id, line)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4""",
)
_SQLITE = (
    """CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, k INTEGER NOT NULL, x INTEGER,
    note TEXT)""",
    """CREATE TABLE items (order_id INTEGER, line INTEGER, k INTEGER NOT NULL, amount TEXT,
    PRIMARY KEY (order_id, line)) WITHOUT ROWID""",
)
_TABLES = {"mysql": _MYSQL, "sqlite": _SQLITE}
_RECORDS = ("_shardhash_pass", "_shardhash_copies", "_shardhash_pages")


def slot_of(key: int) -> int:
    """Return the slot of a key by zlib, not by the code under test."""
    return zlib.crc32(b"%d" % key) & (SLOTS - 1)


def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables have several pages, and a batch that is tried again not wait for long."""
    monkeypatch.setattr(_table_copy, "_PAGE_ROWS", PAGE_ROWS)
    monkeypatch.setattr(_pages, "_PAGE_ROWS", PAGE_ROWS)
    monkeypatch.setattr(RetryPolicy, "pause_s", lambda *_: 0.01)


@dataclass
class FaultShop:
    """Shard s1 on instance a, adopted, with all rows; a split makes s2 on instance b.

    Args:
        fleet: fresh databases.
        urls: addresses that the configuration has instead of the servers' own.
        store: where the configuration is kept; None: in the test's file.
        map_max_age_s: how old a map may be.
    """

    fleet: Fleet
    urls: Mapping[str, str] = field(default_factory=dict)
    store: ConfigStore | None = None
    map_max_age_s: float = 0.01
    rows: dict[str, list[Row]] = field(init=False)
    _config_before: Any = field(init=False)

    def __post_init__(self) -> None:
        self.fleet.add("s1", instance="a")
        for statement in _TABLES[self.fleet.kind]:
            self.fleet.sql("s1", statement)
        self.rows = {"orders": list(ORDERS), "items": list(ITEMS)}
        for table, rows in self.rows.items():
            values = ", ".join(
                "(" + ", ".join(f"'{v}'" if isinstance(v, str) else str(v) for v in row) + ")"
                for row in rows
            )
            self.fleet.sql("s1", f"INSERT INTO {table} VALUES {values}")
        self.store = self.store or FileStore(self.path)
        text = self.fleet.config_text()
        for name, url in self.urls.items():
            text = re.sub(rf"^  {name}: .*$", f'  {name}: {{"url": "{url}"}}', text, flags=re.M)
        text = re.sub(r"^shards:\n(  .*\n)+", "shards: {}\n", text, flags=re.M)
        text = f"map_max_age_s: {self.map_max_age_s}\n{text}mappings: {{}}\n"
        self.store.save(text, expect=None)
        with self.operations() as operations:
            operations.apply(self.adoption(operations))
        self._config_before = self.placement()

    @property
    def path(self) -> Any:
        """The configuration's file, where it is kept in one."""
        return self.fleet.directory / "shardhash.yaml"  # type: ignore[attr-defined]

    def adoption(self, operations: Operations) -> Plan:
        """Plan to take s1 in."""
        return operations.plan_adopt(
            "s1",
            instance="a",
            database=self.fleet.database("s1"),
            mapping="by_k",
            key="k",
            key_type="int",
            tables=[("orders", None), ("items", None)],
            slot_count=SLOTS,
        )

    @contextmanager
    def operations(self, **options: Any) -> Iterator[Operations]:
        """Yield operations as a new process has them."""
        assert self.store is not None
        with Operations(self.store.load()[0], store=self.store, **options) as operations:
            yield operations

    def plan(self, **options: Any) -> Plan:
        """Plan the split of s1, and let the fleet drop what it makes."""
        with self.operations() as operations:
            plan = operations.plan_split("s1", "s2", instance="b", freeze=True, **options)
        return self.known(plan)

    def known(self, plan: Plan) -> Plan:
        """Let the fleet know, and drop, the databases that a plan makes."""
        places = self.fleet._places  # type: ignore[attr-defined]
        places.update({name: tuple(at.values()) for name, at in plan.new_shards.items()})
        return plan

    def apply(
        self, plan: Plan | None = None, *, at: "At | None" = None, clock: Clock | None = None
    ) -> Report:
        """Split, while `at` watches the steps."""
        plan = plan or self.plan()
        options = {} if clock is None else {"clock": clock}
        with self.operations(**options) as operations:
            return operations.apply(plan, progress=at)

    def stopped(
        self,
        plan: Plan | None = None,
        *,
        at: "At | None" = None,
        clock: Clock | None = None,
        for_good: bool = False,
    ) -> StoppedError:
        """Split, and return the error with which it stops; it says how to go on, or back."""
        with pytest.raises(StoppedError) as caught:
            self.apply(plan, at=at, clock=clock)
        error = caught.value
        assert error.exit_code == 4
        if for_good:
            assert error.next_step.endswith(f"shardhash op abort {self.unfinished()}")
        else:
            assert f"shardhash op resume {self.unfinished()}" in error.next_step
        return error

    def unfinished(self) -> str:
        """Return the only operation that has not ended."""
        with self.operations() as operations:
            (name,) = [state.id for state in operations.list() if not state.is_ended]
        return name

    def resume(self, *, at: "At | None" = None) -> None:
        """Go on with what has stopped."""
        with self.operations() as operations:
            operations.resume(self.unfinished(), progress=at)

    def abort(self) -> None:
        """Take back what has stopped."""
        with self.operations() as operations:
            operations.abort(self.unfinished())

    def wait_for_lease(self, shard: str) -> None:
        """Wait until the lease of a shard has ended by the store's clock."""
        store = self.store
        assert store is not None

        def has_ended() -> bool:
            lease = store.get_lease(f"shard/{shard}")
            return lease is None or lease.expires_at < store.now()

        wait_until(has_ended, what=f"the lease of {shard} to end")

    def write(self, shard: str, statement: str, *values: object) -> None:
        """Write as an application does, whose writes the guards see."""
        with closing(self.fleet.connect(shard)) as connection:
            if self.fleet.kind == "sqlite":
                prepare_sqlite(connection)
                statement = statement.replace("%s", "?")
            connection.cursor().execute(statement, values)

    def add(self, shard: str, key: int, number: int) -> None:
        """Insert an order as an application does, which is to be there from now on."""
        row = (number, key, 1, "added")
        self.write(shard, "INSERT INTO orders VALUES (%s, %s, %s, %s)", *row)
        self.rows["orders"].append(row)

    def change(self, table: str, key: int, **values: object) -> None:
        """Let the rows of a key be expected to have other values."""
        names = {"orders": ("id", "k", "x", "note"), "items": ("order_id", "line", "k", "amount")}
        self.rows[table] = [
            tuple(values.get(name, value) for name, value in zip(names[table], row, strict=True))
            if dict(zip(names[table], row, strict=True))["k"] == key
            else row
            for row in self.rows[table]
        ]

    @staticmethod
    def moves(key: int) -> bool:
        """Tell whether a split moves a key."""
        return slot_of(key) >= SLOTS // 2

    def key(self, *, moves: bool) -> int:
        """Return a key above all that are there, which a split moves or leaves."""
        return next(key for key in range(1000, 2000) if self.moves(key) is moves)

    def placement(self) -> Any:
        """Return what the stored text says of shards and mappings."""
        assert self.store is not None
        values = YAML(typ="safe").load(self.store.read_text()[0])
        for shard in values["shards"].values():
            shard.pop("ordinal", None)
        return {name: values[name] for name in ("shards", "mappings")}

    def states(self, shard: str) -> dict[int, str]:
        """Return the state of each slot on a shard."""
        found = self.fleet.sql(
            shard, f"SELECT slot, state FROM {self.control(shard, '_shardhash_slots')}"
        )
        return {int(slot): str(state) for slot, state in found}

    def databases(self) -> list[str]:
        """Return the names of all databases of this shop that there are."""
        if isinstance(self.fleet, MySQLFleet):
            stem = self.fleet.database("s1").removesuffix("s1")
            return sorted(
                f"{name}/{row[0]}"
                for name, server in self.fleet.servers.items()
                for row in server.sql("SHOW DATABASES LIKE %s", [f"{stem}%"])
            )
        return sorted(str(path) for path in self.path.parent.glob("?/*.db"))

    def control(self, shard: str, table: str) -> str:
        """Return the name of a shard's control table."""
        if self.fleet.kind == "sqlite":
            return table
        return f"{self.fleet.database(shard)}_shardhash.{table}"

    def check_split(self) -> None:
        """Assert what is so when s2 has the upper half of the slots."""
        self.check_owners({"s1": f"0-{SLOTS // 2 - 1}", "s2": f"{SLOTS // 2}-{SLOTS - 1}"})

    def check_owners(self, owned: Mapping[str, str]) -> None:
        """Assert that every row is once, on its owner; that owners take writes; nothing is left.

        Args:
            owned: by shard its slots, as ``0-7``.
        """
        rule = self.placement()["mappings"]["by_k"]
        assert {name: str(slots) for name, slots in rule["slots"]["owners"].items()} == owned
        assert not rule.get("unowned")
        for shard, slots in owned.items():
            first, last = map(int, slots.split("-"))
            for table, rows in self.rows.items():
                key = 1 if table == "orders" else 2
                expected = sorted(row for row in rows if first <= slot_of(row[key]) <= last)
                assert self.table(shard, table) == expected, f"{table} on {shard}"
            assert self.states(shard) == {
                slot: "owned" if first <= slot <= last else "foreign" for slot in range(SLOTS)
            }
        self._check_nothing_left(*owned)

    def check_taken_back(self) -> None:
        """Assert that rows, map and states are as before, and that the new database is gone."""
        assert self.placement() == self._config_before
        for table, rows in self.rows.items():
            assert self.table("s1", table) == sorted(rows)
        assert set(self.states("s1").values()) == {"owned"}
        self._check_nothing_left("s1")
        self.write("s1", "UPDATE orders SET x = x WHERE id = 1")
        if "s2" in self.fleet._places:  # type: ignore[attr-defined]
            with pytest.raises(Exception, match=r"(?i)unknown database|no such table|unable"):
                self.fleet.sql("s2", "SELECT COUNT(*) FROM orders")

    def table(self, shard: str, table: str) -> list[Row]:
        """Return the rows of a table."""
        return sorted(tuple(row) for row in self.fleet.sql(shard, f"SELECT * FROM {table}"))

    def _check_nothing_left(self, *shards: str) -> None:
        with self.operations() as operations:
            assert [state.id for state in operations.list() if not state.is_ended] == []
        for shard in shards:
            for table in _RECORDS:
                assert self.fleet.sql(shard, f"SELECT * FROM {self.control(shard, table)}") == []


class At:
    """Does something once, at a step whose title has some words, after some of its rows.

    ``titles`` are those of the steps that began.
    """

    def __init__(self, words: str, do: Callable[[], object], *, rows: int = 0) -> None:
        self.titles: list[str] = []
        self.is_done = False
        self._words, self._do, self._rows = words, do, rows

    def __call__(self, progress: Progress) -> None:
        """Look at the progress."""
        if progress.title not in self.titles:
            self.titles.append(progress.title)
        is_there = self._words in progress.title and progress.rows_done >= self._rows
        if is_there and not self.is_done:
            self.is_done = True
            self._do()


@dataclass
class Cut:
    """Which statement loses its connection, and what becomes of it.

    Attributes:
        pattern: of the statement's text.
        is_sent: whether the server gets it; its answer is never heard.
        skip: how many statements that fit go through first.
        held: what lets the server have it, when the client has gone already; None: at once.
    """

    pattern: str
    is_sent: bool
    skip: int = 0
    held: Event | None = None


class CuttingProxy:
    """Passes the MySQL protocol through; a statement that a ``Cut`` names loses its connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.statements: list[str] = []
        self.cuts = 0
        self._cut: Cut | None = None
        self._lock = Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The address that stands for the server."""
        return f"mysql://{self.server.user}@127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    def cut(self, cut: Cut | None) -> None:
        """Lose the connection of the next statement that fits."""
        with self._lock:
            self._cut = cut

    def close(self) -> None:
        """End all connections."""
        self._listener.close()
        for each in self._open:
            _close(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((self.server.host, self.server.port))
            self._open += [client, server]
            Thread(target=self._answers, args=(server, client), daemon=True).start()
            Thread(target=self._requests, args=(client, server), daemon=True).start()

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                with suppress(OSError):  # the client may be gone before the answer comes
                    client.sendall(data)
        _close(client)
        _close(server)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while packet := self._packet(client):
                cut = self._fitting(packet)
                if cut is None:
                    server.sendall(packet)
                    continue
                self._lose(client, server, packet, cut)
                return  # the other thread closes when the server has
        _close(server)

    def _lose(self, client: socket.socket, server: socket.socket, packet: bytes, cut: Cut) -> None:
        if not cut.is_sent:
            _close(server)
            return
        client.shutdown(socket.SHUT_RDWR)
        if cut.held is not None:
            cut.held.wait(10)
        server.sendall(packet)
        server.shutdown(socket.SHUT_WR)  # it ends the session when it has run the statement

    @staticmethod
    def _packet(source: socket.socket) -> bytes:
        """Return the next packet of a client; empty at the end."""
        head = _exactly(source, 4)
        return head and head + _exactly(source, int.from_bytes(head[:3], "little"))

    @staticmethod
    def _text(packet: bytes) -> str:
        """Return the statement of a packet, if it has one."""
        is_statement = packet[3:5] == b"\x00\x03"
        return packet[5:].decode(errors="replace") if is_statement else ""

    def _fitting(self, packet: bytes) -> Cut | None:
        text = self._text(packet)
        with self._lock:
            self.statements.append(text)
            cut = self._cut
            if cut is None or not text or not re.search(cut.pattern, text, re.IGNORECASE):
                return None
            if cut.skip:
                cut.skip -= 1
                return None
            self._cut = None
            self.cuts += 1
        return cut


class CuttingStoreProxy(CuttingProxy):
    """Does the same with the MongoDB protocol; the pattern is of a message's BSON."""

    @staticmethod
    def _packet(source: socket.socket) -> bytes:
        head = _exactly(source, 4)
        return head and head + _exactly(source, int.from_bytes(head, "little") - 4)

    @staticmethod
    def _text(packet: bytes) -> str:
        return packet.decode("latin-1")


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data


def _close(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
