"""The pure planner of prune: exact text for small facts, and what it refuses."""

from dataclasses import replace

import pytest

from shardhash.db.plan import Mechanism, Plan
from shardhash.db.planning.prune import KeyFacts, TableFacts, plan_prune
from shardhash.db.schema import Column, ForeignKey, Table
from shardhash.db.topology import Backend, Key, KeyType, Mapping, RangeRule, SlotRule, TableRule
from shardhash.errors import PreflightError, RefusedError

MAPPING = Mapping(
    name="by_store",
    key=Key("store_id", KeyType.INT),
    tables=(TableRule("orders", "store_id"),),
    rule=SlotRule(owners=("s1", "s2"), shards=("s1", "s2")),
)


def orders(**changes):
    columns = tuple(
        Column(name=name, data_type="bigint", definition="bigint(20)", nullable=False)
        for name in ("id", "store_id")
    )
    table = Table(
        name="orders", backend=Backend.MYSQL, columns=columns, primary_key=("id",), kind="table"
    )
    return replace(table, **changes)


def facts(table=None, *, twin=None, **counts):
    table = table or orders()
    keys = KeyFacts(
        **{
            "row_count": 100,
            "key_count": 10,
            "foreign_keys": 4,
            "null_keys": 0,
            "folded_keys": 0,
            "owners": {"s2": 40},
            **counts,
        }
    )
    return TableFacts(
        rule=TableRule(table.name, "store_id"),
        key_type=KeyType.INT,
        table=table,
        keys=keys,
        twins={"s2": twin or table},
    )


def plan(*tables, mapping=MAPPING, **options):
    return plan_prune("s1", mapping, tables, config_version="v1", **options)


def test_the_same_facts_give_the_same_plan():
    assert plan(facts()).to_json() == plan(facts()).to_json()


def test_a_plan_survives_json():
    first = plan(facts(null_keys=3, folded_keys=1))

    assert Plan.from_json(first.to_json()) == first


def test_a_plan_that_was_edited_is_refused():
    document = plan(facts()).to_json()
    document["proof"] = False

    with pytest.raises(RefusedError, match="was changed"):
        Plan.from_json(document)


def test_the_sql_of_a_batch_locks_proves_and_deletes():
    assert plan(facts()).steps[0].sql == (
        (
            "SELECT `id`, `store_id`, SHA2(CONCAT("
            "IF(`id` IS NULL, 'N', HEX(CAST(`id` AS BINARY))), ',',"
            " IF(`store_id` IS NULL, 'N', HEX(CAST(`store_id` AS BINARY)))), 256)"
            " FROM `orders` WHERE `id` IN (%s) FOR UPDATE"
        ),
        (
            "SELECT `id`, SHA2(CONCAT("
            "IF(`id` IS NULL, 'N', HEX(CAST(`id` AS BINARY))), ',',"
            " IF(`store_id` IS NULL, 'N', HEX(CAST(`store_id` AS BINARY)))), 256)"
            " FROM `orders` WHERE `id` IN (%s) LOCK IN SHARE MODE"
        ),
        "DELETE FROM `orders` WHERE `id` IN (%s)",
    )


def test_the_plan_says_that_an_enum_in_the_primary_key_locks_all_rows():
    kind = Column(name="kind", data_type="enum", definition="enum('a')", nullable=False)
    table = orders()
    table = replace(table, columns=(kind, *table.columns), primary_key=("kind", "id"))

    assert plan(facts(table)).prunes[0].locks.startswith("all rows")


def test_pages_are_chosen_where_many_rows_are_foreign():
    assert plan(facts()).prunes[0].mechanism is Mechanism.PAGES


def test_keys_are_chosen_where_few_rows_are_foreign_and_the_key_is_indexed():
    step = plan(facts(orders(indexed=frozenset({"store_id"})), owners={"s2": 1})).prunes[0]

    assert step.mechanism is Mechanism.KEYS


def test_pages_are_refused_where_the_server_cannot_compute_the_mapping():
    ranges = replace(MAPPING, rule=RangeRule(bounds=(5,), shards=("s1", "s2")))

    with pytest.raises(PreflightError, match="has no slots"):
        plan(facts(), mapping=ranges, using=Mechanism.PAGES)
    assert plan(facts(), mapping=ranges).prunes[0].mechanism is Mechanism.KEYS


def test_a_prune_without_proof_says_so_loudly():
    assert any("WITHOUT PROOF" in warning for warning in plan(facts(), proof=False).warnings)


def test_children_are_pruned_before_their_parents():
    reference = ForeignKey(name="fk", table="lines", parent="orders", on_delete="RESTRICT")
    parent, child = orders(children=(reference,)), orders(name="lines")

    steps = plan(facts(parent), facts(child)).steps

    assert [step.table for step in steps] == ["lines", "orders"]


def test_tables_in_a_circle_are_refused():
    there = ForeignKey(name="a", table="lines", parent="orders", on_delete="RESTRICT")
    back = ForeignKey(name="b", table="orders", parent="lines", on_delete="RESTRICT")

    with pytest.raises(PreflightError, match="circle"):
        plan(facts(orders(children=(there,))), facts(orders(name="lines", children=(back,))))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "view"}, "it is a view"),
        ({"is_transactional": False}, "no transactions"),
        ({"primary_key": ()}, "no primary key"),
        ({"delete_triggers": ("audit",)}, "DELETE fires audit"),
        (
            {"children": (ForeignKey(name="fk", table="t", parent="orders", on_delete="CASCADE"),)},
            "ON DELETE CASCADE",
        ),
        (
            {
                "columns": (
                    Column(name="id", data_type="double", definition="double", nullable=False),
                )
            },
            "primary key column id is double",
        ),
    ],
)
def test_a_table_that_cannot_be_pruned_exactly_is_refused(changes, reason):
    with pytest.raises(PreflightError, match=reason):
        plan(facts(orders(**changes)))


def test_an_owner_with_another_schema_is_refused():
    other = orders(
        columns=(
            Column(name="id", data_type="bigint", definition="bigint(20)", nullable=False),
            Column(name="store_id", data_type="int", definition="int(11)", nullable=False),
        )
    )

    with pytest.raises(PreflightError, match=r"store_id: bigint\(20\) and int\(11\)"):
        plan(facts(twin=other))
