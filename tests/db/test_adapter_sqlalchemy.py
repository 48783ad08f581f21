"""SQLAlchemy's sessions on shards: real models, SQLite and MariaDB."""

import asyncio
import subprocess
import sys

import pytest
from sqlalchemy import bindparam, func, inspect, select, text, tuple_
from sqlalchemy.orm import immediateload, joinedload, selectinload, subqueryload
from sqlalchemy.schema import CreateTable

import servers
from orm_models import (
    ALSO_S1,
    MAPPINGS,
    ON_S1,
    ON_S2,
    OWNERS,
    Asked,
    Item,
    Note,
    Order,
    make_tables,
)
from query_cases import owner
from shardhash.adapters.sqlalchemy import Router, ShardedSession, sessionmaker
from shardhash.db import Cluster
from shardhash.errors import QueryRefusedError, UsageError


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mysql", marks=pytest.mark.server)])
def cluster(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("orm")
    if request.param == "sqlite":
        fleet = servers.SQLiteFleet(directory)
    else:
        server = request.getfixturevalue("mariadb")
        fleet = servers.MySQLFleet(directory, servers={"a": server})
    for shard in OWNERS:
        fleet.add(shard)
    with Cluster.open(str(fleet.write_config(MAPPINGS))) as made:
        make_tables(made)
        yield made
    if request.param == "mysql":
        fleet.drop()


@pytest.fixture
def session(cluster):
    with sessionmaker(cluster)() as made:
        yield made


@pytest.fixture(scope="module")
def asked(cluster):
    return Asked(cluster)


def test_keys_of_these_tests_are_where_they_say():
    assert [owner(k, OWNERS) for k in (ON_S1, ALSO_S1, ON_S2)] == ["s1", "s1", "s2"]


# Reading


def test_statement_with_the_key_asks_its_shard_alone(session, asked):
    order, shards = asked.by(
        lambda: session.scalars(select(Order).where(Order.store_id == ON_S2)).one()
    )

    assert (order.id, shards) == (100 + ON_S2, ["s2"])


def test_key_may_be_a_value_given_at_execution(session, asked):
    statement = select(Order.id).where(Order.store_id.in_(bindparam("stores", expanding=True)))
    found, shards = asked.by(lambda: session.scalars(statement, {"stores": [ON_S1, ALSO_S1]}).all())

    assert (sorted(found), shards) == ([100 + ALSO_S1, 100 + ON_S1], ["s1"])


def test_rows_of_several_shards_come_as_of_one_database(session, asked):
    orders, shards = asked.by(lambda: session.scalars(select(Order).where(Order.amount > 2)).all())

    assert sorted(order.store_id for order in orders) == list(range(3, 10))
    assert shards == ["s1", "s2"]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (select(func.count()).select_from(Order), "aggregate"),
        (select(func.avg(Order.amount)), "aggregate"),
        (select(Order.amount, func.count()).group_by(Order.amount), "aggregate or GROUP BY"),
        (select(Order.country).distinct(), "DISTINCT"),
        (select(Order).order_by(Order.id), "ORDER BY"),
        (select(Order).limit(3), "LIMIT"),
        (text("SELECT MAX(amount) FROM orders"), "aggregate"),
        (select(func.row_number().over(order_by=Order.id)), "window"),
        (select(Order, Note).join(Note, Note.order_id == Order.id), "shard key"),
    ],
    ids=str,
)
def test_what_would_be_wrong_when_strung_together_is_refused(session, asked, statement, reason):
    asked.shards.clear()

    with pytest.raises(QueryRefusedError, match=reason) as caught:
        session.execute(statement)

    assert asked.shards == []
    assert caught.value.next_step


@pytest.mark.parametrize(
    "statement",
    [
        select(func.count()).select_from(Order).where(Order.store_id == ON_S2),
        select(Order.id).where(Order.store_id == ON_S2).order_by(Order.id.desc()).limit(1),
        select(Order.country).distinct().where(Order.store_id == ON_S2),
        select(Order.id).with_for_update().where(Order.store_id == ON_S2),
    ],
    ids=str,
)
def test_one_shards_statement_may_do_what_it_likes(session, statement):
    assert len(session.execute(statement).all()) == 1


def test_locks_of_several_shards_are_refused(session, cluster):
    if cluster.connections.backend("s1") == "sqlite":
        pytest.skip("SQLite has no FOR UPDATE")

    with pytest.raises(QueryRefusedError, match="LOCKS"):
        session.execute(select(Order).with_for_update())


def test_groups_of_one_shard_each_may_be_strung_together(session):
    rows = session.execute(select(Item.store_id, func.count()).group_by(Item.store_id)).all()

    assert sorted(map(tuple, rows)) == [(key, 2) for key in range(1, 10)]


def test_legacy_count_is_refused_not_wrong(session):
    with pytest.raises(QueryRefusedError, match="aggregate"):
        session.query(Order).count()


def test_percent_signs_and_quotes_stand_for_themselves(session):
    statement = text("SELECT name FROM items WHERE name LIKE 'item %' AND store_id = 2")

    assert sorted(session.scalars(statement)) == ["item 1", "item 2"]


def test_named_shard_is_asked_and_no_other(session, asked):
    counts, shards = asked.by(
        lambda: session.scalar(
            select(func.count()).select_from(Order), bind_arguments={"shard_id": "s2"}
        )
    )

    assert shards == ["s2"]
    assert counts == sum(owner(key, OWNERS) == "s2" for key in range(1, 10))


def test_definition_of_tables_is_refused(session):
    with pytest.raises(QueryRefusedError, match="CreateTable"):
        session.execute(CreateTable(Order.__table__))


def test_table_of_no_mapping_is_told(session):
    with pytest.raises(QueryRefusedError, match="customers2"):
        session.execute(text("SELECT * FROM customers2"))


# Identity


def test_get_by_a_primary_key_with_the_shard_key_asks_one_shard(session, asked):
    item, shards = asked.by(lambda: session.get(Item, (ON_S2, 10 * ON_S2 + 1)))
    again, none = asked.by(lambda: session.get(Item, (ON_S2, 10 * ON_S2 + 1)))

    assert (item.name, shards) == ("item 1", ["s2"])
    assert (again, none) == (item, [])


def test_identity_is_looked_for_on_the_owner_or_first_where_it_is_needed(cluster, session):
    choose = Router(cluster).identity_chooser
    note = inspect(session.get(Note, ON_S2))

    assert list(choose(inspect(Item), (ON_S2, 1))) == ["s2"]
    assert list(choose(inspect(Order), (102,))) == ["s1", "s2"]
    assert list(choose(inspect(Order), (102,), lazy_loaded_from=note)) == ["s2", "s1"]
    assert list(choose(inspect(Item), (ON_S2, 1), bind_arguments={"shard_id": "s1"})) == ["s1"]


def test_get_by_another_primary_key_finds_the_object_wherever_it_is(session, asked):
    order, shards = asked.by(lambda: session.get(Order, 100 + ON_S2))
    again, none = asked.by(lambda: session.get(Order, 100 + ON_S2))
    missing = session.get(Order, 999)

    assert (order.store_id, shards) == (ON_S2, ["s1", "s2"])
    assert (again, none) == (order, [])
    assert missing is None


def test_refresh_asks_the_shard_of_the_object(session, asked):
    order = session.get(Order, 100 + ON_S2)

    _, shards = asked.by(lambda: session.refresh(order))

    assert shards == ["s2"]


# Relationships


def test_lazy_relationship_with_the_key_in_its_join_asks_one_shard(session, asked):
    order = session.get(Order, 100 + ON_S2)

    items, shards = asked.by(lambda: order.items)

    assert ([item.name for item in items], shards) == (["item 1", "item 2"], ["s2"])


def test_lazy_relationship_without_the_key_finds_rows_on_every_shard(session, asked):
    order = session.get(Order, 100 + ON_S2)

    notes, shards = asked.by(lambda: order.notes)

    assert sorted(note.id for note in notes) == [ON_S2, 77]
    assert shards == ["s1", "s2"]


def test_lazy_relationship_into_another_mapping_asks_the_shard_of_its_key(session):
    orders = session.scalars(select(Order)).all()

    assert {order.store_id: order.customer.name for order in orders} == {
        key: f"customer {10 - key}" for key in range(1, 10)
    }
    assert any(owner(key, OWNERS) != owner(10 - key, OWNERS) for key in range(1, 10))


@pytest.mark.parametrize("load", [selectinload, immediateload])
def test_eager_loads_find_rows_on_other_shards_than_the_parents(session, load):
    relationships = [Order.customer, Order.notes, Order.items, Order.land]
    orders = session.scalars(select(Order).options(*map(load, relationships))).all()
    session.expunge_all()

    assert len(orders) == 9
    for order in orders:
        assert order.customer.name == f"customer {10 - order.store_id}"
        more = [77] if order.store_id == ON_S2 else []
        assert sorted(note.id for note in order.notes) == [order.store_id, *more]
        assert len(order.items) == 2
        assert order.land.name == "Switzerland"


def test_subquery_load_by_the_key_works_and_without_it_is_refused(session):
    orders = session.scalars(select(Order).options(subqueryload(Order.items))).all()
    assert [len(order.items) for order in orders] == [2] * 9

    with pytest.raises(QueryRefusedError, match="shard key"):
        session.scalars(select(Order).options(subqueryload(Order.notes))).all()


def test_joined_load_by_the_key_works_over_all_shards(session):
    orders = session.scalars(select(Order).options(joinedload(Order.items))).unique().all()
    session.expunge_all()

    assert sorted(len(order.items) for order in orders) == [2] * 9


def test_joined_load_without_the_key_is_refused(session):
    with pytest.raises(QueryRefusedError, match="shard key"):
        session.scalars(select(Order).options(joinedload(Order.notes))).unique().all()


def test_tuples_with_the_key_pin(session, asked):
    statement = select(Item.id).where(tuple_(Item.store_id, Item.id).in_([(2, 21), (2, 22)]))

    found, shards = asked.by(lambda: session.scalars(statement).all())

    assert (sorted(found), shards) == ([21, 22], ["s2"])


@pytest.mark.parametrize("package", ["sqlalchemy", "sqlglot"])
def test_without_a_package_the_pip_command_is_named(package):
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "try:\n    import shardhash.adapters.sqlalchemy\n"
        "except ImportError as error:\n    print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert f"needs the package {package}" in ended.stdout
    assert "pip install 'shardhash[query]'" in ended.stdout


def test_async_session_is_refused_before_it_holds_up_an_event_loop(cluster):
    asyncio_extension = pytest.importorskip(
        "sqlalchemy.ext.asyncio", reason="greenlet is not installed", exc_type=ImportError
    )

    made = asyncio_extension.AsyncSession(sync_session_class=ShardedSession, router=Router(cluster))

    with pytest.raises(UsageError, match="event loop") as refused:
        made.sync_session.scalars(select(Order).where(Order.store_id == ON_S1))
    assert "asyncio.to_thread" in refused.value.next_step


def test_units_of_work_run_in_threads_of_an_event_loop(cluster):
    def amount_of(key):
        with sessionmaker(cluster)() as session:
            return session.scalars(select(Order.id).where(Order.store_id == key)).one()

    async def both():
        return await asyncio.gather(*(asyncio.to_thread(amount_of, key) for key in (ON_S1, ON_S2)))

    assert asyncio.run(both()) == [100 + ON_S1, 100 + ON_S2]
