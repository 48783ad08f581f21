"""Fixtures for tests of the command."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from command_line import COMMAND, CREATE, SHOP, STORES, Ended, Run, Shop, owner_of
from in_process import CalledShop, Caller, called_shop
from servers import Fleet, SQLiteFleet


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory that the command runs in."""
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SHARDHASH_", "PYTHON"))
    }


@pytest.fixture
def run(directory: Path, environment: dict[str, str]) -> Run:
    def run_command(*words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Ended:
        ended = subprocess.run(
            [COMMAND, *words],
            input=stdin,
            cwd=directory,
            env={**environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run_command


@pytest.fixture
def shop(directory: Path) -> Shop:
    """A shop whose s1 also has, as foreign rows, all rows of s2; and one order without a key."""
    (directory / "shardhash.yaml").write_text(SHOP)
    (directory / "shards").mkdir()
    shop = Shop(directory)
    for shard in ("s1", "s2"):
        connection = shop.open(shard)
        with connection:
            connection.executescript(CREATE)
            for store in STORES:
                if shard in ("s1", owner_of(store)):
                    connection.execute("INSERT INTO orders VALUES (?, ?, ?)", (store, store, 7))
                    connection.execute(
                        "INSERT INTO order_items VALUES (?, ?, 'tea')", (store, store)
                    )
        connection.close()
    shop.execute("s1", "INSERT INTO orders VALUES (1000, NULL, 1)")
    return shop


@pytest.fixture
def call(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Caller:
    """The command in this process, which is quicker than a new one."""
    for name in [name for name in os.environ if name.startswith("SHARDHASH_")]:
        monkeypatch.delenv(name)
    return Caller(capsys, directory)


@pytest.fixture
def new_shop(
    sqlite_fleet: SQLiteFleet, directory: Path, environment: dict[str, str], call: Caller
) -> CalledShop:
    """A shop in one SQLite file of which no shardhash has heard."""
    return called_shop(sqlite_fleet, directory, environment, call)


@pytest.fixture
def adopted(new_shop: CalledShop) -> CalledShop:
    """A cluster of one shard in SQLite."""
    new_shop.adopt(map_max_age_s=0.05)
    return new_shop


@pytest.fixture
def adopted_anywhere(
    backend: Fleet, directory: Path, environment: dict[str, str], call: Caller
) -> CalledShop:
    """A cluster of one shard, on either backend."""
    shop = called_shop(backend, directory, environment, call)
    shop.adopt(map_max_age_s=0.05)
    return shop


@pytest.fixture
def split_shop(adopted: CalledShop) -> CalledShop:
    """Two shards in SQLite, each with half of the slots."""
    adopted.split()
    return adopted


@pytest.fixture
def ranges(
    sqlite_fleet: SQLiteFleet, directory: Path, environment: dict[str, str], call: Caller
) -> CalledShop:
    """Three shards' worth of days in ranges: s1 has two of them, and s2 the last."""
    for shard in ("s1", "s2"):
        sqlite_fleet.add(shard, instance=sqlite_fleet.instances[0])
        sqlite_fleet.sql(shard, "CREATE TABLE visits (id INTEGER PRIMARY KEY, day TEXT NOT NULL)")
    days = {"s1": ["2025-12-31", "2026-01-01", "2026-06-30"], "s2": ["2026-07-01", "2026-12-31"]}
    for shard, of_shard in days.items():
        for day in of_shard:
            number = int(day.replace("-", ""))
            sqlite_fleet.sql(shard, "INSERT INTO visits VALUES (%s, %s)", [number, day])
    sqlite_fleet.write_config(
        {
            "by_day": {
                "key": {"column": "day", "type": "date"},
                "tables": ["visits"],
                "ranges": {"bounds": ["2026-01-01", "2026-07-01"], "shards": ["s1", "s1", "s2"]},
            }
        }
    )
    file = directory / "shardhash.yaml"
    text = file.read_text().replace("app: test", "app: test\nmap_max_age_s: 0.05")
    file.write_text(text.replace('["2026-01-01", "2026-07-01"]', "[2026-01-01, 2026-07-01]"))
    shop = CalledShop(sqlite_fleet, directory, environment, call=call)
    shop.do("mapping", "guard", "by_day", "on", "--apply")
    return shop
