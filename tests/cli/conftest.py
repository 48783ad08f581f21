"""Fixtures for tests of the command."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from command_line import COMMAND, CREATE, SHOP, STORES, Ended, Run, Shop, owner_of


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
