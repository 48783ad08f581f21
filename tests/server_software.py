"""What the tests' private servers run: MariaDB, or the MySQL that SHARDHASH_TEST_MYSQLD names.

A `Software` knows the commands and options that differ between the two; ``servers.py`` does the
rest. ``scripts/fetch-mysql`` fetches a MySQL, and ``make test-mysql`` runs the tests on it.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMED_MYSQLD = "SHARDHASH_TEST_MYSQLD"
HOW_TO_INSTALL = (
    "no MariaDB server found: install one (Debian: apt-get install mariadb-server), or give the "
    "URL of one in SHARDHASH_TEST_MYSQL_URL, or leave these tests out with -m 'not server'"
)


class ServerNotInstalledError(Exception):
    """The server's binaries are not on this machine."""


@dataclass(frozen=True)
class Software:
    """A server program: its ``name``, and the options that its servers get before all others.

    ``own_files`` are those of a data directory that no two servers may share.
    """

    name: str
    options: tuple[str, ...]
    own_files: tuple[str, ...] = ()

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
                "--mysqlx=OFF",
                "--secure-file-priv=NULL",
                "--skip-log-bin",
            ),
            own_files=("auto.cnf",),
        )
    return MariaDBSoftware("MariaDB", ("--innodb-log-file-size=8M",))


def is_mysql() -> bool:
    """Tell whether the private servers are MySQL."""
    return bool(os.environ.get(NAMED_MYSQLD))


def mariadb_only(reason: str) -> pytest.MarkDecorator:
    """Skip a test where the servers are MySQL; `reason` says what MySQL does not have."""
    return pytest.mark.skipif(is_mysql(), reason=f"mariadb only: {reason}")


def _binary(*names: str) -> Path:
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        found = shutil.which(name, path=places)
        if found:
            return Path(found)
    raise ServerNotInstalledError(HOW_TO_INSTALL)
