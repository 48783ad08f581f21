"""Two servers that agree on nothing, whole operations on them, and what their tables hold.

``hostile_fleet`` is a fixture of every test.
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import servers
from hostile_schemas import SLOTS, Case
from server_software import is_mysql, no_pad_binary
from servers import Fleet, MariaDB, MySQLFleet
from shardhash.db.executor import _engine, _runner
from shardhash.db.inspect import comparable_ddl
from shardhash.db.operations import Operations
from shardhash.db.plan import Plan, StepKind
from shardhash.db.stores import FileStore
from shardhash.errors import StoppedError

HERE = (
    "--sql-mode=",
    "--character-set-server=latin1",
    "--collation-server=latin1_german2_ci",
    "--explicit-defaults-for-timestamp=0",
    "--innodb-flush-method=nosync",
)
THERE = (
    (
        "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,PIPES_AS_CONCAT,"
        "NO_ZERO_DATE,NO_ZERO_IN_DATE,STRICT_ALL_TABLES,NO_UNSIGNED_SUBTRACTION"
    ),
    "--default-time-zone=-08:00",
    "--character-set-server=utf8mb4",
    f"--collation-server={no_pad_binary()}",
    "--max-allowed-packet=1M",
    "--default-storage-engine=MyISAM",
    "--transaction-isolation=READ-COMMITTED",
    "--innodb-flush-method=nosync",
)
HERE_GLOBALS = "sql_quote_show_create = 0, sql_select_limit = 3, sql_safe_updates = 1"
THERE_GLOBALS = "max_sort_length = 64, big_tables = 1, unique_checks = 0, completion_type = 1"
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


@pytest.fixture(scope="session")
def hostile_pair(
    prepared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, MariaDB]]:
    """Two servers of other time zones, charsets and modes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", BERLIN)
        with (
            servers.running_mariadb(prepared_data, tmp_path_factory.mktemp("db"), *HERE) as here,
            servers.running_mariadb(prepared_data, tmp_path_factory.mktemp("db"), *THERE) as there,
        ):
            for server, settings in ((here, HERE_GLOBALS), (there, THERE_GLOBALS)):
                server.sql(f"SET GLOBAL {settings}")
            yield {"a": here, "b": there}


@pytest.fixture
def hostile_fleet(hostile_pair: dict[str, MariaDB], tmp_path: Path) -> Iterator[MySQLFleet]:
    fleet = MySQLFleet(tmp_path, servers=hostile_pair)
    try:
        yield fleet
    finally:
        fleet.drop()


def name_of(table: str) -> str:
    return "`" + table.replace("`", "``") + "`"


@contextmanager
def session(fleet: Fleet, shard: str) -> Iterator[Any]:
    """Yield a cursor of a session that takes everything and tells everything, in UTC."""
    with closing(fleet.connect(shard)) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', NAMES utf8mb4")
        cursor.execute("SET time_zone = '+00:00', foreign_key_checks = 0")
        if not is_mysql():
            cursor.execute("SET check_constraint_checks = 0")
        cursor.execute(
            "SET innodb_strict_mode = 0, sql_safe_updates = 0, sql_select_limit = DEFAULT"
        )
        cursor.execute("SET sql_select_limit = 1000000, sql_quote_show_create = 1")
        yield cursor


def fill(fleet: Fleet, shard: str, case: Case) -> None:
    """Make the tables and rows of a case."""
    with session(fleet, shard) as cursor:
        for table, statements in {**case.tables, **case.more}.items():
            for text in statements:
                named = text.replace("{0}", table.replace("`", "``")[:60], 1)
                cursor.execute(named.replace("{}", name_of(table), 1))


WRITTEN = {
    **dict.fromkeys(("float", "double"), "CAST(CAST({} AS DOUBLE) AS CHAR)"),
    **dict.fromkeys(("enum", "set", "bit"), "CONCAT({0} + 0, ':', HEX({0}))"),
    "timestamp": "CONCAT(UNIX_TIMESTAMP({0}), '@', {0})",
    **dict.fromkeys(("point", "geometry"), "CONCAT(HEX({0}), ST_SRID({0}), ST_AsText({0}))"),
}


def contents(fleet: Fleet, shard: str, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table as its server writes them in hexadecimal digits and numbers."""
    with session(fleet, shard) as cursor:
        cursor.execute(
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = "
            "DATABASE() AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION",
            [table],
        )
        chosen = ", ".join(
            WRITTEN.get(kind, "HEX(CAST({} AS BINARY))").format(name_of(name))
            for name, kind in cursor.fetchall()
        )
        cursor.execute(f"SELECT {chosen} FROM {name_of(table)}")
        return sorted(map(tuple, cursor.fetchall()), key=repr)


def definition(fleet: Fleet, shard: str, table: str) -> str:
    with session(fleet, shard) as cursor:
        cursor.execute(f"SHOW CREATE TABLE {name_of(table)}")
        text = str(cursor.fetchone()[1])
    head, end, options = text.rpartition("\n) ENGINE=InnoDB")
    head = comparable_ddl(head)
    lines = sorted(line.removesuffix(",") for line in head.split("\n"))  # indexes in any order
    return "\n".join(lines) + end + re.sub(r"^ AUTO_INCREMENT=\d+", "", options)


def slots_of(fleet: Fleet, shard: str, table: str, key: str, key_type: str) -> set[int]:
    """Return the slots of a table's rows by zlib's CRC-32 of the key's bytes."""
    column = name_of(key)
    written = {"bytes": column, "int": f"CONCAT({column} + 0)"}
    text = written.get(key_type, f"CONVERT({column} USING utf8mb4)")
    with session(fleet, shard) as cursor:
        cursor.execute(f"SELECT HEX(CAST({text} AS BINARY)) FROM {name_of(table)}")
        rows = [row for row in cursor.fetchall() if row[0] is not None]
    return {zlib.crc32(bytes.fromhex(row[0])) % SLOTS for row in rows}


@dataclass
class Cluster:
    """The shards of a case, and the operations on them."""

    fleet: Fleet
    store: FileStore

    @classmethod
    def start(cls, fleet: Fleet) -> "Cluster":
        fleet.add("s1", instance="a")
        path = fleet.write_config()
        path.write_text("map_max_age_s: 0.02\n" + path.read_text())
        return cls(fleet, FileStore(path))

    def operations(self) -> Operations:
        return Operations(self.store.load()[0], store=self.store)

    def do(self, kind: str, *arguments: Any, **options: Any) -> None:
        with self.operations() as operations:
            operations.apply(getattr(operations, f"plan_{kind}")(*arguments, **options))
        self.learn()

    def learn(self) -> None:
        """Let the fleet know, and drop, the databases that operations have made."""
        for name, shard in self.store.load()[0].shards.items():
            self.fleet._places[name] = (shard.instance, shard.database)

    def adopt(self, case: Case, **options: Any) -> None:
        with self.operations() as operations:
            operations.apply(self.plan_adopt(operations, case, **options))
        self.learn()

    def plan_adopt(self, operations: Operations, case: Case, **options: Any) -> Plan:
        """Plan to take in s1 with a mapping of the case's tables."""
        return operations.plan_adopt(
            "s1",
            instance="a",
            database=self.fleet.database("s1"),
            mapping="by_k",
            key=case.key,
            key_type=case.key_type,
            tables=[(name, None) for name in case.tables],
            slot_count=SLOTS,
            **options,
        )

    def undo_when_open(self, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        """Apply a plan up to the opening of its slots, and turn it around."""
        runner = _engine.RUNNERS[StepKind.OPEN]

        def stop(work: Any, step: Any) -> Any:
            runner.run(work, step)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            changed = _runner.Runner(stop, runner.undo, runner.is_done)
            patched.setattr(_engine, "RUNNERS", {**_engine.RUNNERS, StepKind.OPEN: changed})
            with self.operations() as operations, pytest.raises(StoppedError):
                operations.apply(plan)
        with self.operations() as operations:
            [name] = [state.id for state in operations.list() if not state.is_ended]
            operations.undo(name)
