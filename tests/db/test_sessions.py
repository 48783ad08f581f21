"""Sessions kept for statements that leave nothing: one round trip, and nothing leaks."""

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from managers import config_of, manager_of, with_table
from server_software import deadline_variable, numbers
from servers import MariaDB, MySQLFleet, Server, free_port, wait_until
from shardhash.db import Cluster, Config, ConnectionManager
from shardhash.db.topology import Endpoint, Shard, TlsMode
from shardhash.errors import DatabaseError, DeadlineError, ServerUnreachableError, UsageError

RULE = {
    "key": {"column": "id", "type": "int"},
    "tables": ["t"],
    "slots": {"count": 4, "owners": {"s1": "0-1", "s2": "2-3"}},
}
PINNED = "SELECT id, v FROM t WHERE id = %s"
LONG = "SELECT t.id, '{}' AS x FROM t JOIN many ON 1 = 1 WHERE t.id = %s".format("x" * 200)
ROW_COUNT = 20_000


@pytest.fixture
def cluster(mysql_fleet: MySQLFleet) -> Iterator[Cluster]:
    """Two shards on one server, whose tables hold keys 1 to 8 with the shard's number as value."""
    for number, shard in enumerate(("s1", "s2"), start=1):
        mysql_fleet.add(shard, instance="a")
        mysql_fleet.sql(shard, "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)")
        mysql_fleet.sql(shard, f"INSERT INTO t SELECT seq, %s FROM {numbers(8)}", (number,))
        mysql_fleet.sql(shard, f"CREATE TABLE many AS SELECT seq FROM {numbers(ROW_COUNT)}")
    rule = RULE | {"global_tables": ["many"]}
    with Cluster.open(mysql_fleet.write_config({"m": rule})) as opened:
        yield opened


def read(manager: ConnectionManager, shard: str, statement: str) -> list[tuple[object, ...]]:
    session = manager.take_session(shard)
    with session.driver.cursor() as cursor:
        cursor.execute(statement)
        rows = list(cursor.fetchall())
    session.give_back()
    return rows


def commands(server: Server) -> dict[str, int]:
    rows = server.sql("SHOW GLOBAL STATUS LIKE 'Com\\_%'")
    return {name.removeprefix("Com_"): int(count) for name, count in rows}


def sockets() -> int:
    """Return how many sockets this process has open."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            count += str(descriptor.readlink()).startswith("socket:")
    return count


@contextmanager
def one_connection(fleet: MySQLFleet, *shards: str) -> Iterator[ConnectionManager]:
    for shard in shards:
        fleet.add(shard, instance="a")
    with manager_of(fleet, max_connections=1, wait_s=0.2) as manager:
        yield manager


def test_a_pinned_query_is_one_round_trip(cluster: Cluster, mysql_fleet: MySQLFleet) -> None:
    keys = [1, 2, 3, 4, 5, 6, 7, 8] * 5
    for key in keys[:8]:
        cluster.query(PINNED, (key,)).all()
    server = mysql_fleet.server("s1")

    before = commands(server)
    found = [cluster.query(PINNED, (key,)).one() for key in keys]
    after = commands(server)
    ran = {name: after[name] - before[name] for name in after if after[name] > before[name]}

    owners = [int(cluster.shard_for("m", key).removeprefix("s")) for key in keys]
    assert found == list(zip(keys, owners, strict=True))
    assert len(set(owners)) == 2  # both databases of the server took turns
    assert ran.pop("show_status") == 1
    assert ran.pop("set_option") <= 4  # of the two connections that counted
    assert ran == {"select": len(keys)}


def test_a_query_sees_what_was_committed_since_the_last_one(
    cluster: Cluster, mysql_fleet: MySQLFleet
) -> None:
    cluster.query(PINNED, (1,)).all()
    for value in (70, 71):
        mysql_fleet.sql(cluster.shard_for("m", 1), "UPDATE t SET v = %s WHERE id = 1", (value,))

        assert cluster.query(PINNED, (1,)).one() == (1, value)


def test_a_query_holds_no_lock_after_it(cluster: Cluster, mysql_fleet: MySQLFleet) -> None:
    shard = cluster.shard_for("m", 1)
    cluster.query(PINNED, (1,)).all()

    with closing(mysql_fleet.connect(shard)) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = 2")
        cursor.execute("ALTER TABLE t ADD w INT")


def test_what_a_block_did_to_its_session_is_gone(mysql_fleet: MySQLFleet) -> None:
    with one_connection(mysql_fleet, "s1") as manager:
        with manager.write("s1") as connection:
            fresh = connection.execute(text("SELECT @@sql_mode, @@time_zone")).one()
            for change in (
                "SET @left = 1",
                "SET SESSION sql_mode = 'ANSI_QUOTES', time_zone = '+05:00', autocommit = 0",
                "CREATE TEMPORARY TABLE left_behind (id INT)",
                "SET NAMES latin1",
                "DO GET_LOCK('left', 0)",
            ):
                connection.exec_driver_sql(change)
            number = connection.connection.driver_connection.thread_id()

        found = read(
            manager,
            "s1",
            "SELECT CONNECTION_ID(), @@sql_mode, @@time_zone, @left, @@autocommit, "
            "@@character_set_client, IS_FREE_LOCK('left'), DATABASE()",
        )
        with pytest.raises(Exception, match="left_behind"):
            read(manager, "s1", "SELECT * FROM left_behind")

    assert found == [(number, *fresh, None, 1, "utf8mb4", 1, mysql_fleet.database("s1"))]


def test_a_block_after_a_session_is_a_transaction(mysql_fleet: MySQLFleet) -> None:
    with one_connection(mysql_fleet, "s1") as manager:
        mysql_fleet.sql("s1", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
        [(number,)] = read(manager, "s1", "SELECT CONNECTION_ID()")
        with manager.write("s1") as connection:
            assert connection.scalar(text("SELECT CONNECTION_ID()")) == number
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")

        assert read(manager, "s1", "SELECT COUNT(*) FROM t") == [(0,)]


def test_a_session_moves_to_another_database_at_the_cap(mysql_fleet: MySQLFleet) -> None:
    with one_connection(mysql_fleet, "s1", "s2") as manager:
        found = [
            read(manager, shard, "SELECT DATABASE(), CONNECTION_ID()")[0]
            for shard in ("s1", "s2", "s1")
        ]

    databases, numbers = zip(*found, strict=True)
    assert databases == tuple(mysql_fleet.database(shard) for shard in ("s1", "s2", "s1"))
    assert len(set(numbers)) == 1


def test_the_cap_holds_for_sessions_and_blocks_together(mysql_fleet: MySQLFleet) -> None:
    with one_connection(mysql_fleet, "s1") as manager:
        session = manager.take_session("s1")
        with pytest.raises(DatabaseError, match="all 1 connections"), manager.write("s1"):
            pass
        with pytest.raises(DatabaseError, match="all 1 connections"):
            manager.take_session("s1")
        session.give_back()
        with (
            manager.write("s1"),
            pytest.raises(DatabaseError, match="all 1 connections"),
        ):
            manager.take_session("s1")

        assert read(manager, "s1", "SELECT 1") == [(1,)]


def test_a_block_that_waits_gets_the_connection_of_a_session(mysql_fleet: MySQLFleet) -> None:
    mysql_fleet.add("s1")
    with manager_of(mysql_fleet, max_connections=1, wait_s=30) as manager:
        session = manager.take_session("s1")

        def block() -> object:
            with manager.write("s1") as connection:
                return connection.scalar(text("SELECT 7"))

        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(block)
            sessions = manager._reader("s1", None).pool._sessions
            wait_until(lambda: sessions._blocks == 1, what="the block that waits")
            session.give_back()

            assert waiting.result(20) == 7


def test_sessions_and_blocks_share_few_connections(cluster: Cluster) -> None:
    manager = ConnectionManager(cluster.config, max_connections=3)

    def work(number: int) -> object:
        shard = f"s{1 + number % 2}"
        if number % 5:
            return read(manager, shard, "SELECT v FROM t WHERE id = 1")[0][0]
        with manager.write(shard) as connection:
            connection.exec_driver_sql("UPDATE t SET v = 99")
            return connection.scalar(text("SELECT v - 98 + @@autocommit FROM t WHERE id = 1"))

    with manager, ThreadPoolExecutor(12) as threads:
        found = list(threads.map(work, range(300)))
        assert found == [1 + number % 2 if number % 5 else 1 for number in range(300)]


def test_a_session_killed_while_idle_is_replaced_silently(
    cluster: Cluster, mysql_fleet: MySQLFleet, caplog: pytest.LogCaptureFixture
) -> None:
    session = cluster.connections.take_session(cluster.shard_for("m", 1))
    number = session.driver.thread_id()
    session.give_back()
    mysql_fleet.server("s1").sql(f"KILL {number}")

    assert cluster.query(PINNED, (1,)).all()
    assert caplog.records == []


def test_a_restarted_server_is_asked_again(
    start_server: Callable[..., MariaDB],
) -> None:
    server = start_server()
    server.sql("CREATE DATABASE d")

    with ConnectionManager(config_of(server, "d")) as manager:
        assert read(manager, "s", "SELECT DATABASE()") == [("d",)]
        server.kill()
        with pytest.raises(ServerUnreachableError, match=r"shard s .*127\.0\.0\.1"):
            read_until_it_fails(manager)
        server.start()
        assert read(manager, "s", "SELECT DATABASE()") == [("d",)]


def read_until_it_fails(manager: ConnectionManager) -> None:
    session = manager.take_session("s")
    with pytest.raises(Exception, match="MySQL") as caught:
        session.driver.query("SELECT 1")
    if session.failed(caught.value, has_begun=False) is None:
        manager.take_session("s")


def test_an_error_names_the_shard_and_keeps_the_session(cluster: Cluster) -> None:
    shard = cluster.shard_for("m", 1)
    session = cluster.connections.take_session(shard)
    number = session.driver.thread_id()
    session.give_back()

    with pytest.raises(DatabaseError, match=rf"shard {shard} .*gone"):
        cluster.query("SELECT gone FROM t WHERE id = %s", (1,))
    session = cluster.connections.take_session(shard)
    assert session.driver.thread_id() == number
    session.give_back()


def test_a_deadline_is_of_one_statement(cluster: Cluster) -> None:
    slow = (  # MySQL's SLEEP ends early without an error
        "SELECT SUM(a.seq * b.seq) FROM t JOIN many a ON 1 = 1 JOIN many b ON 1 = 1 WHERE t.id = %s"
    )
    with pytest.raises(DeadlineError, match="shard"):
        cluster.query(slow, (1,), deadline_s=0.2).all()

    limit = read(cluster.connections, cluster.shard_for("m", 1), f"SELECT @@{deadline_variable()}")
    assert limit == [(0,)]
    assert cluster.query(PINNED, (1,), deadline_s=60).all()


def test_a_long_answer_is_read_to_its_end(cluster: Cluster) -> None:
    assert len(cluster.query(LONG, (1,)).all()) == ROW_COUNT
    assert idle(cluster) == [1, 0]


def test_a_long_answer_left_early_is_ended(cluster: Cluster, mysql_fleet: MySQLFleet) -> None:
    for _ in range(3):
        with cluster.query(LONG, (1,)) as result:
            assert next(iter(result))[0] == 1

    wait_until(lambda: not running(mysql_fleet), what="end of the statements")
    assert cluster.query(PINNED, (1,)).all()


def test_a_long_answer_left_early_keeps_no_socket(cluster: Cluster) -> None:
    kept = []
    before = sockets()
    for _ in range(3):
        result = cluster.query(LONG, (1,))
        kept.append(result._rows)
        next(kept[-1])
        result.close()

    assert sockets() == before


def test_a_long_answer_that_is_forgotten_is_ended(
    cluster: Cluster, mysql_fleet: MySQLFleet
) -> None:
    next(iter(cluster.query(LONG, (1,))))
    gc.collect()

    wait_until(lambda: not running(mysql_fleet), what="end of the statement")


def test_rows_of_a_closed_long_answer_are_not_silently_missing(cluster: Cluster) -> None:
    result = cluster.query(LONG, (1,))
    rows = result._rows
    next(rows)
    result.close()

    with pytest.raises(UsageError, match="closed before all its rows"):
        list(rows)


def test_ctrl_c_ends_the_statement(cluster: Cluster, mysql_fleet: MySQLFleet) -> None:
    def press() -> None:
        wait_until(lambda: running(mysql_fleet) == 1, what="the statement")
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        cluster.query("SELECT SLEEP(600) + v FROM t WHERE id = %s", (1,))
    presser.join()

    wait_until(lambda: not running(mysql_fleet), what="end of the statement")
    assert cluster.query(PINNED, (1,)).all()


def test_an_error_half_way_reaches_the_reader(cluster: Cluster) -> None:
    statement = (
        f"SELECT IF(seq < {ROW_COUNT // 2}, seq, (SELECT seq FROM many)) AS i FROM many "
        "JOIN t ON t.id = %s"
    )
    rows = iter(cluster.query(statement, (1,)))
    with pytest.raises(DatabaseError, match=r"shard s. .*more than 1 row"):
        list(rows)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT @v := v FROM t WHERE id = %s",
        "SELECT set_variable(v) FROM t WHERE id = %s",
        "SELECT `set_variable`(v) FROM t WHERE id = %s",
        "SELECT GET_LOCK('held', 0) FROM t WHERE id = %s",
        "SELECT LAST_INSERT_ID(v) FROM t WHERE id = %s",
    ],
)
def test_what_may_change_its_session_does_not_run_in_a_kept_one(
    cluster: Cluster, mysql_fleet: MySQLFleet, statement: str
) -> None:
    for shard in ("s1", "s2"):
        mysql_fleet.sql(
            shard,
            "CREATE FUNCTION set_variable(x INT) RETURNS INT BEGIN SET @v = x; RETURN x; END",
        )

    assert len(cluster.query(statement, (1,)).all()) == 1
    assert idle(cluster) == [0, 0]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT COUNT(*), MAX(v), CURRENT_TIMESTAMP, RAND() FROM t WHERE id = %s AND v < 9",
        "SELECT IF(v IS NULL, 'for', UPPER('into')) FROM t WHERE id = %s AND NOW() > '2020-01-01'",
        "SELECT seq FROM many JOIN t ON t.v = many.seq WHERE t.id = %s ORDER BY seq LIMIT 3",
    ],
)
def test_a_plain_statement_runs_in_a_kept_session(cluster: Cluster, statement: str) -> None:
    assert cluster.query(statement, (1,)).all()
    assert sum(idle(cluster)) == 1


def test_a_stored_function_in_quotes_is_asked_of_no_two_shards(cluster: Cluster) -> None:
    with pytest.raises(Exception, match="not known to give the same on every shard"):
        cluster.query("SELECT `anything`(v) FROM t")


def test_sessions_are_of_read_endpoints(mariadb_pair: tuple[Server, Server]) -> None:
    primary, reader = mariadb_pair
    config = config_of(primary, "mysql")
    down = Endpoint(host="127.0.0.1", port=free_port(), user="root", tls=TlsMode.DISABLED)
    up = Endpoint(host=reader.host, port=reader.port, user=reader.user, tls=TlsMode.DISABLED)
    for endpoints in ((up,), (down, up)):
        shard = Shard(name="s", instance="i", database="mysql", read=endpoints)
        read_config = Config(instances=config.instances, shards={"s": shard})
        with ConnectionManager(read_config) as manager:
            for _ in range(4):
                assert read(manager, "s", "SELECT @@port") == [(reader.port,)]


def test_a_forked_child_leaves_its_parents_sessions_alone(cluster: Cluster) -> None:
    assert cluster.query(PINNED, (1,)).all()
    result = cluster.query(LONG, (1,))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            result.close()
            assert cluster.query(PINNED, (1,)).all()
            cluster.close()
            gc.collect()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert len(result.all()) == ROW_COUNT
    assert cluster.query(PINNED, (1,)).all()


def test_a_closed_manager_closes_its_sessions(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")
    server, database = mysql_fleet.server("s1"), mysql_fleet.database("s1")
    with manager_of(mysql_fleet) as manager:
        held = manager.take_session("s1")
        read(manager, "s1", "SELECT 1")
        manager.close()
        held.give_back()

        count = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = %s"
        wait_until(lambda: server.sql(count, (database,)) == [(0,)], what="end of the sessions")
        assert read(manager, "s1", "SELECT COUNT(*) FROM t") == [(2,)]


def idle(cluster: Cluster) -> list[int]:
    """Return how many kept sessions stand idle at each shard."""
    sessions = cluster.connections._reader("s1", None).pool._sessions
    databases = [cluster.config.shard(shard).database for shard in ("s1", "s2")]
    found = [len(sessions._idle.get(database, ())) for database in databases]
    return sorted(found, reverse=True)


def running(fleet: MySQLFleet) -> int:
    [(count,)] = fleet.server("s1").sql(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE command = 'Query' "
        "AND info LIKE '%FROM t %' AND id <> CONNECTION_ID()"
    )
    return int(count)
