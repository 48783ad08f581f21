"""The command run in the test's own process, on a shop in one database or on several shards."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from command_line import Ended
from one_database import OneDatabase
from servers import Fleet, MySQLFleet
from shardhash.cli import main
from shardhash.db import prepare_sqlite


@dataclass(frozen=True)
class Caller:
    """Runs the command in this process, in a directory, with nothing of this environment."""

    capture: pytest.CaptureFixture[str]
    directory: Path

    def __call__(self, *words: str) -> Ended:
        """Run a command to its end."""
        self.capture.readouterr()
        before = Path.cwd()
        os.chdir(self.directory)
        try:
            exit_code = main(words)
        except SystemExit as ended:
            exit_code = int(ended.code or 0)
        finally:
            os.chdir(before)
        printed = self.capture.readouterr()
        return Ended(exit_code, printed.out, printed.err)


@dataclass(frozen=True)
class CalledShop(OneDatabase):
    """A shop whose commands run in this process; those that are started do not."""

    call: Caller = field(kw_only=True)

    def run(self, *words: str) -> Ended:
        """Run a command to its end."""
        return self.call(*words)

    def split(self, *words: str) -> str:
        """Move half of the rows to s2, and return the operation's name."""
        self.do("shard", "split", "s1", "s2", "--freeze", "--apply", *words)
        return str(self.operation("split")["id"])

    @contextmanager
    def writer(self, shard: str) -> Iterator[Any]:
        """Yield a cursor of a client that commits by itself, as an application has it."""
        with closing(self.fleet.connect(shard)) as connection:
            if self.fleet.kind == "sqlite":
                prepare_sqlite(connection)
            yield connection.cursor()

    def place(self, shard: str) -> str:
        """Return the name of a shard's database."""
        return self.fleet.database(shard)


def called_shop(
    fleet: "Fleet", directory: Path, environment: Mapping[str, str], call: Caller
) -> CalledShop:
    """Return the shop, filled, of which no shardhash has heard."""
    fleet.add("s1")
    fleet.will_have("s2", beside="s1")
    made = CalledShop(fleet, directory, environment, call=call)
    made.fill()
    return made


def everything(shop: OneDatabase) -> dict[str, object]:
    """Return all there is: the directory's files, and of each server the tables row by row."""
    found: dict[str, object] = dict(shop.files())
    if isinstance(shop.fleet, MySQLFleet):
        for name, server in shop.fleet.servers.items():
            found |= {f"{name}/{table}": rows for table, rows in _tables(server).items()}
    return found


def all_but_leases(shop: OneDatabase) -> dict[str, object]:
    """Return all there is but the store's leases, which an attempt takes and gives back."""
    return {name: each for name, each in everything(shop).items() if not name.endswith(".state.db")}


def _tables(server: Any) -> dict[str, object]:
    statement = (
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema NOT IN "
        "('mysql', 'sys', 'performance_schema', 'information_schema') AND table_type = 'BASE TABLE'"
    )
    triggers = (
        "SELECT trigger_schema, trigger_name, action_statement FROM information_schema.triggers"
    )
    tables = {
        f"{schema}.{table}": (
            server.sql(f"SHOW CREATE TABLE `{schema}`.`{table}`"),
            sorted(server.sql(f"SELECT * FROM `{schema}`.`{table}`"), key=repr),
        )
        for schema, table in server.sql(statement)
    }
    return {**tables, "triggers": server.sql(triggers), "databases": server.sql("SHOW DATABASES")}
