"""Engines that a ConnectionManager lends to code which takes connections from SQLAlchemy."""

from traceback import TracebackException

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from guarding import keys_in
from managers import config_of, manager_of, with_table
from shardhash.db import Cluster, ConnectionManager
from shardhash.db.topology import PasswordKind, PasswordSource
from shardhash.errors import (
    AccessDeniedError,
    ServerUnreachableError,
    ShardKeyError,
    UsageError,
    WrongShardError,
)

SECRET = "hunter2-Xq"
ID = "SELECT CONNECTION_ID()"


@pytest.fixture
def one_server(mysql_fleet):
    """Two shards on one server, so on one pool."""
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard, instance="a")
        mysql_fleet.sql(shard, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    return mysql_fleet


def test_each_shard_has_its_own_engine_and_keeps_it(backend):
    with_table(backend, "s1", "s2")
    with manager_of(backend) as manager:
        for shard in ("s1", "s2"):
            with manager.engine(shard).begin() as connection:
                connection.execute(text("INSERT INTO t VALUES (7, :v)"), {"v": int(shard[1])})

        assert manager.engine("s1") is manager.engine("s1")

    assert [backend.sql(s, "SELECT v FROM t WHERE id = 7") for s in ("s1", "s2")] == [
        [(1,)], [(2,)],
    ]  # fmt: skip


def test_shard_that_is_unknown_is_told(backend):
    with_table(backend, "s1")
    with manager_of(backend) as manager, pytest.raises(UsageError, match="s9"):
        manager.engine("s9")


def test_one_pooled_connection_serves_both_databases_in_turn(one_server):
    with manager_of(one_server, max_connections=1, wait_s=5) as manager:
        found = []
        for shard in ("s1", "s2", "s1"):
            with manager.engine(shard).connect() as connection:
                found.append(connection.exec_driver_sql("SELECT DATABASE()").scalar())
            with manager.write(shard) as connection:
                found.append(connection.exec_driver_sql("SELECT DATABASE()").scalar())

    assert found == [one_server.database(s) for s in ("s1", "s1", "s2", "s2", "s1", "s1")]


def test_connections_of_engines_count_towards_the_cap(one_server):
    with manager_of(one_server, max_connections=1, wait_s=0.1) as manager:
        first, second = manager.engine("s1"), manager.engine("s2")
        with first.connect(), pytest.raises(PoolTimeoutError):
            second.connect()


def test_sessions_kept_for_queries_make_room(one_server):
    with manager_of(one_server, max_connections=1, wait_s=5) as manager:
        for _ in range(2):
            session = manager.take_session("s2")
            session.give_back()

            with manager.engine("s1").connect() as connection:
                assert connection.exec_driver_sql("SELECT DATABASE()").scalar() == (
                    one_server.database("s1")
                )
            with manager.engine("s1").connect() as connection:
                connection.invalidate()


def test_every_connection_that_comes_back_is_counted_off(one_server):
    with manager_of(one_server, max_connections=2) as manager:
        with manager.engine("s1").connect() as kept, manager.engine("s2").connect() as connection:
            one_server.sql("s2", f"KILL {connection.exec_driver_sql(ID).scalar()}")
            with pytest.raises(DBAPIError):
                connection.exec_driver_sql("SELECT 1")
            connection.rollback()
            connection.exec_driver_sql("SELECT 1")
            kept.invalidate()
        pool = manager._pool(manager._config.instance("a"))

        assert pool._sessions._blocks == 0


def test_connection_that_was_lost_is_replaced_in_the_same_database(one_server):
    with manager_of(one_server, max_connections=1) as manager:
        with manager.engine("s2").connect():
            pass
        with manager.engine("s1").connect() as connection:
            lost = connection.exec_driver_sql(ID).scalar()
            one_server.sql("s1", f"KILL {lost}")
            with pytest.raises(DBAPIError):
                connection.exec_driver_sql("SELECT 1")
            connection.rollback()

            found = connection.exec_driver_sql("SELECT DATABASE(), CONNECTION_ID()").one()

    assert found[0] == one_server.database("s1")
    assert found[1] != lost


def test_idle_connection_that_was_lost_is_not_handed_out(one_server):
    with manager_of(one_server, max_connections=1) as manager:
        with manager.engine("s1").connect() as connection:
            lost = connection.exec_driver_sql(ID).scalar()
        one_server.sql("s1", f"KILL {lost}")

        with manager.engine("s1").connect() as connection:
            assert connection.exec_driver_sql("SELECT DATABASE()").scalar()


def test_open_transaction_is_rolled_back_when_the_connection_is_given_back(backend):
    with_table(backend, "s1")
    with manager_of(backend) as manager:
        with manager.engine("s1").connect() as connection:
            connection.exec_driver_sql("DELETE FROM t")
        with manager.engine("s1").connect() as connection:
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM t").scalar() == 2


def test_no_password_shows(mariadb, mysql_fleet):
    mysql_fleet.add("s1", instance="a")
    database = mysql_fleet.database("s1")
    password = PasswordSource(PasswordKind.TEXT, SECRET)
    config = config_of(mariadb, database, password=password, user="nobody")

    with ConnectionManager(config) as manager, pytest.raises(AccessDeniedError) as caught:
        manager.engine("s")
    with manager_of(mysql_fleet) as manager:
        engine = manager.engine("s1")
        url = engine.url

    told = TracebackException.from_exception(caught.value, capture_locals=True)
    assert SECRET not in "".join(told.format())
    assert repr(engine) == f"Engine(mysql+pymysql://{url.host}:{url.port}/{database})"


def test_server_that_does_not_answer_is_told(mariadb, mysql_fleet):
    mysql_fleet.add("s1", instance="a")
    config = config_of(mariadb, mysql_fleet.database("s1"), port=9)

    with ConnectionManager(config) as manager, pytest.raises(ServerUnreachableError, match="s "):
        manager.engine("s")


def test_what_a_guard_refuses_is_told_and_all_else_stays_sqlalchemys(backend):
    for shard in ("s1", "s2"):
        backend.add(shard)
        backend.sql(shard, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    mapping = {
        "key": {"column": "k", "type": "int"},
        "tables": ["orders"],
        "slots": {"count": 16, "owners": {"s1": "0-7", "s2": "8-15"}},
    }
    with Cluster.open(str(backend.write_config({"by_k": mapping}))) as cluster:
        cluster.operations.apply(cluster.operations.plan_guard("by_k"))
        engine = cluster.connections.engine("s1")
        ((own,), (foreign,)) = (keys_in(slot, 1) for slot in (3, 12))
        with engine.begin() as connection:
            connection.exec_driver_sql(f"INSERT INTO orders VALUES (1, {own})")

        with pytest.raises(WrongShardError, match="s1"), engine.begin() as connection:
            connection.exec_driver_sql(f"INSERT INTO orders VALUES (2, {foreign})")
        with pytest.raises(ShardKeyError), engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE orders SET k = {foreign} WHERE id = 1")
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.exec_driver_sql(f"INSERT INTO orders VALUES (1, {own})")
