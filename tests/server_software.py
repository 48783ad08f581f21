"""What the tests' private servers run: MariaDB, or the MySQL that SHARDHASH_TEST_MYSQLD names.

A `Software` knows the commands and options that differ between the two; ``servers.py`` does the
rest. ``scripts/fetch-mysql`` fetches a MySQL, and ``make test-mysql`` runs the tests on it.
"""

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NAMED_MYSQLD = "SHARDHASH_TEST_MYSQLD"
HOW_TO_INSTALL = (
    "no MariaDB server found: install one (Debian: apt-get install mariadb-server), or give the "
    "URL of one in SHARDHASH_TEST_MYSQL_URL, or leave these tests out with -m 'not server'"
)


_OF_MARIADB = re.compile(r"\b(UUID|INET4|INET6|COMPRESSED)\b")


class ServerNotInstalledError(Exception):
    """The server's binaries are not on this machine."""


@dataclass(frozen=True)
class Software:
    """A server program: its ``name``, and the options that its servers get before all others.

    ``own_files`` are those of a data directory that no two servers may share, ``lasting_options``
    those that a data directory is made with for good.
    """

    name: str
    options: tuple[str, ...]
    own_files: tuple[str, ...] = ()
    lasting_options: tuple[str, ...] = ()

    def server(self) -> Path:
        """Return the server's program."""
        raise NotImplementedError

    def preparation(self, data: Path, scratch: Path) -> list[str]:
        """Return the command that fills an empty data directory."""
        raise NotImplementedError


class MariaDBSoftware(Software):
    """MariaDB as the distribution installs it."""

    def server(self) -> Path:
        return _binary("mariadbd", "mysqld")

    def preparation(self, data: Path, scratch: Path) -> list[str]:
        self.server()
        return [
            str(_binary("mariadb-install-db", "mysql_install_db")),
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--tmpdir={scratch}",
            *self.options,
        ]


class MySQLSoftware(Software):
    """The MySQL server whose ``mysqld`` the environment names."""

    def server(self) -> Path:
        path = Path(os.environ[NAMED_MYSQLD])
        if not os.access(path, os.X_OK):
            raise ServerNotInstalledError(
                f"{NAMED_MYSQLD} is {path}, which cannot be run: fetch a MySQL with "
                "scripts/fetch-mysql, or unset it to run on MariaDB"
            )
        return path

    def preparation(self, data: Path, scratch: Path) -> list[str]:
        return [
            str(self.server()),
            "--no-defaults",
            "--initialize-insecure",
            f"--datadir={data}",
            f"--tmpdir={scratch}",
            *self.options,
        ]


def software() -> Software:
    """Return what the environment chooses."""
    if is_mysql():
        return MySQLSoftware(
            "MySQL",
            (
                "--innodb-redo-log-capacity=16M",
                "--local-infile=ON",
                "--mysqlx=OFF",
                "--secure-file-priv=NULL",
                "--skip-log-bin",
            ),
            own_files=("auto.cnf",),
            lasting_options=("--lower-case-table-names",),
        )
    return MariaDBSoftware("MariaDB", ("--innodb-log-file-size=8M",))


def is_mysql() -> bool:
    """Tell whether the private servers are MySQL."""
    return bool(os.environ.get(NAMED_MYSQLD))


def mariadb_only(reason: str) -> pytest.MarkDecorator:
    """Skip a test where the servers are MySQL; `reason` says what MySQL does not have."""
    return pytest.mark.skipif(is_mysql(), reason=f"mariadb only: {reason}")


def mysql_only(reason: str) -> pytest.MarkDecorator:
    """Skip a test where the servers are MariaDB; `reason` says what MariaDB does not have."""
    return pytest.mark.skipif(not is_mysql(), reason=f"mysql only: {reason}")


def typed(cases: Iterable[Any]) -> list[Any]:
    """Return parameters of a test, whose text or first text begins with a column's type.

    Those of a type that MySQL does not have are skipped there.
    """
    return [
        pytest.param(case, marks=mariadb_only("its column type"))
        if _OF_MARIADB.search(case)
        else pytest.param(case)
        for case in cases
    ]


def no_pad_binary() -> str:
    """Return the collation of utf8mb4 that tells all bytes apart, also spaces at the end."""
    return "utf8mb4_0900_bin" if is_mysql() else "utf8mb4_nopad_bin"


def numbers(count: int, database: str = "") -> str:
    """Return a table, of 1 to `count` in the column ``seq``, for a FROM of its own."""
    if is_mysql():
        texts = f"CONCAT('[0', REPEAT(',0', {count - 1}), ']')"
        return f"JSON_TABLE({texts}, '$[*]' COLUMNS (seq FOR ORDINALITY)) AS numbers"
    return f"{database}.seq_1_to_{count}" if database else f"seq_1_to_{count}"


def isolation_variable() -> str:
    """Return the variable that names a session's isolation level: MariaDB 11.1 renamed its own."""
    return "transaction_isolation" if is_mysql() else "tx_isolation"


def recursion_variable() -> str:
    """Return the variable with the most steps of a recursive query."""
    return "cte_max_recursion_depth" if is_mysql() else "max_recursive_iterations"


def deadline_variable() -> str:
    """Return the variable with a session's longest time for a statement, 0 for no end."""
    return "max_execution_time" if is_mysql() else "max_statement_time"


def _binary(*names: str) -> Path:
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        found = shutil.which(name, path=places)
        if found:
            return Path(found)
    raise ServerNotInstalledError(HOW_TO_INSTALL)
