"""What SQLAlchemy's sessions write on shards, and what they refuse; guards and moves."""

from datetime import date
from pathlib import Path
from uuid import UUID

import pymysql
import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext import horizontal_shard
from sqlalchemy.orm import Session, aliased, joinedload, selectinload

from orm_models import (
    MAPPINGS,
    ON_S1,
    ON_S2,
    OWNERS,
    Asked,
    Blob,
    Country,
    Day,
    Item,
    Note,
    Order,
    Visit,
    create,
    make_tables,
)
from shardhash.adapters.sqlalchemy import Router, _session, sessionmaker
from shardhash.db import Cluster
from shardhash.errors import (
    KeyTypeError,
    QueryRefusedError,
    ShardKeyError,
    StoppedError,
    UsageError,
    WrongShardError,
)

SLOT = 4
"""Of ON_S1."""

OTHER = aliased(Order)


@pytest.fixture
def path(backend):
    for shard in OWNERS:
        backend.add(shard)
    written = backend.write_config(MAPPINGS)
    written.write_text("map_max_age_s: 0.05\n" + written.read_text())
    return str(written)


@pytest.fixture
def cluster(path):
    with Cluster.open(path, refresh_s=3600) as made:
        make_tables(made)
        yield made


@pytest.fixture
def make_session(cluster):
    return sessionmaker(cluster)


@pytest.fixture
def session(make_session):
    with make_session() as made:
        yield made


def stores_of(backend, shard, table="orders"):
    return [row[0] for row in backend.sql(shard, f"SELECT store_id FROM {table} ORDER BY store_id")]


def test_new_objects_go_to_the_shard_of_their_key(make_session, backend):
    with make_session.begin() as session:
        session.add(Order(id=1, store_id=ON_S2, items=[Item(id=1, name="a")]))

    assert backend.sql("s2", "SELECT store_id FROM orders WHERE id = 1") == [(ON_S2,)]
    assert backend.sql("s2", "SELECT store_id, order_id FROM items WHERE id = 1") == [(ON_S2, 1)]
    assert backend.sql("s1", "SELECT 1 FROM orders WHERE id = 1") == []


@pytest.mark.parametrize(
    ("model", "mapping", "keys"),
    [
        (Visit.token, "by_token", [UUID(int=number) for number in range(8)]),
        (Day.day, "by_day", [date(2026, 1, number + 1) for number in range(8)]),
        (Blob.blob_key, "by_blob", [bytes([0, 7 * number, 255]) for number in range(12)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_key_is_routed_as_it_is_stored(make_session, backend, cluster, model, mapping, keys):
    kind = model.class_
    for shard in OWNERS:
        with cluster.connections.write(shard) as connection, connection.begin():
            create(connection, kind)
    for number, key in enumerate(keys):
        with make_session.begin() as session:
            session.add(kind(number=number, **{model.key: key}))

    with make_session() as session:
        for number, key in enumerate(keys):
            assert session.scalars(select(kind.number).where(model == key)).all() == [number]
    for shard in OWNERS:
        stored = backend.sql(shard, f"SELECT {model.key} FROM {kind.__tablename__}")
        assert stored
        for (key,) in stored:
            value = date.fromisoformat(str(key)) if mapping == "by_day" else key
            assert cluster.shard_for(mapping, value) == shard


def test_object_without_a_key_takes_that_of_what_it_refers_to(make_session, backend):
    with make_session.begin() as session:
        session.add(Note(id=500, order=Order(id=2, store_id=ON_S2), text="new"))

    assert backend.sql("s2", "SELECT store_id, order_id FROM notes WHERE id = 500") == [(ON_S2, 2)]


def test_object_without_any_key_is_refused(session):
    session.add(Order(id=1))

    with pytest.raises(ShardKeyError, match="Order has no shard key: store_id is not set"):
        session.flush()


def test_key_of_another_type_is_refused(session):
    session.add(Order(id=1, store_id="many"))

    with pytest.raises((KeyTypeError, QueryRefusedError), match="int"):
        session.flush()


def test_global_table_is_not_written_on_one_shard(session):
    session.add(Country(code="AT", name="Austria"))

    with pytest.raises(QueryRefusedError, match="global table"):
        session.flush()


def test_changes_and_deletions_go_where_the_object_is(make_session, backend):
    with make_session.begin() as session:
        order = session.get(Order, 100 + ON_S2)
        order.amount = 77
        session.delete(session.get(Note, ON_S2))

    assert backend.sql("s2", f"SELECT amount FROM orders WHERE store_id = {ON_S2}") == [(77,)]
    assert ON_S2 not in stores_of(backend, "s2", "notes")


def test_change_of_a_shard_key_is_refused(session, backend):
    session.get(Order, 100 + ON_S2).store_id = ON_S1

    with pytest.raises(ShardKeyError, match="store_id of a Order was changed"):
        session.flush()

    session.rollback()
    assert ON_S2 in stores_of(backend, "s2")


def test_change_of_a_shard_key_by_a_relationship_is_refused(session):
    order, other = session.get(Order, 100 + ON_S1), session.get(Order, 100 + ON_S2)
    item = order.items[0]
    item.order = other

    with pytest.raises(ShardKeyError, match="store_id of a Item was changed"):
        session.flush()


def test_transaction_that_writes_to_two_shards_is_refused_whole(make_session, backend):
    with (
        pytest.raises(QueryRefusedError, match="writes to several shards"),
        make_session.begin() as session,
    ):
        session.add_all([Order(id=1, store_id=ON_S1), Order(id=2, store_id=ON_S2)])

    assert backend.sql("s1", "SELECT id FROM orders WHERE id < 100") == []
    assert backend.sql("s2", "SELECT id FROM orders WHERE id < 100") == []


def test_one_transaction_after_another_may_write_to_another_shard(session, backend):
    session.add(Order(id=1, store_id=ON_S1))
    session.commit()
    session.add(Order(id=2, store_id=ON_S2))
    session.commit()

    assert backend.sql("s2", "SELECT id FROM orders WHERE id < 100") == [(2,)]


def test_best_effort_lets_a_transaction_write_to_several(cluster, backend):
    with sessionmaker(cluster, best_effort=True).begin() as session:
        session.add_all([Order(id=1, store_id=ON_S1), Order(id=2, store_id=ON_S2)])

    assert backend.sql("s1", "SELECT id FROM orders WHERE id < 100") == [(1,)]
    assert backend.sql("s2", "SELECT id FROM orders WHERE id < 100") == [(2,)]


@pytest.mark.parametrize(("code", "word"), [(2013, "unknown"), (1290, "rolled back")])
def test_commit_that_fails_half_way_says_where_it_is_committed(
    cluster, backend, monkeypatch, code, word
):
    done = []

    def commit(connection):
        if done:
            raise pymysql.OperationalError(code, "no")
        done.append(connection)
        connection.connection.commit()

    monkeypatch.setattr(_session, "commit_driver", commit)
    several = sessionmaker(cluster, best_effort=True)()
    several.add_all([Order(id=1, store_id=ON_S1), Order(id=2, store_id=ON_S2)])
    with pytest.raises(StoppedError, match="committed on every shard") as caught:
        several.commit()
    several.close()

    there = [s for s in ("s1", "s2") if backend.sql(s, "SELECT id FROM orders WHERE id < 100")]
    (other,) = {"s1", "s2"} - {*there}
    assert f"committed on {there[0]}, {word} on {other}" in str(caught.value)


def test_errors_of_the_database_stay_sqlalchemys(session):
    session.add(Order(id=100 + ON_S2, store_id=ON_S2))

    with pytest.raises(IntegrityError):
        session.flush()


# Statements that write


def test_update_with_the_key_goes_to_its_shard(cluster, make_session, backend):
    asked = Asked(cluster)
    with make_session.begin() as session:
        result, shards = asked.by(
            lambda: session.execute(update(Order).where(Order.store_id == ON_S2).values(amount=9))
        )

    assert (result.rowcount, shards) == (1, ["s2"])
    assert backend.sql("s2", f"SELECT amount FROM orders WHERE store_id = {ON_S2}") == [(9,)]


def test_update_of_several_shards_is_refused_unless_opted_in(cluster, session, backend):
    statement = update(Order).where(Order.amount > 0).values(amount=5)

    with pytest.raises(QueryRefusedError, match="writes to 2 shards"):
        session.execute(statement)
    with sessionmaker(cluster, best_effort=True).begin() as several:
        changed = several.execute(statement).rowcount

    assert changed == 9
    amounts = [row for s in ("s1", "s2") for row in backend.sql(s, "SELECT amount FROM orders")]
    assert set(amounts) == {(5,)}


def test_refused_statement_does_not_spoil_the_transaction(session, backend):
    with pytest.raises(QueryRefusedError):
        session.execute(update(Order).values(amount=5))
    session.execute(update(Order).where(Order.store_id == ON_S2).values(amount=6))
    session.commit()

    assert backend.sql("s2", f"SELECT amount FROM orders WHERE store_id = {ON_S2}") == [(6,)]


def test_update_that_changes_the_key_is_refused(session):
    with pytest.raises(QueryRefusedError, match="changes the shard key"):
        session.execute(update(Order).where(Order.store_id == ON_S2).values(store_id=ON_S1))


def test_insert_of_values_goes_to_their_shard(make_session, backend):
    with make_session.begin() as session:
        session.execute(insert(Order).values(id=1, store_id=ON_S2))
        session.execute(Order.__table__.insert(), [{"id": n, "store_id": ON_S2} for n in (2, 3)])

    assert backend.sql("s2", "SELECT id FROM orders WHERE id < 100 ORDER BY id") == [
        (1,), (2,), (3,),
    ]  # fmt: skip


def test_returning_is_refused_because_its_objects_would_be_of_no_shard(session):
    with pytest.raises(QueryRefusedError, match="RETURNING"):
        session.execute(insert(Order).values(id=1, store_id=ON_S2).returning(Order))


def test_object_of_no_shard_is_written_to_its_owner(make_session, backend):
    named = {"shard_id": "s2"}
    with make_session.begin() as session:
        statement = insert(Order).values(id=1, store_id=ON_S2).returning(Order)
        session.scalars(statement, bind_arguments=named).one().amount = 3

    assert backend.sql("s2", "SELECT amount FROM orders WHERE id = 1") == [(3,)]


def test_insert_for_several_shards_is_refused(session):
    rows = [{"id": 1, "store_id": ON_S1}, {"id": 2, "store_id": ON_S2}]

    with pytest.raises(QueryRefusedError, match="rows for several shards"):
        session.execute(insert(Order).values(rows))
    with pytest.raises(QueryRefusedError, match="sets of values for several shards"):
        session.execute(Order.__table__.insert(), rows)
    with pytest.raises(QueryRefusedError, match="bulk INSERT"):
        session.execute(insert(Order), rows)


# Around


def test_connection_needs_a_shard(session):
    with pytest.raises(UsageError, match="which shard"):
        session.connection()

    connection = session.connection(bind_arguments={"shard_id": "s2"})
    assert connection.exec_driver_sql("SELECT COUNT(*) FROM countries").scalar() == 1


def test_two_phase_commit_is_refused(cluster):
    with pytest.raises(UsageError, match="XA"):
        sessionmaker(cluster, twophase=True)()


def own_session(router):
    return horizontal_shard.ShardedSession(
        shard_chooser=router.shard_chooser,
        identity_chooser=router.identity_chooser,
        execute_chooser=router.execute_chooser,
        shards=router.shards,
    )


def test_choosers_serve_sqlalchemys_own_session(cluster, backend):
    with own_session(Router(cluster)) as session:
        session.add(Order(id=1, store_id=ON_S2))
        session.commit()
        found = session.scalars(select(Order.id).where(Order.store_id == ON_S2)).all()
        with pytest.raises(QueryRefusedError, match="ORDER BY"):
            session.scalars(select(Order).order_by(Order.id)).all()

    assert sorted(found) == [1, 100 + ON_S2]
    assert backend.sql("s2", "SELECT id FROM orders WHERE id = 1") == [(1,)]


def test_engines_are_those_of_the_shards(cluster):
    shards = Router(cluster).shards

    assert list(shards) == ["s1", "s2"]
    with Session(shards["s1"]) as one:
        assert one.scalar(select(func.count()).select_from(Country)) == 1
    with pytest.raises(KeyError):
        shards["s3"]


# Rows that move


@pytest.fixture
def operations(path, cluster):
    """Operations of another process, on guarded shards."""
    with Cluster.open(path) as other:
        other.operations.apply(other.operations.plan_guard("by_store"))
        cluster.refresh()
        yield other.operations


def move(operations, progress=None):
    """Move the slot of ON_S1 from s1 to s2."""
    plan = operations.plan_move("s1", "s2", mapping="by_store", slots=f"{SLOT}", freeze=True)
    operations.apply(plan, progress=progress)


def test_write_that_meets_a_guard_reads_the_map_anew(operations, make_session, backend):
    move(operations)
    with make_session() as session:
        session.add(Order(id=1, store_id=ON_S1))
        with pytest.raises(WrongShardError, match="by_store slot"):
            session.flush()
        session.rollback()
        session.add(Order(id=1, store_id=ON_S1))
        session.commit()

        session.get(Order, 100 + ON_S1).amount = 5
        session.commit()

    assert backend.sql("s2", f"SELECT id, amount FROM orders WHERE store_id = {ON_S1}") == [
        (1, 0), (100 + ON_S1, 5),
    ]  # fmt: skip


def test_object_that_moved_is_not_changed_on_its_old_shard(operations, cluster, make_session):
    with make_session(expire_on_commit=False) as session:
        order = session.get(Order, 100 + ON_S1)
        session.commit()
        move(operations)
        cluster.refresh()
        order.amount = 5

        with pytest.raises(WrongShardError, match="read from shard s1, and its shard key is s2's"):
            session.commit()


def test_object_that_was_refused_finds_its_shard_when_it_is_added_again(operations, make_session):
    order = Order(id=1, store_id=ON_S1)
    move(operations)
    with pytest.raises(WrongShardError), make_session.begin() as session:
        session.add(order)

    with make_session.begin() as session:
        session.add(order)

        assert session.get(Order, 1) is order


def test_object_that_moved_is_not_read_again_from_its_old_shard(operations, cluster, session):
    item = session.get(Item, (ON_S1, 10 * ON_S1 + 1))
    session.commit()
    move(operations)
    cluster.refresh()

    with pytest.raises(WrongShardError, match="its shard key is s2's now"):
        session.refresh(item)


def test_every_row_is_read_once_at_every_step_of_a_move(operations, cluster, make_session):
    wrong = []

    def look(progress):
        cluster.refresh()
        with make_session() as session:
            found = {
                "plain": session.scalars(select(Order.id)).all(),
                "aliased": session.scalars(select(aliased(Order))).all(),
                "joined": session.scalars(select(Item.id).join(Item.order)).all(),
                "eager": session.scalars(select(Order).options(joinedload(Order.items)))
                .unique()
                .all(),
                "within": session.scalars(
                    select(Order.id).where(
                        select(Item.id)
                        .where(Item.store_id == Order.store_id, Item.order_id == Order.id)
                        .exists()
                    )
                ).all(),
                "lazy": session.get(Order, 100 + ON_S2).notes,
            }
            counts = {name: len(rows) for name, rows in found.items()}
            expected = {"plain": 9, "aliased": 9, "joined": 18, "eager": 9, "within": 9, "lazy": 2}
            items = sum(len(order.items) for order in found["eager"])
        if counts != expected or items != 18:
            wrong.append((progress.title, counts, items))
        steps.append(progress.title)

    steps = []
    move(operations, look)

    assert wrong == []
    assert len(set(steps)) > 3


@pytest.fixture
def moving(cluster, path, backend):
    """A cluster of which s1 holds a copy of an order that is s2's."""
    backend.sql("s1", f"INSERT INTO orders (id, store_id, amount) VALUES (102, {ON_S2}, 0)")
    text = Path(path).read_text()
    Path(path).write_text(text.replace('"slots":', '"unowned": {"s1": "8-15"}, "slots":', 1))
    cluster.refresh()
    return cluster


def test_copies_on_a_shard_that_does_not_own_them_are_left_out(moving, make_session):
    with make_session() as session:
        assert len(session.scalars(select(Order)).all()) == 9


@pytest.mark.parametrize(
    "statement",
    [
        text("SELECT id FROM orders;"),
        text("SELECT id FROM orders WHERE id % 1 = 0"),
        select(Order.__table__.c.id),
        select(Order).options(joinedload(Order.items)),
        select(OTHER).where(OTHER.id.in_([101, 102, 103, 104])),
    ],
    ids=str,
)
def test_copies_are_left_out_whatever_the_statement(moving, make_session, statement):
    with make_session() as session:
        rows = session.execute(statement).unique().all()

    assert len(rows) == len(set(rows)) >= 4


def test_loads_of_relationships_leave_copies_out(moving, make_session, backend):
    backend.sql("s1", f"INSERT INTO notes VALUES (2, {ON_S2}, 102, 'copy')")
    with make_session() as session:
        orders = session.scalars(select(Order).options(selectinload(Order.notes))).all()
        lazily = {order.id: len(order.notes) for order in session.scalars(select(Order)).all()}

    assert sum(len(order.notes) for order in orders) == 10
    assert lazily[102] == 2


def test_choosers_alone_refuse_while_rows_move(moving):
    router = Router(moving)
    with (
        own_session(router) as session,
        pytest.raises(QueryRefusedError, match="rows are on the move: s1 may hold"),
    ):
        session.scalars(select(Order)).all()


def test_write_to_several_shards_is_refused_while_rows_move(moving):
    with (
        sessionmaker(moving, best_effort=True)() as session,
        pytest.raises(QueryRefusedError, match="rows are on the move"),
    ):
        session.execute(update(Order).values(amount=1))
