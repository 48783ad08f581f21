"""Whole clusters that can be put back as they were, and compared: in files, or on two servers.

What is read of them is read by SQL of its own, not by shardhash. Left out of comparison, because
each run has its own: random ids and tokens, fencing tokens and epochs, the count of takeovers, and
the ordinals of id bands, of which a repeated step takes one more; instead no two shards may number
their rows in one band.
"""

import re
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from server_software import is_mysql
from servers import Server

Rows = list[tuple[Any, ...]]
Picture = dict[str, Any]

ID_BAND = 2**40
PREFIX = "crash_"
APP_USER = "crash_app"
APP_PASSWORD = "of the application"
_COLUMNS = {
    "_shardhash_identity": ("app", "shard", "operation"),
    "_shardhash_fence": ("scope",),
    "_shardhash_slots": ("mapping", "slot", "state"),
    "_shardhash_pass": ("operation",),
}
_OPERATION = re.compile(r"\b([a-z]+)-[0-9a-f]{8}\b")


def picture(databases: dict[str, Any], config: str) -> Picture:
    """Return what must be equal in two clusters."""
    return {"config": _config(config), "databases": databases, "bands": _clashes(databases)}


def differences(one: Picture, other: Picture, path: str = "") -> Iterable[str]:
    """Yield where two pictures differ, in words."""
    for key in sorted({*one, *other}, key=str):
        here, there = one.get(key), other.get(key)
        if here == there:
            continue
        where = f"{path}/{key}"
        if isinstance(here, dict) and isinstance(there, dict):
            yield from differences(here, there, where)
        elif isinstance(here, list) and isinstance(there, list):
            missing = [row for row in here if row not in there]
            extra = [row for row in there if row not in here]
            yield f"{where}: missing {missing[:5]}, extra {extra[:5]}, {len(here)}/{len(there)}"
        else:
            yield f"{where}: expected {here!r}, found {there!r}"


def _config(text: str) -> Any:
    values = YAML(typ="safe").load(text)
    for name in ("takeovers", "last_ordinal"):
        values.pop(name, None)
    for shard in (values.get("shards") or {}).values():
        shard.pop("ordinal", None)
    return {name: values.get(name) or {} for name in ("shards", "mappings")}


def _clashes(databases: dict[str, Any]) -> list[str]:
    """Name the bands of ids that two databases number their rows in."""
    bands: dict[tuple[str, int], list[str]] = {}
    for name, found in databases.items():
        for table, next_id in found.pop("next_ids").items():
            bands.setdefault((table, next_id // ID_BAND), []).append(name)
    return [f"{key} in {names}" for key, names in bands.items() if len(names) > 1]


def _plain(value: Any) -> Any:
    return _OPERATION.sub(r"\1-#", value) if isinstance(value, str) else value


def _rows(table: str, columns: list[str], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    numbered = table.startswith("_shardhash_quarantine_")  # in the order in which rows came
    kept = _COLUMNS.get(table, tuple(columns[numbered:]))
    numbers = [columns.index(name) for name in kept]
    return sorted(repr([_plain(row[number]) for number in numbers]) for row in rows)


@dataclass
class FileCluster:
    """Shards in SQLite files below a directory, which also holds the configuration."""

    directory: Path
    kind: str = "sqlite"

    @property
    def config_path(self) -> Path:
        return self.directory / "shardhash.yaml"

    def instances(self) -> dict[str, str]:
        return {name: f"sqlite:///{self.directory / name}" for name in "ab"}

    def make(self, database: str, statements: Iterable[str]) -> None:
        """Make a database on the first instance."""
        path = self.directory / "a" / f"{database}.db"
        path.parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement.replace("/*AUTO*/", ""))
            connection.commit()

    def execute(self, instance: str, database: str, statements: Iterable[str]) -> None:
        """Write to a shard as a client does that no guard sees."""
        with closing(sqlite3.connect(self.directory / instance / f"{database}.db")) as connection:
            triggers = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall()
            for name, _ in triggers:
                connection.execute(f'DROP TRIGGER "{name}"')
            for statement in statements:
                connection.execute(statement)
            for _, text in triggers:
                connection.execute(text)
            connection.commit()

    def save(self) -> dict[str, bytes]:
        """Return all there is."""
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in self._files()}

    def restore(self, saved: dict[str, bytes]) -> None:
        """Put all back; files keep their inodes, which are what tells databases apart."""
        for path in self._files():
            if str(path.relative_to(self.directory)) not in saved:
                path.unlink()
        for name, data in saved.items():
            path = self.directory / name
            path.parent.mkdir(exist_ok=True)
            with path.open("r+b" if path.exists() else "wb") as file:
                file.write(data)
                file.truncate()
            path.chmod(0o600)

    def picture(self) -> Picture:
        """Return what must be equal."""
        found = {}
        for path in self._files():
            if path.parent != self.directory and path.suffix == ".db":
                with closing(sqlite3.connect(path)) as connection:
                    found[f"{path.parent.name}/{path.stem}"] = _file_content(connection)
        return picture(found, self.config_path.read_text())

    def _files(self) -> list[Path]:
        return sorted(path for path in self.directory.rglob("*") if path.is_file())


def _file_content(connection: sqlite3.Connection) -> dict[str, Any]:
    master = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    tables = [name for kind, name, _ in master if kind == "table"]
    numbered = "sqlite_sequence" in tables
    found: dict[str, Any] = {
        "objects": sorted(repr((kind, name, sql)) for kind, name, sql in master),
        "next_ids": dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        if numbered
        else {},
        "check": connection.execute("PRAGMA integrity_check").fetchall(),
    }
    found["next_ids"] = {k: v for k, v in found["next_ids"].items() if not k.startswith("_")}
    for table in tables:
        if table != "sqlite_sequence":
            cursor = connection.execute(f'SELECT * FROM "{table}"')
            columns = [each[0] for each in cursor.description]
            found[f"rows of {table}"] = _rows(table, columns, cursor.fetchall())
    return found


@dataclass
class ServerCluster:
    """Shards on two servers; every database there whose name begins with ``crash_`` is its own."""

    directory: Path
    servers: dict[str, Server] = field(default_factory=dict)
    kind: str = "mysql"

    @property
    def config_path(self) -> Path:
        return self.directory / "shardhash.yaml"

    def instances(self) -> dict[str, str]:
        return {name: server.url for name, server in self.servers.items()}

    def make(self, database: str, statements: Iterable[str]) -> None:
        """Make a database on the first instance."""
        server = self.servers["a"]
        server.sql(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
        for statement in statements:
            text = statement.replace("/*AUTO*/", "AUTO_INCREMENT").replace("AUTOINCREMENT", "")
            server.sql(text, database=database)

    def execute(self, instance: str, database: str, statements: Iterable[str]) -> None:
        """Write to a shard as a client does that no guard sees."""
        server = self.servers[instance]
        rows = server.sql("SHOW TRIGGERS", database=database)
        texts = [server.sql(f"SHOW CREATE TRIGGER `{r[0]}`", database=database)[0] for r in rows]
        with closing(server.connect(database)) as connection, connection.cursor() as cursor:
            for text in texts:
                cursor.execute(f"DROP TRIGGER `{text[0]}`")
            for statement in statements:
                cursor.execute(statement)
            for text in texts:
                cursor.execute("SET SESSION sql_mode = %s", (text[1],))
                cursor.execute(text[2])

    def save(self) -> dict[str, Any]:
        """Return all there is."""
        files = {path.name: path.read_bytes() for path in self._files()}
        return {"files": files, **{n: _dump(server) for n, server in self.servers.items()}}

    def restore(self, saved: dict[str, Any]) -> None:
        """Put all back."""
        for path in self._files():
            path.unlink()
        for name, data in saved["files"].items():
            (self.directory / name).write_bytes(data)
            (self.directory / name).chmod(0o600)
        for name, server in self.servers.items():
            self._end_sessions(server)
            _load(server, saved[name])

    def clear(self) -> None:
        """Leave nothing on the servers."""
        for server in self.servers.values():
            self._end_sessions(server)
            _load(server, {"databases": {}, "accounts": []})

    def settle(self) -> None:
        """Wait until the servers have rolled back what a dead process left."""
        for server in self.servers.values():
            self._end_sessions(server)

    def picture(self) -> Picture:
        """Return what must be equal."""
        found = {}
        for instance, server in self.servers.items():
            for database in _databases(server):
                found[f"{instance}/{database}"] = _content(server, database)
            found[f"{instance} accounts"] = {"grants": _grants(server), "next_ids": {}}
        return picture(found, self.config_path.read_text())

    def _end_sessions(self, server: Server) -> None:
        from servers import wait_until

        mine = "SELECT id FROM information_schema.processlist WHERE db LIKE %s"
        wait_until(lambda: not server.sql(mine, [PREFIX + "%"]), what="sessions to end")

    def _files(self) -> list[Path]:
        return sorted(path for path in self.directory.iterdir() if path.is_file())


def _databases(server: Server) -> list[str]:
    return [row[0] for row in server.sql("SHOW DATABASES LIKE %s", [f"{PREFIX}%"])]


def _content(server: Server, database: str) -> dict[str, Any]:
    with closing(server.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TRIGGERS")
        triggers = [(row[0], row[1], row[2], row[3], row[4], row[6]) for row in cursor.fetchall()]
        found: dict[str, Any] = {"triggers": sorted(map(repr, triggers)), "next_ids": {}}
        cursor.execute("SHOW TABLES")
        for (table,) in cursor.fetchall():
            cursor.execute(f"SHOW CREATE TABLE `{table}`")
            text = cursor.fetchone()[1]
            number = re.search(r" AUTO_INCREMENT=(\d+)", text)
            if number and not table.startswith("_"):
                found["next_ids"][table] = int(number[1])
            found[f"table {table}"] = re.sub(r" AUTO_INCREMENT=\d+", "", text)
            cursor.execute(f"SELECT * FROM `{table}`")
            columns = [each[0] for each in cursor.description]
            found[f"rows of {table}"] = _rows(table, columns, cursor.fetchall())
        return found


def _grants(server: Server) -> list[str]:
    found = server.sql("SELECT User, Host FROM mysql.user WHERE User = %s", [APP_USER])
    return [row[0] for u, h in found for row in server.sql(f"SHOW GRANTS FOR '{u}'@'{h}'")]


def _accounts(server: Server) -> list[str]:
    """Return what makes the accounts, which MariaDB's GRANT does by itself."""
    if not is_mysql():
        return []
    found = server.sql("SELECT User, Host FROM mysql.user WHERE User = %s", [APP_USER])
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION print_identified_with_as_hex = 1")
        made = []
        for user, host in found:
            cursor.execute(f"SHOW CREATE USER '{user}'@'{host}'")
            made += [row[0] for row in cursor.fetchall()]
        return made


def _dump(server: Server) -> dict[str, Any]:
    return {
        "databases": {name: _dump_database(server, name) for name in _databases(server)},
        "accounts": [*_accounts(server), *_grants(server)],
    }


def _dump_database(server: Server, database: str) -> list[tuple[str, list[Any]]]:
    with closing(server.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SHOW CREATE DATABASE `{database}`")
        made: list[tuple[str, list[Any]]] = [(cursor.fetchone()[1], []), (f"USE `{database}`", [])]
        cursor.execute("SHOW TABLES")
        for (table,) in cursor.fetchall():
            cursor.execute(f"SHOW CREATE TABLE `{table}`")
            made.append((cursor.fetchone()[1], []))
            cursor.execute(f"SELECT * FROM `{table}`")
            rows = list(cursor.fetchall())
            if rows:
                holes = ", ".join(["%s"] * len(rows[0]))
                made.append((f"INSERT INTO `{table}` VALUES ({holes})", rows))
        cursor.execute("SHOW TRIGGERS")
        for row in cursor.fetchall():
            cursor.execute(f"SHOW CREATE TRIGGER `{row[0]}`")
            text = cursor.fetchone()
            made += [(f"SET SESSION sql_mode = '{text[1]}'", []), (text[2], [])]
        return made


def _load(server: Server, dump: dict[str, Any]) -> None:
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = 20, foreign_key_checks = 0")
        for database in _databases(server):
            cursor.execute(f"DROP DATABASE `{database}`")
        cursor.execute(f"DROP USER IF EXISTS '{APP_USER}'@'%'")
        for statement in dump["accounts"]:
            cursor.execute(statement)
        mode = "SELECT @@SESSION.sql_mode"
        cursor.execute(mode)
        (plain,) = cursor.fetchone()
        for statements in dump["databases"].values():
            for statement, rows in statements:
                cursor.executemany(statement, rows) if rows else cursor.execute(statement)
            cursor.execute("SET SESSION sql_mode = %s", (plain,))


def remove(directory: Path) -> None:
    """Remove a directory and all that is in it."""
    shutil.rmtree(directory, ignore_errors=True)
