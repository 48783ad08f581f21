"""What users of ConnectionManager are told when something is wrong."""

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from managers import config_of, manager_of, update, with_table
from servers import Fleet, MariaDB, MySQLFleet, Server, SQLiteFleet
from shardhash.db import ConnectionManager
from shardhash.db.connections import SessionSettings
from shardhash.errors import (
    AccessDeniedError,
    DatabaseError,
    ServerUnreachableError,
    UsageError,
)


def test_a_missing_table_is_named_with_its_shard(backend: Fleet) -> None:
    backend.add("s1")

    with (
        manager_of(backend) as manager,
        pytest.raises(DatabaseError, match=r"shard s1 .*ghost"),
        manager.write("s1") as connection,
    ):
        connection.execute(text("SELECT * FROM ghost"))


def test_an_error_is_the_drivers_inside_the_block_and_ours_outside(backend: Fleet) -> None:
    with_table(backend, "s1")

    with manager_of(backend) as manager, manager.write("s1") as connection:
        with pytest.raises(IntegrityError):
            connection.execute(text("INSERT INTO t VALUES (1, 1)"))
        connection.rollback()


def test_an_error_names_the_shard_it_comes_from_in_a_nested_block(backend: Fleet) -> None:
    with_table(backend, "s1")
    backend.add("s2")

    def ask_the_other(manager: ConnectionManager) -> None:
        with manager.write("s1"), ExitStack() as stack:
            other = stack.enter_context(manager.write("s2"))
            stack.enter_context(manager.write("s1"))
            other.execute(text("SELECT * FROM t"))

    with manager_of(backend) as manager, pytest.raises(DatabaseError, match=r"^shard s2 "):
        ask_the_other(manager)


def test_an_unknown_shard_is_a_usage_error(backend: Fleet) -> None:
    backend.add("s1")

    with manager_of(backend) as manager, pytest.raises(UsageError, match="s1"):
        manager.write("ghost")


def test_a_directory_of_files_has_no_server(sqlite_fleet: SQLiteFleet) -> None:
    sqlite_fleet.add("s1", instance="a")

    with manager_of(sqlite_fleet) as manager, pytest.raises(UsageError, match="directory"):
        manager.instance("a")


def test_a_missing_sqlite_file_is_not_made(sqlite_fleet: SQLiteFleet) -> None:
    sqlite_fleet.add("s1")
    sqlite_fleet.path("s1").unlink()

    with (
        manager_of(sqlite_fleet) as manager,
        pytest.raises(ServerUnreachableError, match=r"shard s1 .*no database file"),
        manager.write("s1"),
    ):
        pass
    assert not sqlite_fleet.path("s1").exists()


def test_a_file_that_is_no_database_is_named(sqlite_fleet: SQLiteFleet) -> None:
    sqlite_fleet.add("s1")
    sqlite_fleet.path("s1").write_bytes(b"not a database" * 100)

    with (
        manager_of(sqlite_fleet) as manager,
        pytest.raises(DatabaseError, match=r"shard s1 .*not a database"),
        manager.write("s1") as connection,
    ):
        connection.execute(text("SELECT * FROM t"))


def test_a_read_only_server_says_so(start_server: Callable[..., MariaDB]) -> None:
    server = start_server()
    server.sql("CREATE DATABASE d")
    server.sql("CREATE TABLE d.t (id INT PRIMARY KEY, v INT)")
    server.sql("CREATE USER app@'127.0.0.1'")
    server.sql("GRANT ALL ON d.* TO app@'127.0.0.1'")
    server.sql("SET GLOBAL read_only = 1")

    with (
        ConnectionManager(config_of(server, "d", user="app")) as manager,
        pytest.raises(AccessDeniedError, match=r"takes no writes"),
    ):
        manager.run_batch("s", update, idempotent=True)


def test_a_user_without_the_privilege_is_told(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")
    server, database = mysql_fleet.server("s1"), mysql_fleet.database("s1")
    server.sql(f"CREATE USER `{database}`@'%'")
    server.sql(f"GRANT SELECT ON `{database}`.* TO `{database}`@'%'")

    try:
        with (
            ConnectionManager(config_of(server, database, user=database)) as manager,
            pytest.raises(AccessDeniedError, match=r"shard s .*UPDATE command denied"),
        ):
            manager.run_batch("s", update, idempotent=True)
    finally:
        server.sql(f"DROP USER `{database}`@'%'")


def test_an_unknown_database_is_named(mariadb: Server) -> None:
    with (
        ConnectionManager(config_of(mariadb, "ghost")) as manager,
        pytest.raises(DatabaseError, match=r"Unknown database 'ghost'") as caught,
        manager.write("s"),
    ):
        pass
    assert "create the database" in caught.value.next_step


def test_a_server_that_never_speaks_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = Server(host="127.0.0.1", port=silent.getsockname()[1])
        session = SessionSettings(connect_timeout_s=1)
        with (
            ConnectionManager(config_of(server, "d"), session=session) as manager,
            pytest.raises(ServerUnreachableError, match="no connection"),
            manager.write("s"),
        ):
            pass


def test_a_server_of_another_kind_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            peer, _ = other.accept()
            with peer:
                peer.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")

        threading.Thread(target=greet, daemon=True).start()
        server = Server(host="127.0.0.1", port=other.getsockname()[1])
        with (
            ConnectionManager(config_of(server, "d")) as manager,
            pytest.raises(ServerUnreachableError, match="does not speak the MySQL protocol"),
            manager.write("s"),
        ):
            pass


def test_parameters_stay_out_of_errors_and_logs(
    backend: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with_table(backend, "s1")

    with (
        manager_of(backend) as manager,
        pytest.raises(DatabaseError) as caught,
        manager.write("s1") as connection,
    ):
        connection.execute(text("SELECT * FROM ghost WHERE v = :v"), {"v": "Planted-Value"})
    assert "Planted" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"
    assert "Planted" not in caplog.text
