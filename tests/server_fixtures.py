"""Fixtures that every test may use: private MariaDB servers, and databases on either backend.

``mariadb``: one server for the session (no binary log); ``mariadb_pair``: two of them;
``mariadb_binlog`` and ``mariadb_trusted``: with binary log, without and with
log_bin_trust_function_creators; ``start_server(*options)``: one for the test alone.
``mysql_fleet`` and ``sqlite_fleet`` make fresh shard databases; ``backend`` is each in turn.
A test that uses a server is marked ``server`` by itself.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import servers
from servers import Fleet, MariaDB, MySQLFleet, Server, SQLiteFleet

GIVEN_URL = "SHARDHASH_TEST_MYSQL_URL"
SERVER_FIXTURES = {
    "prepared_data",
    "mariadb",
    "mariadb_pair",
    "mariadb_binlog",
    "mariadb_trusted",
    "start_server",
    "mysql_fleet",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="session")
def prepared_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return servers.prepare_data(tmp_path_factory.mktemp("prepared") / "data")
    except servers.ServerNotInstalledError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def mariadb(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    yield from _session_server(request, tmp_path_factory)


@pytest.fixture(scope="session")
def _mariadb_second(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    yield from _session_server(request, tmp_path_factory)


@pytest.fixture(scope="session")
def mariadb_pair(mariadb: Server, _mariadb_second: Server) -> tuple[Server, Server]:
    return mariadb, _mariadb_second


@pytest.fixture(scope="session")
def mariadb_binlog(
    prepared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MariaDB]:
    directory = tmp_path_factory.mktemp("db")
    with servers.running_mariadb(prepared_data, directory, *servers.BINLOG) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_trusted(
    prepared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MariaDB]:
    directory = tmp_path_factory.mktemp("db")
    with servers.running_mariadb(prepared_data, directory, *servers.TRUSTED) as server:
        yield server


@pytest.fixture
def start_server(
    prepared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., MariaDB]]:
    with ExitStack() as stack:

        def start(*options: str) -> MariaDB:
            directory = tmp_path_factory.mktemp("db")
            return stack.enter_context(servers.running_mariadb(prepared_data, directory, *options))

        yield start


@pytest.fixture
def mysql_fleet(mariadb_pair: tuple[Server, Server], tmp_path: Path) -> Iterator[MySQLFleet]:
    fleet = MySQLFleet(tmp_path, servers=dict(zip("ab", mariadb_pair, strict=True)))
    try:
        yield fleet
    finally:
        fleet.drop()


@pytest.fixture
def sqlite_fleet(tmp_path: Path) -> SQLiteFleet:
    return SQLiteFleet(tmp_path)


@pytest.fixture(params=[pytest.param("mysql", marks=pytest.mark.server), "sqlite"])
def backend(request: pytest.FixtureRequest) -> Fleet:
    fleet: Fleet = request.getfixturevalue(f"{request.param}_fleet")
    return fleet


@pytest.fixture(
    params=[
        pytest.param("mysql", marks=pytest.mark.server),
        pytest.param("one server", marks=pytest.mark.server),
        "sqlite",
    ]
)
def any_place(request: pytest.FixtureRequest) -> Fleet:
    """Shards on two servers, on one, or in files."""
    if request.param == "one server":
        mysql: MySQLFleet = request.getfixturevalue("mysql_fleet")
        mysql.servers = {"a": mysql.servers["a"]}
        return mysql
    fleet: Fleet = request.getfixturevalue(f"{request.param}_fleet")
    return fleet


def _session_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    url = os.environ.get(GIVEN_URL)
    if url:
        yield servers.given_server(url)
        return
    prepared: Path = request.getfixturevalue("prepared_data")
    with servers.running_mariadb(prepared, tmp_path_factory.mktemp("db")) as server:
        yield server
