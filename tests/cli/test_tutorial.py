"""The tutorial's five commands, and what it promises of them, on both backends."""

import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pymysql
import pytest

from one_database import ROWS, OneDatabase, one_database, slot_of
from servers import Fleet, MySQLFleet
from shardhash.db import prepare_sqlite

MOVED = next(store for store in range(40) if slot_of(store) >= 8)
STAYED = next(store for store in range(40) if slot_of(store) < 8)


@pytest.fixture
def shop(backend: Any, directory: Path, environment: dict[str, str]) -> OneDatabase:
    return one_database(backend, directory, environment)


@pytest.fixture
def split_shop(shop: OneDatabase) -> OneDatabase:
    shop.adopt()
    shop.do("shard", "split", "s1", "s2", "--freeze", "--apply")
    return shop


def write(fleet: Fleet, shard: str, store: int) -> None:
    """Insert an order with a client that has nothing of shardhash but SQLite's functions."""
    connection = fleet.connect(shard)
    if fleet.kind == "sqlite":
        prepare_sqlite(connection)
    cursor = connection.cursor()
    try:
        cursor.execute(f"INSERT INTO orders (store_id, item) VALUES ({store}, 'milk')")
    finally:
        connection.close()


def test_five_commands_make_two_shards_of_one_database(shop: OneDatabase) -> None:
    before = shop.rows("s1")

    shop.adopt()
    shop.do("shard", "split", "s1", "s2", "--freeze", "--apply")
    verified = shop.do("shard", "verify")

    assert "Every row is where it should be." in verified.stdout
    assert sorted([*shop.rows("s1"), *shop.rows("s2")]) == before
    assert all(slot_of(store) < 8 for _, store, _ in shop.rows("s1"))
    assert all(slot_of(store) >= 8 for _, store, _ in shop.rows("s2"))


def test_database_refuses_a_write_to_a_slot_that_moved_away(split_shop: OneDatabase) -> None:
    with pytest.raises((pymysql.err.OperationalError, sqlite3.IntegrityError)) as refused:
        write(split_shop.fleet, "s1", MOVED)

    assert "by_store slot" in str(refused.value)
    assert "is foreign here" in str(refused.value)


def test_owners_take_writes_with_ids_that_no_other_shard_gives_out(split_shop: OneDatabase) -> None:
    write(split_shop.fleet, "s1", STAYED)
    write(split_shop.fleet, "s2", MOVED)

    (mine, _, _), (theirs, _, _) = split_shop.rows("s1")[-1], split_shop.rows("s2")[-1]
    assert mine == ROWS + 1
    assert theirs == 2**40 + 1


@pytest.mark.server
def test_plain_client_is_refused(
    mysql_fleet: MySQLFleet, directory: Path, environment: dict[str, str]
) -> None:
    client = shutil.which("mariadb") or shutil.which("mysql")
    assert client, "no client program: apt-get install mariadb-client"
    shop = one_database(mysql_fleet, directory, environment)
    shop.adopt()
    shop.do("shard", "split", "s1", "s2", "--freeze", "--apply")
    server = mysql_fleet.server("s1")
    statement = f"INSERT INTO orders (store_id, item) VALUES ({MOVED}, 'milk')"

    ended = subprocess.run(
        [client, "--no-defaults", f"--host={server.host}", f"--port={server.port}",
         f"--user={server.user}", "--skip-ssl", mysql_fleet.database("s1"), "-e", statement],
        capture_output=True, text=True, check=False,
        env={**environment, "MYSQL_PWD": server.password},
    )  # fmt: skip

    assert ended.returncode == 1
    assert "ERROR 1644 (45000)" in ended.stderr
    assert f"by_store slot {slot_of(MOVED)} is foreign here; reload the map" in ended.stderr


def test_killed_split_is_listed_with_what_to_type_and_resumed(shop: OneDatabase) -> None:
    before = shop.rows("s1")
    shop.adopt()
    pause = shop.directory / "pause"
    pause.touch()
    words = ["shard", "split", "s1", "s2", "--freeze", "--apply", "--pause-file", str(pause)]
    split = shop.start(*words)
    split.wait_for("copy orders", throttled=True)

    split.kill()

    (line,) = shop.do("op", "list").stdout.splitlines()[1:]
    name = str(shop.operation("split")["id"])
    assert line.startswith(f"{name}  s1     killed  8 of 14")
    assert line.endswith(f"shardhash op resume {name} (or abort)")
    assert shop.rows("s1") == before
    shop.do("op", "resume", name)
    assert "Every row is where it should be." in shop.do("shard", "verify").stdout
    assert sorted([*shop.rows("s1"), *shop.rows("s2")]) == before
    assert shop.do("op", "list").stdout == "No operation is unfinished.\n"
