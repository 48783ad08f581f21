"""A shard with guarded tables, for tests."""

import zlib
from contextlib import contextmanager
from datetime import date
from itertools import count, islice

from managers import manager_of
from shardhash.db import guard, sql
from shardhash.db.drivers import Place, prepare_sqlite, translate
from shardhash.db.guard import ControlPlace, GuardedTable
from shardhash.db.inspect import inspect_table
from shardhash.db.sql import SlotState
from shardhash.db.topology import (
    Backend,
    Key,
    KeyType,
    Mapping,
    RangeRule,
    RingRule,
    SlotRule,
    TableRule,
)
from shardhash.slots import SlotSet

SLOTS = 16
NO_SLOTS = SlotSet()
TOKEN = "pass-of-the-operation"


def slot_of(key, slot_count=SLOTS):
    data = key if isinstance(key, bytes) else str(key).encode()
    return zlib.crc32(data) & (slot_count - 1)


def keys_in(slot, how_many=5, slot_count=SLOTS):
    """Return the first integers whose key is in a slot."""
    return list(islice((key for key in count(1) if slot_of(key, slot_count) == slot), how_many))


def slot_mapping(key_type="int", column="k", tables=("orders",), slot_count=SLOTS):
    return Mapping(
        name="by_key",
        key=Key(column, KeyType(key_type)),
        tables=tuple(TableRule(table, column) for table in tables),
        rule=SlotRule(owners=("s1",) * slot_count, shards=("s1", "s2")),
    )


def range_mapping(bounds, key_type="int", column="k", tables=("orders",)):
    return Mapping(
        name="by_key",
        key=Key(column, KeyType(key_type)),
        tables=tuple(TableRule(table, column) for table in tables),
        rule=RangeRule(bounds=tuple(bounds), shards=("s1",) * (len(bounds) + 1)),
    )


def ring_mapping():
    return Mapping(
        name="by_key",
        key=Key("k", KeyType.INT),
        tables=(TableRule("orders", "k"),),
        rule=RingRule(nodes={"s1": 1.0}),
    )


def place_of(fleet, shard):
    return ControlPlace(Backend(fleet.kind), fleet.database(shard))


def guarded(connection, place, mapping):
    return [
        GuardedTable(inspect_table(connection, rule.name, place.backend), rule.key)
        for rule in mapping.tables
    ]


@contextmanager
def control_of(fleet, shard, **options):
    """Yield a connection and the place of a shard that has its control tables."""
    place = place_of(fleet, shard)
    with manager_of(fleet, **options) as manager, manager.write(shard) as connection:
        guard.create_control(connection, place)
        connection.commit()
        yield connection, place


def set_up(fleet, shard, *statements, mapping=None, slot_count=None, **install):
    """Make a shard with guarded tables: slot 1 is fenced, slot 2 foreign, all others owned."""
    mapping = mapping or slot_mapping()
    fleet.add(shard)
    for statement in statements or ("CREATE TABLE orders (id INT PRIMARY KEY, k INT, v INT)",):
        fleet.sql(shard, statement)
    if slot_count is None:
        rule = mapping.rule
        slot_count = rule.slot_count if isinstance(rule, SlotRule) else len(rule.shards)
    with control_of(fleet, shard) as (connection, place):
        owned = SlotSet(range(slot_count)) - SlotSet([2])
        guard.fill_slots(connection, place, mapping.name, slot_count, owned)
        set_state(connection, place, 1, SlotState.FENCED)
        guard.install_guards(
            connection, place, mapping, guarded(connection, place, mapping), **install
        )
        connection.commit()


def set_state(connection, place, slot, state, mapping="by_key"):
    guard.set_slots(
        connection, place, mapping, SlotSet([slot]), SlotState(state), among=list(SlotState)
    )


def change_state(fleet, shard, slot, state):
    with manager_of(fleet) as manager, manager.write(shard) as connection, connection.begin():
        set_state(connection, place_of(fleet, shard), slot, state)


def stored(key, kind):
    return str(key) if kind == "sqlite" and isinstance(key, date) else key


def guard_all(fleet, mapping, count, *, owned=NO_SLOTS, shard="s1"):
    """Guard a shard so that every key but those of the `owned` slots is refused."""
    with control_of(fleet, shard) as (connection, place):
        guard.fill_slots(connection, place, mapping.name, count, owned)
        guard.install_guards(connection, place, mapping, guarded(connection, place, mapping))
        guard.add_pass(connection, place, "op", TOKEN)
        connection.commit()


def slots_by_select(fleet, mapping, keys):
    """Write the keys past the guards, and return the slot of each by SELECT."""
    with control_of(fleet, "s1") as (connection, place):
        guard.use_pass(connection, place.backend, TOKEN)
        hole = "?" if fleet.kind == "sqlite" else "%s"
        for number, key in enumerate(keys):
            connection.exec_driver_sql(
                f"INSERT INTO orders (id, k) VALUES ({number}, {hole})", (stored(key, fleet.kind),)
            )
        table = inspect_table(connection, "orders", place.backend)
        slot = sql.number_expression(mapping, table.column("k"), place.backend)
        rows = connection.exec_driver_sql(f"SELECT {slot} FROM orders ORDER BY id").fetchall()
        connection.rollback()
        return [row[0] for row in rows]


def app_connection(fleet, shard, **options):
    """Return a raw connection as an application has it."""
    if fleet.kind == "mysql":
        return fleet.server(shard).connect(fleet.database(shard), **options)
    connection = fleet.connect(shard)
    prepare_sqlite(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def execute(connection, statement, params=()):
    """Run one statement (``%s`` on both backends) and return its rows."""
    if hasattr(connection, "create_function"):
        return connection.execute(statement.replace("%s", "?"), tuple(params)).fetchall()
    with connection.cursor() as cursor:
        cursor.execute(statement, tuple(params) or None)
        return list(cursor.fetchall())


def refusal(connection, statement, params=()):
    """Return the shardhash error that a statement's refusal means; fail if it is not refused."""
    try:
        execute(connection, statement, params)
    except Exception as error:
        return translate(error, Place(instance="i", address="here"))
    raise AssertionError(f"{statement} was not refused")
