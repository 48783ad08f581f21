"""A pin is never too small: SQLite says which rows a condition keeps, and each is on its shards."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import parse_one

from shardhash.db.mapping import KeyRouter
from shardhash.db.query._facts import TableFacts
from shardhash.db.query._pins import ColumnTest, pin_of, shards_of
from shardhash.db.schema import Column, Table
from shardhash.db.topology import (
    Backend,
    Key,
    KeyType,
    Mapping,
    RangeRule,
    SlotRule,
    TableRule,
)

SHARDS = ("s1", "s2", "s3", "s4")
SLOTS = SlotRule(owners=tuple(SHARDS[slot % 4] for slot in range(16)), shards=SHARDS)
RANGES = RangeRule(bounds=(-5, 0, 10), shards=("s1", "s2", "s3", "s4"))
KEYS = range(-12, 25)
DEFINITION = "CREATE TABLE t (k INTEGER NOT NULL, v INTEGER)"

whole = st.integers(-14, 27).map(str)
fractions = st.sampled_from(["-5.0", "0.5", "10.00", "-0.5", "9.999"])
odd = st.sampled_from(["'7'", "'07'", "'x'", "NULL", "k", "v + 1", "-(-3)", "1e1"])
values = whole | whole | fractions | odd


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    column = draw(st.sampled_from(["k", "k", "k", "(k)", "v", "k + 0"]))
    form = draw(
        st.sampled_from(
            ["{c} = {a}", "{a} = {c}", "{c} < {a}", "{c} <= {a}", "{c} > {a}", "{a} >= {c}",
             "{c} BETWEEN {a} AND {b}", "{c} IN ({a}, {b})", "{c} NOT IN ({a}, {b})",
             "{c} <> {a}", "{c} IS NULL", "{c} NOT BETWEEN {a} AND {b}"]
        )
    )  # fmt: skip
    return form.format(c=column, a=draw(values), b=draw(values))


conditions = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} AND {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} OR {two[1]})"),
        inner.map(lambda one: f"NOT ({one})"),
    ),
    max_leaves=5,
)


def facts_of(rule: Any) -> TableFacts:
    mapping = Mapping(name="m", key=Key("k", KeyType.INT), tables=(TableRule("t", "k"),), rule=rule)
    columns = tuple(
        Column(name=name, data_type="integer", definition="INTEGER", nullable=name == "v")
        for name in "kv"
    )
    return TableFacts(
        table=Table(name="t", backend=Backend.SQLITE, columns=columns, primary_key=()),
        rule=TableRule("t", "k"),
        router=KeyRouter.from_mapping(mapping),
        definition=DEFINITION,
    )


def kept(condition: str) -> set[int]:
    """Return the keys of the rows that SQLite keeps."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(DEFINITION)
        rows = [(key, value) for key in KEYS for value in (None, 1)]
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        return {key for (key,) in connection.execute(f"SELECT k FROM t WHERE {condition}")}


def pinned(condition: str, facts: TableFacts) -> frozenset[str] | None:
    test = ColumnTest(facts, lambda column: column.name == "k")
    pin = pin_of(parse_one(condition, dialect="sqlite"), test)
    assert facts.router
    return shards_of(pin.cells(()), facts.router)


@pytest.mark.parametrize("rule", [SLOTS, RANGES], ids=["slots", "ranges"])
@given(conditions)
def test_every_row_that_is_kept_is_on_a_pinned_shard(rule: Any, condition: str) -> None:
    facts = facts_of(rule)
    shards = pinned(condition, facts)

    assert facts.router
    needed = {facts.router.shard_for(key) for key in kept(condition)}
    assert shards is None or needed <= shards


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("k = 7", 1),
        ("7 = k", 1),
        ("k = '7'", 1),
        ("k = 7.0", 1),
        ("k = 7 AND v > 1", 1),
        ("k IN (7)", 1),
        ("k = NULL", 0),
        ("k = 7 AND k = 8 AND k = 9 AND k = 10", 0),
        ("k = 7 OR v = 1", None),
        ("NOT k = 7", None),
        ("k = 7.5", None),
        ("k <> 7", None),
        ("k + 0 = 7", None),
        ("k > 3", None),
    ],
)
def test_how_many_shards_a_condition_pins(condition: str, count: int | None) -> None:
    shards = pinned(condition, facts_of(SLOTS))

    assert (None if shards is None else len(shards)) == count


@pytest.mark.parametrize(
    ("condition", "shards"),
    [
        ("k < -5", {"s1"}),
        ("k >= -5 AND k < 0", {"s2"}),
        ("k BETWEEN 0 AND 9", {"s3"}),
        ("k > 9.5", {"s3", "s4"}),
        ("k BETWEEN -7 AND 12", {"s1", "s2", "s3", "s4"}),
        ("-6 < k AND 3 >= k", {"s1", "s2", "s3"}),
        ("k >= 10", {"s4"}),
        ("k > 3 AND k < 2", {"s3"}),
        ("k BETWEEN 9 AND 0", {"s3"}),
    ],
)
def test_ranges_are_cut_by_comparisons(condition: str, shards: set[str]) -> None:
    found = pinned(condition, facts_of(RANGES))

    assert found is not None
    assert found <= shards
    assert {facts_of(RANGES).router.shard_for(k) for k in kept(condition)} <= found  # type: ignore[union-attr]


def test_decimal_placeholders_pin_whole_keys_only() -> None:
    facts = facts_of(SLOTS)
    test = ColumnTest(facts, lambda column: column.name == "k")
    pin = pin_of(parse_one("k = :_sh_p0_", dialect="sqlite"), test)

    assert pin.cells([Decimal(7)]) == pin.cells([7])
    assert pin.cells([Decimal("7.5")]) is None
    assert pin.cells([None]) == frozenset()
