"""ConnectionManager on real servers and files: which database, under which cap."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import inspect, text

from managers import config_of, manager_of, update, with_table
from server_software import deadline_variable, isolation_variable
from servers import Fleet, MariaDB, MySQLFleet, Server, SQLiteFleet, free_port, wait_until
from shardhash.db import Config, ConnectionManager
from shardhash.db.connections import SessionSettings
from shardhash.db.topology import Backend, Endpoint, Shard, TlsMode
from shardhash.errors import (
    DatabaseError,
    ServerUnreachableError,
    UsageError,
)


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


def test_an_idle_connection_that_was_killed_is_replaced_silently(
    mysql_fleet: MySQLFleet, caplog: pytest.LogCaptureFixture
) -> None:
    with_table(mysql_fleet, "s1")

    with manager_of(mysql_fleet) as manager:
        with manager.write("s1") as first, manager.write("s1") as second:
            sessions = [c.scalar(text("SELECT CONNECTION_ID()")) for c in (first, second)]
        for session in sessions:
            mysql_fleet.server("s1").sql(f"KILL {session}")
        with manager.write("s1") as connection:
            assert connection.scalar(text("SELECT COUNT(*) FROM t")) == 2
    assert caplog.records == []


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


def test_an_operations_session_means_the_same_on_every_server(mysql_fleet: MySQLFleet) -> None:
    mysql_fleet.add("s1")
    query = text(
        f"SELECT @@time_zone, @@sql_mode, @@{isolation_variable()}, @@{deadline_variable()},"
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
        "ALLOW_INVALID_DATES",
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


def test_statements_may_take_longer_than_connecting(mysql_fleet: MySQLFleet) -> None:
    mysql_fleet.add("s1")
    session = SessionSettings(connect_timeout_s=1)

    with manager_of(mysql_fleet, session=session) as manager, manager.write("s1") as connection:
        assert connection.scalar(text("SELECT SLEEP(1.2)")) == 0


def test_a_rowcount_is_of_rows_matched(backend: Fleet) -> None:
    with_table(backend, "s1")

    with manager_of(backend) as manager, manager.write("s1") as connection:
        assert connection.execute(text("UPDATE t SET v = v")).rowcount == 2
