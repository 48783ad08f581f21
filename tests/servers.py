"""Private MariaDB servers, and fresh databases on them or in SQLite files, for tests.

``server_fixtures.py`` makes fixtures of it; ``server_software.py`` can make the servers MySQL. A
server gets a copied data directory, a free port, its own socket and temporary directory, the
distribution's defaults for durability, and dies with the process that started it.
"""

import ctypes
import json
import os
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from server_software import ServerNotInstalledError as ServerNotInstalledError
from server_software import software

Row = tuple[Any, ...]

BINLOG = ("--log-bin=binlog", "--binlog-format=ROW", "--max-binlog-size=4M",
          "--binlog-expire-logs-seconds=1")  # fmt: skip
TRUSTED = (*BINLOG, "--log-bin-trust-function-creators=1")

_COMMON = (
    "--no-defaults",
    "--bind-address=127.0.0.1",
    "--innodb-buffer-pool-size=32M",
    "--max-connections=200",
)
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 20.0
_SCHEDULER_PAUSE_S = 0.02
_PR_SET_PDEATHSIG = 1
_LOCK_WAIT_TIMEOUT = 1205


@dataclass(frozen=True)
class Server:
    """A MySQL or MariaDB server that tests may do anything on, as its root user."""

    host: str
    port: int
    unix_socket: str | None = None
    user: str = "root"
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Return the URL as a configuration has it, without password."""
        return f"mysql://{self.user}@{self.host}:{self.port}"

    def connect(self, database: str | None = None, **options: Any) -> Any:
        """Return a new PyMySQL connection, in autocommit mode unless told otherwise."""
        import pymysql

        settings: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": database,
            "charset": "utf8mb4",
            "autocommit": True,
            "ssl_disabled": True,
        }
        return pymysql.connect(**(settings | options))

    def sql(
        self, statement: str, params: Sequence[Any] = (), *, database: str | None = None
    ) -> list[Row]:
        """Run one statement on a connection of its own, committed, and return its rows."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, tuple(params) or None)
            return list(cursor.fetchall())

    def drop_databases(self, names: Sequence[str]) -> None:
        """Drop databases, ending the sessions that still hold locks on their tables."""
        import pymysql

        for name in names:
            try:
                self._drop(name)
            except pymysql.err.OperationalError as error:
                if error.args[0] != _LOCK_WAIT_TIMEOUT:
                    raise
                self._kill_sessions_in(name)
                self._drop(name)

    def _drop(self, name: str) -> None:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 2")
            cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def _kill_sessions_in(self, name: str) -> None:
        rows = self.sql("SELECT id FROM information_schema.processlist WHERE db = %s", [name])
        for (session,) in rows:
            self.sql(f"KILL {int(session)}")


def given_server(url: str) -> Server:
    """Return the server of ``mysql://user:password@host:port``."""
    parts = urlsplit(url)
    return Server(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
    )


@dataclass(frozen=True)
class MariaDB(Server):
    """A private server process, also of MySQL: ``kill`` is kill -9; ``start`` brings data back."""

    directory: Path = Path()
    options: tuple[str, ...] = ()
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    def start(self) -> None:
        """Start the process and wait until it takes connections."""
        log = self._log.open("ab")
        with log:
            process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=_die_with_parent(),
            )  # fmt: skip
        self._processes.append(process)
        wait_until(lambda: self._answers(process), what=f"start of a server on port {self.port}",
                   limit_s=_START_LIMIT_S)  # fmt: skip

    def stop(self) -> None:
        """Shut the server down, by force if it takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a crash would."""
        self._end(signal.SIGKILL)

    @property
    def log(self) -> str:
        """Return what the server wrote to its error log so far."""
        return self._log.read_text(errors="replace")

    @property
    def _log(self) -> Path:
        return self.directory / "server.log"

    def _command(self) -> list[str]:
        return [
            str(software().server()),
            *_COMMON,
            *software().options,
            f"--datadir={self.directory / 'data'}",
            f"--tmpdir={self.directory / 'tmp'}",
            f"--socket={self.unix_socket}",
            f"--pid-file={self.directory / 'server.pid'}",
            f"--port={self.port}",
            *_as_this_user(),
            *self.options,
        ]

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        import pymysql

        if process.poll() is not None:
            raise RuntimeError(f"the server did not start ({process.returncode}):\n{self.log}")
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            return False
        return True

    def _end(self, sent: signal.Signals) -> None:
        for process in self._processes:
            process.send_signal(sent)
            try:
                process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


def prepare_data(directory: Path, *options: str) -> Path:
    """Make an empty data directory to copy servers from, and return it.

    Raises:
        ServerNotInstalledError: the binaries are not installed.
    """
    command = [*software().preparation(directory, directory.parent), *_as_this_user(), *options]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{made.stdout}{made.stderr}")
    for name in software().own_files:
        (directory / name).unlink()
    return directory


def start_mariadb(prepared: Path, directory: Path, *options: str) -> MariaDB:
    """Start a server on a copy of the `prepared` data inside `directory`."""
    lasting = [option for option in options if option.startswith(software().lasting_options)]
    if lasting:
        prepare_data(directory / "data", *lasting)
    else:
        shutil.copytree(prepared, directory / "data")
    (directory / "tmp").mkdir()
    for attempt in range(3):
        server = MariaDB(
            host="127.0.0.1", port=free_port(), unix_socket=str(directory / "socket"),
            directory=directory, options=options,
        )  # fmt: skip
        try:
            server.start()
        except RuntimeError:
            server.stop()
            if attempt == 2 or "Address already in use" not in server.log:
                raise
        except BaseException:
            server.stop()
            raise
        else:
            return server
    raise AssertionError("unreachable")


@contextmanager
def running_mariadb(prepared: Path, directory: Path, *options: str) -> Iterator[MariaDB]:
    """Yield a server that is stopped, and its data removed, at the end of the block."""
    server = start_mariadb(prepared, directory, *options)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def free_port() -> int:
    """Return a port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], *, what: str, limit_s: float = 20.0) -> None:
    """Poll `condition` until it holds; fail after `limit_s` seconds, naming `what`."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_s} s in vain for: {what}")
        time.sleep(_SCHEDULER_PAUSE_S)


def _as_this_user() -> tuple[str, ...]:
    """Return the option that lets the server run as root, when the tests do."""
    return ("--user=root",) if os.geteuid() == 0 else ()


def _die_with_parent() -> Callable[[], None] | None:
    """Return what a child runs before exec so that the kernel ends it with its parent."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def set_death_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal


class Fleet(Protocol):
    """Fresh shard databases of one test, alike on every backend.

    ``kind`` is ``mysql`` or ``sqlite``, ``instances`` the names that shards may stand on.
    """

    kind: str
    instances: tuple[str, ...]

    def add(self, shard: str, *, instance: str | None = None) -> str:
        """Create an empty database for `shard` and return its name."""

    def database(self, shard: str) -> str:
        """Return the name of the shard's database."""

    def will_have(self, shard: str, *, beside: str) -> str:
        """Know the database that an operation will make for `shard`, and return its name."""

    def connect(self, shard: str) -> Any:
        """Return a raw driver connection to the shard, in autocommit mode."""

    def sql(self, shard: str, statement: str, params: Sequence[Any] = ()) -> list[Row]:
        """Run one statement (``%s`` on both backends), committed, and return its rows."""

    def config_text(self, mappings: Mapping[str, Any] | None = None) -> str:
        """Return the YAML of a configuration with the shards added so far."""

    def write_config(self, mappings: Mapping[str, Any] | None = None) -> Path:
        """Write ``config_text`` to the test's own ``shardhash.yaml`` and return its path."""


@dataclass
class _FleetBase:
    directory: Path
    _places: dict[str, tuple[str, str]] = field(default_factory=dict)

    def database(self, shard: str) -> str:
        return self._places[shard][1]

    def will_have(self, shard: str, *, beside: str) -> str:
        """Know the database that an operation will make for `shard`, and return its name."""
        instance, database = self._places[beside]
        self._places[shard] = (instance, database.removesuffix(beside) + shard)
        return self.database(shard)

    def config_text(self, mappings: Mapping[str, Any] | None = None) -> str:
        lines = ["format: 1", "app: test", "instances:"]
        lines += [f"  {name}: {json.dumps(entry)}" for name, entry in self._instances().items()]
        lines += ["shards:"]
        lines += [
            f"  {shard}: {json.dumps({'instance': instance, 'database': database})}"
            for shard, (instance, database) in self._places.items()
        ]
        lines += ["mappings:"] if mappings else []
        lines += [f"  {name}: {json.dumps(rule)}" for name, rule in (mappings or {}).items()]
        return "\n".join(lines) + "\n"

    def write_config(self, mappings: Mapping[str, Any] | None = None) -> Path:
        path = self.directory / "shardhash.yaml"
        path.write_text(self.config_text(mappings))
        return path

    def _instances(self) -> dict[str, dict[str, str]]:
        raise NotImplementedError


@dataclass
class MySQLFleet(_FleetBase):
    """Shards on one or more servers; without an `instance` they take turns."""

    servers: Mapping[str, Server] = field(default_factory=dict)
    kind: str = "mysql"

    @property
    def instances(self) -> tuple[str, ...]:
        return tuple(self.servers)

    def server(self, shard: str) -> Server:
        return self.servers[self._places[shard][0]]

    def add(self, shard: str, *, instance: str | None = None) -> str:
        instance = instance or self.instances[len(self._places) % len(self.instances)]
        database = f"t{secrets.token_hex(5)}_{re.sub('[^a-z0-9]', '_', shard.lower())}"
        self.servers[instance].sql(f"CREATE DATABASE `{database}`")
        self._places[shard] = (instance, database)
        return database

    def connect(self, shard: str) -> Any:
        return self.server(shard).connect(self.database(shard))

    def sql(self, shard: str, statement: str, params: Sequence[Any] = ()) -> list[Row]:
        return self.server(shard).sql(statement, params, database=self.database(shard))

    def drop(self) -> None:
        """Drop every database that this fleet made, and those of their control tables."""
        for name, server in self.servers.items():
            made = [d for instance, d in self._places.values() if instance == name]
            server.drop_databases([*made, *(f"{database}_shardhash" for database in made)])

    def _instances(self) -> dict[str, dict[str, str]]:
        return {name: self._entry(name, server) for name, server in self.servers.items()}

    def _entry(self, name: str, server: Server) -> dict[str, str]:
        if not server.password:
            return {"url": server.url}
        path = self.directory / f"{name}.password"
        path.touch(mode=0o600)
        path.write_text(server.password)
        return {"url": server.url, "password_file": str(path)}


@dataclass
class SQLiteFleet(_FleetBase):
    """Shards as files of one or more directories."""

    instances: tuple[str, ...] = ("a", "b")
    kind: str = "sqlite"

    def path(self, shard: str) -> Path:
        """Return the shard's database file."""
        instance, database = self._places[shard]
        return self.directory / instance / f"{database}.db"

    def add(self, shard: str, *, instance: str | None = None) -> str:
        instance = instance or self.instances[len(self._places) % len(self.instances)]
        self._places[shard] = (instance, f"db_{shard}")
        self.path(shard).parent.mkdir(exist_ok=True)
        self.sql(shard, "VACUUM")
        return self.database(shard)

    def connect(self, shard: str) -> sqlite3.Connection:
        return sqlite3.connect(self.path(shard), isolation_level=None)

    def sql(self, shard: str, statement: str, params: Sequence[Any] = ()) -> list[Row]:
        with closing(self.connect(shard)) as connection:
            return connection.execute(statement.replace("%s", "?"), tuple(params)).fetchall()

    def _instances(self) -> dict[str, dict[str, str]]:
        return {name: {"url": f"sqlite:///{self.directory / name}"} for name in self.instances}
