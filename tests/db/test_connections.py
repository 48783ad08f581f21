"""ConnectionManager on real servers and files."""

import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import IntegrityError

from servers import Fleet, MariaDB, MySQLFleet, Server, SQLiteFleet, free_port, wait_until
from shardhash.db import Config, ConnectionManager
from shardhash.db.connections import RetryPolicy, SessionSettings
from shardhash.db.topology import Backend, Endpoint, Instance, Shard, TlsMode
from shardhash.errors import (
    AccessDeniedError,
    DatabaseError,
    ServerUnreachableError,
    TransientError,
    UsageError,
)


class SteppedClock:
    """Time that passes only when somebody sleeps; ``then`` runs at each sleep."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.slept: list[float] = []
        self._then = then

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._then()


@contextmanager
def manager_of(fleet: Fleet, **options: Any) -> Iterator[ConnectionManager]:
    with ConnectionManager(Config.parse(fleet.config_text()), **options) as manager:
        yield manager


def with_table(fleet: Fleet, *shards: str) -> None:
    for shard in shards:
        fleet.add(shard)
        fleet.sql(shard, "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)")
        fleet.sql(shard, "INSERT INTO t VALUES (1, 10), (2, 20)")


def config_of(server: Server, database: str, **changes: Any) -> Config:
    settings = {"host": server.host, "port": server.port, "user": server.user,
                "tls": TlsMode.DISABLED}  # fmt: skip
    endpoint = Endpoint(**(settings | changes))
    return Config(
        instances={"i": Instance(name="i", backend=Backend.MYSQL, endpoint=endpoint)},
        shards={"s": Shard(name="s", instance="i", database=database)},
    )


def update(connection: Connection, row: int = 1) -> None:
    connection.execute(text("UPDATE t SET v = v + 1 WHERE id = :id"), {"id": row})


def connection_count(server: Server, database: str) -> int:
    rows = server.sql(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE db = %s", [database]
    )
    return int(rows[0][0])


def test_each_shard_is_its_own_database(backend: Fleet) -> None:
    with_table(backend, "s1", "s2", "s3")
    backend.sql("s3", "DELETE FROM t WHERE id = 1")

    with manager_of(backend) as manager:
        counts = []
        for shard in ("s1", "s3", "s1", "s2", "s3"):
            with manager.write(shard) as connection:
                counts.append(connection.scalar(text("SELECT COUNT(*) FROM t")))
    assert counts == [2, 1, 2, 2, 1]


def test_leaving_the_block_rolls_back(backend: Fleet) -> None:
    with_table(backend, "s1")

    with manager_of(backend) as manager, manager.write("s1") as connection:
        update(connection)
    assert backend.sql("s1", "SELECT v FROM t WHERE id = 1") == [(10,)]


def test_what_is_committed_stays(backend: Fleet) -> None:
    with_table(backend, "s1")

    with manager_of(backend) as manager, manager.write("s1") as connection:
        update(connection)
        connection.commit()
    assert backend.sql("s1", "SELECT v FROM t WHERE id = 1") == [(11,)]


def test_a_batch_is_committed_and_its_result_returned(backend: Fleet) -> None:
    with_table(backend, "s1")

    def work(connection: Connection) -> str:
        update(connection)
        return "done"

    with manager_of(backend) as manager:
        assert manager.run_batch("s1", work, idempotent=False) == "done"
    assert backend.sql("s1", "SELECT v FROM t WHERE id = 1") == [(11,)]


def test_a_failing_batch_is_rolled_back(backend: Fleet) -> None:
    with_table(backend, "s1")

    def work(connection: Connection) -> None:
        update(connection)
        raise ZeroDivisionError

    with manager_of(backend) as manager, pytest.raises(ZeroDivisionError):
        manager.run_batch("s1", work, idempotent=True)
    assert backend.sql("s1", "SELECT v FROM t WHERE id = 1") == [(10,)]


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


def test_reflection_sees_the_shards_tables(backend: Fleet) -> None:
    with_table(backend, "s1", "s2", "s3")
    backend.sql("s3", "CREATE TABLE other (id INTEGER)")

    with manager_of(backend) as manager:
        seen = {}
        for shard in ("s1", "s3"):
            with manager.write(shard) as connection:
                seen[shard] = inspect(connection).get_table_names()
    assert seen == {"s1": ["t"], "s3": ["other", "t"]}


def test_create_database_makes_a_shard_and_leaves_an_existing_one(backend: Fleet) -> None:
    with_table(backend, "s1", "s2")
    config = Config.parse(backend.config_text())
    new = Shard(name="new", instance=config.shard("s1").instance, database=backend.database("s1"))
    fresh = Shard(name="fresh", instance=new.instance, database=backend.database("s2") + "x")
    config = Config(instances=config.instances, shards={"new": new, "fresh": fresh})

    try:
        with ConnectionManager(config) as manager:
            for shard in ("new", "fresh", "fresh"):
                manager.create_database(shard)
            with manager.write("fresh") as connection:
                assert inspect(connection).get_table_names() == []
            with manager.write("new") as connection:
                assert inspect(connection).get_table_names() == ["t"]
    finally:
        if isinstance(backend, MySQLFleet):
            backend.server("s1").drop_databases([fresh.database])


def test_the_cap_holds_and_says_so(backend: Fleet) -> None:
    with_table(backend, "s1", "s2", "s3")

    with manager_of(backend, max_connections=2, wait_s=0.05) as manager:
        with (
            manager.write("s1"),
            manager.write("s3"),
            pytest.raises(DatabaseError, match=r"all 2 connections .* instance|instance a .*all 2"),
            manager.write("s1"),
        ):
            pass
        with manager.write("s3") as connection:  # they were given back
            assert connection.scalar(text("SELECT COUNT(*) FROM t")) == 2


def test_many_threads_share_few_connections(backend: Fleet) -> None:
    with_table(backend, "s1", "s2", "s3", "s4")
    shards = ["s1", "s2", "s3", "s4"] * 25

    def count(shard: str) -> object:
        with manager.write(shard) as connection:
            return connection.scalar(text("SELECT COUNT(*) FROM t"))

    with manager_of(backend, max_connections=3) as manager, ThreadPoolExecutor(16) as threads:
        counts = list(threads.map(count, shards))
    assert counts == [2] * 100


def test_a_manager_connects_only_when_asked(tmp_path: Any) -> None:
    nowhere = Server(host="127.0.0.1", port=free_port())

    with ConnectionManager(config_of(nowhere, "d")) as manager:
        assert manager.backend("s") is Backend.MYSQL


def test_a_closed_manager_opens_new_connections(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")
    database = mysql_fleet.database("s1")
    server = mysql_fleet.server("s1")

    with manager_of(mysql_fleet) as manager:
        with manager.write("s1") as connection:
            manager.close()
            assert connection.scalar(text("SELECT COUNT(*) FROM t")) == 2
        wait_until(lambda: connection_count(server, database) == 0, what="end of the connections")
        with manager.write("s1") as connection:
            assert connection.scalar(text("SELECT COUNT(*) FROM t")) == 2


def test_connections_are_reused_by_all_shards_of_an_instance(mysql_fleet: MySQLFleet) -> None:
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard, instance="a")

    with manager_of(mysql_fleet) as manager:
        sessions = set()
        for shard in ("s1", "s2", "s1"):
            with manager.write(shard) as connection:
                row = connection.execute(text("SELECT CONNECTION_ID(), DATABASE()")).one()
            assert row[1] == mysql_fleet.database(shard)
            sessions.add(row[0])
    assert len(sessions) == 1


def test_a_block_that_changes_the_database_does_not_mislead_the_next(
    mysql_fleet: MySQLFleet,
) -> None:
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard, instance="a")

    with manager_of(mysql_fleet) as manager:
        with manager.write("s1") as connection:
            connection.exec_driver_sql(f"USE {mysql_fleet.database('s2')}")
        with manager.write("s1") as connection:
            assert connection.scalar(text("SELECT DATABASE()")) == mysql_fleet.database("s1")


def test_an_idle_connection_that_was_killed_is_replaced(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")

    with manager_of(mysql_fleet) as manager:
        with manager.write("s1") as first, manager.write("s1") as second:
            sessions = [c.scalar(text("SELECT CONNECTION_ID()")) for c in (first, second)]
        for session in sessions:
            mysql_fleet.server("s1").sql(f"KILL {session}")
        with manager.write("s1") as connection:
            assert connection.scalar(text("SELECT COUNT(*) FROM t")) == 2


def test_a_restarted_server_is_used_again(start_server: Callable[..., MariaDB]) -> None:
    server = start_server()
    server.sql("CREATE DATABASE d")

    with ConnectionManager(config_of(server, "d")) as manager:
        with manager.write("s") as connection:
            connection.execute(text("SELECT 1"))
        server.kill()
        with (
            pytest.raises(ServerUnreachableError, match=r"shard s .*127\.0\.0\.1"),
            manager.write("s"),
        ):
            pass
        server.start()
        with manager.write("s") as connection:
            assert connection.scalar(text("SELECT DATABASE()")) == "d"


def test_a_batch_waits_for_a_server_that_comes_back(start_server: Callable[..., MariaDB]) -> None:
    server = start_server()
    server.sql("CREATE DATABASE d")
    server.sql("CREATE TABLE d.t (id INT PRIMARY KEY)")
    server.kill()
    clock = SteppedClock(then=server.start)

    with ConnectionManager(config_of(server, "d"), clock=clock) as manager:
        manager.run_batch(
            "s", lambda c: c.execute(text("INSERT INTO t VALUES (1)")), idempotent=False
        )
    assert (len(clock.slept), server.sql("SELECT id FROM d.t")) == (1, [(1,)])


def test_a_lock_wait_is_retried_as_a_whole(
    backend: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    with_table(backend, "s1")
    rival = backend.connect("s1")
    with rival:
        cursor = rival.cursor()
        cursor.execute("BEGIN")
        cursor.execute("UPDATE t SET v = 99 WHERE id = 2")
        clock = SteppedClock(then=lambda: cursor.execute("ROLLBACK"))

        def work(connection: Connection) -> None:
            update(connection, 1)
            update(connection, 2)

        session = SessionSettings(lock_wait_s=1)
        with manager_of(backend, session=session, clock=clock) as manager:
            manager.run_batch("s1", work, idempotent=False)
        cursor.close()
    if backend.kind == "sqlite":
        rival.close()
    assert backend.sql("s1", "SELECT v FROM t ORDER BY id") == [(11,), (21,)]
    assert "batch_retried" in caplog.text
    assert "'reason': 'lock wait'" in caplog.text


def test_both_sides_of_a_deadlock_are_done_once(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")
    both_hold_one = threading.Barrier(2)
    tries = []

    def swap(manager: ConnectionManager, first: int, second: int) -> None:
        def work(connection: Connection) -> None:
            tries.append(first)
            update(connection, first)
            if tries.count(first) == 1:
                both_hold_one.wait(20)
            update(connection, second)

        manager.run_batch("s1", work, idempotent=False)

    with manager_of(mysql_fleet) as manager, ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(swap, manager, *pair) for pair in ((1, 2), (2, 1))]
        for future in futures:
            future.result(30)
    assert mysql_fleet.sql("s1", "SELECT v FROM t ORDER BY id") == [(12,), (22,)]
    assert len(tries) == 3


def kill_own_session(fleet: MySQLFleet, connection: Connection) -> None:
    session = connection.scalar(text("SELECT CONNECTION_ID()"))
    fleet.server("s1").sql(f"KILL {session}")


def test_an_idempotent_batch_survives_a_killed_connection(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")
    tries = []

    def work(connection: Connection) -> None:
        update(connection, 1)
        tries.append(1)
        if len(tries) == 1:
            kill_own_session(mysql_fleet, connection)
        update(connection, 2)

    with manager_of(mysql_fleet, clock=SteppedClock()) as manager:
        manager.run_batch("s1", work, idempotent=True)
    assert (len(tries), mysql_fleet.sql("s1", "SELECT v FROM t ORDER BY id")) == (
        2,
        [(11,), (21,)],
    )


def test_a_batch_that_is_not_idempotent_ends_with_a_killed_connection(
    mysql_fleet: MySQLFleet,
) -> None:
    with_table(mysql_fleet, "s1")
    clock = SteppedClock()

    def work(connection: Connection) -> None:
        kill_own_session(mysql_fleet, connection)
        update(connection)

    with (
        manager_of(mysql_fleet, clock=clock) as manager,
        pytest.raises(TransientError, match="may or may not have been committed"),
    ):
        manager.run_batch("s1", work, idempotent=False)
    assert clock.slept == []


def test_retries_end(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")
    rival = mysql_fleet.connect("s1")
    cursor = rival.cursor()
    cursor.execute("BEGIN")
    cursor.execute("UPDATE t SET v = 99 WHERE id = 1")
    clock = SteppedClock()

    with (
        manager_of(
            mysql_fleet,
            session=SessionSettings(lock_wait_s=1),
            retry=RetryPolicy(attempts=2),
            clock=clock,
        ) as manager,
        pytest.raises(TransientError, match="tried 2 times"),
    ):
        manager.run_batch("s1", update, idempotent=True)
    rival.close()
    assert len(clock.slept) == 1


def test_an_operations_session_means_the_same_on_every_server(mysql_fleet: MySQLFleet) -> None:
    mysql_fleet.add("s1")
    query = text(
        "SELECT @@time_zone, @@sql_mode, @@tx_isolation, @@max_statement_time,"
        " @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@character_set_connection"
    )

    with (
        manager_of(mysql_fleet, session=SessionSettings.operations()) as manager,
        manager.write("s1") as connection,
    ):
        zone, mode, isolation, limit, rows, tables, charset = connection.execute(query).one()
    assert (zone, isolation, limit, rows, tables, charset) == (
        "+00:00",
        "REPEATABLE-READ",
        0,
        5,
        5,
        "utf8mb4",
    )
    assert set(mode.split(",")) == {
        "STRICT_ALL_TABLES",
        "STRICT_TRANS_TABLES",
        "NO_AUTO_VALUE_ON_ZERO",
        "NO_ENGINE_SUBSTITUTION",
    }


def test_every_byte_is_bound_as_it_is(backend: Fleet) -> None:
    backend.add("s1")
    backend.sql("s1", "CREATE TABLE b (k BLOB)")
    everything = bytes(range(256))

    with manager_of(backend) as manager:
        manager.run_batch(
            "s1",
            lambda c: c.execute(text("INSERT INTO b VALUES (:k)"), {"k": everything}),
            idempotent=False,
        )
    assert backend.sql("s1", "SELECT k FROM b") == [(everything,)]


def test_an_instance_connection_can_write_to_no_shard(mysql_fleet: MySQLFleet) -> None:
    mysql_fleet.add("s1", instance="a")

    with manager_of(mysql_fleet) as manager:
        with manager.write("s1"):
            pass
        with manager.instance("a") as connection:
            assert connection.scalar(text("SELECT DATABASE()")) == "information_schema"


def test_a_directory_of_files_has_no_server(sqlite_fleet: SQLiteFleet) -> None:
    sqlite_fleet.add("s1", instance="a")

    with manager_of(sqlite_fleet) as manager, pytest.raises(UsageError, match="directory"):
        manager.instance("a")


def read_config(primary: Server, database: str, *readers: Server) -> Config:
    config = config_of(primary, database)
    endpoints = tuple(
        Endpoint(host=r.host, port=r.port, user=r.user, tls=TlsMode.DISABLED) for r in readers
    )
    shard = Shard(name="s", instance="i", database=database, read=endpoints)
    return Config(instances=config.instances, shards={"s": shard})


def test_reads_go_to_a_read_endpoint(mariadb_pair: tuple[Server, Server]) -> None:
    primary, reader = mariadb_pair
    config = read_config(primary, "mysql", reader)

    with ConnectionManager(config) as manager:
        with manager.read("s") as connection:
            read_port = connection.scalar(text("SELECT @@port"))
        with manager.write("s") as connection:
            write_port = connection.scalar(text("SELECT @@port"))
    assert (read_port, write_port) == (reader.port, primary.port)


def test_an_endpoint_is_chosen_by_its_address(mariadb_pair: tuple[Server, Server]) -> None:
    primary, reader = mariadb_pair
    config = read_config(primary, "mysql", primary, reader)

    with ConnectionManager(config) as manager:
        for server in mariadb_pair:
            address = f"{server.host}:{server.port}"
            with manager.read("s", endpoint=address) as connection:
                assert connection.scalar(text("SELECT @@port")) == server.port
        with pytest.raises(UsageError, match=rf"{reader.port}"):
            manager.read("s", endpoint="elsewhere:3306")


def test_a_read_endpoint_that_is_down_is_passed_over(mariadb: Server) -> None:
    down = [Server(host="127.0.0.1", port=free_port()) for _ in range(2)]
    config = read_config(mariadb, "mysql", down[0], mariadb, down[1])

    with ConnectionManager(config) as manager:
        for _ in range(5):
            with manager.read("s") as connection:
                assert connection.scalar(text("SELECT @@port")) == mariadb.port


def test_reads_fail_when_every_read_endpoint_is_down(mariadb: Server) -> None:
    down = Server(host="127.0.0.1", port=free_port())

    with (
        ConnectionManager(read_config(mariadb, "mysql", down)) as manager,
        pytest.raises(ServerUnreachableError, match=rf"{down.port}"),
        manager.read("s"),
    ):
        pass


def in_child(action: Callable[[], None]) -> int:
    """Run `action` in a forked child that ends without clean-up, and return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def test_a_forked_child_has_its_own_connections(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")

    with manager_of(mysql_fleet) as manager:
        with manager.write("s1") as connection:
            session = connection.scalar(text("SELECT CONNECTION_ID()"))

        def child() -> None:
            with manager.write("s1") as connection:
                assert connection.scalar(text("SELECT CONNECTION_ID()")) != session
            manager.close()
            gc.collect()

        assert in_child(child) == 0
        with manager.write("s1") as connection:
            assert connection.scalar(text("SELECT CONNECTION_ID()")) == session


def test_a_transaction_survives_a_child_that_leaves_its_block(backend: Fleet) -> None:
    with_table(backend, "s1")

    with manager_of(backend) as manager:
        block = manager.write("s1")
        connection = block.__enter__()
        update(connection)

        def child() -> None:
            block.__exit__(None, None, None)
            gc.collect()

        assert in_child(child) == 0
        connection.commit()
        block.__exit__(None, None, None)
    assert backend.sql("s1", "SELECT v FROM t WHERE id = 1") == [(11,)]


def test_ddl_and_reads_are_inside_a_sqlite_transaction(sqlite_fleet: SQLiteFleet) -> None:
    with_table(sqlite_fleet, "s1")

    with manager_of(sqlite_fleet) as manager, manager.write("s1") as connection:
        connection.execute(text("CREATE TABLE gone (id INTEGER)"))
        connection.rollback()
        connection.execute(text("SELECT * FROM t"))
        sqlite_fleet.sql("s1", "PRAGMA journal_mode")  # a reader beside it is no error
        assert connection.connection.driver_connection.in_transaction
    assert sqlite_fleet.sql("s1", "SELECT name FROM sqlite_master") == [("t",)]


def test_sqlite_holds_foreign_keys_and_sees_replaced_rows(sqlite_fleet: SQLiteFleet) -> None:
    with_table(sqlite_fleet, "s1")

    with manager_of(sqlite_fleet) as manager, manager.write("s1") as connection:
        pragmas = [
            connection.scalar(text(f"PRAGMA {name}"))
            for name in ("foreign_keys", "recursive_triggers")
        ]
    assert pragmas == [1, 1]


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


def test_statements_may_take_longer_than_connecting(mysql_fleet: MySQLFleet) -> None:
    mysql_fleet.add("s1")
    session = SessionSettings(connect_timeout_s=1)

    with manager_of(mysql_fleet, session=session) as manager, manager.write("s1") as connection:
        assert connection.scalar(text("SELECT SLEEP(1.2)")) == 0


def test_an_interrupted_statement_does_not_spoil_the_next(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def sleep_and_be_interrupted(manager: ConnectionManager) -> None:
        with manager.write("s1") as connection:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            connection.execute(text("SELECT SLEEP(20)"))

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with manager_of(mysql_fleet) as manager:
            with pytest.raises(KeyboardInterrupt):
                sleep_and_be_interrupted(manager)
            with manager.write("s1") as connection:
                assert connection.scalar(text("SELECT COUNT(*) FROM t")) == 2
    finally:
        signal.signal(signal.SIGALRM, previous)


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
