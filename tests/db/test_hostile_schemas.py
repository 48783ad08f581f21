"""Hostile schemas go through whole operations, or are refused before anything is done.

Each schema is adopted, split, moved, turned around, moved again and cloned between two servers that
agree on nothing. What is there before and after is compared by SQL of this file alone.
"""

from collections.abc import Mapping

import pytest

from hostile_schemas import CASES
from hostile_servers import Cluster, contents, definition, fill, slots_of
from servers import MySQLFleet


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardhash.db.executor._table_copy._PAGE_ROWS", 11)
    monkeypatch.setattr("shardhash.db.executor._pages._PAGE_ROWS", 13)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_schema_goes_through_all_operations_unchanged(
    hostile_fleet: MySQLFleet, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    cluster = Cluster.start(hostile_fleet)
    fill(hostile_fleet, "s1", case)
    before = {table: contents(hostile_fleet, "s1", table) for table in case.tables}
    made = {table: definition(hostile_fleet, "s1", table) for table in case.tables}

    def check(owners: Mapping[str, range]) -> None:
        for table, rows in before.items():
            found = [row for shard in owners for row in contents(hostile_fleet, shard, table)]
            assert sorted(found, key=repr) == rows, table
            for shard, slots in owners.items():
                there = slots_of(hostile_fleet, shard, table, str(case.key), case.key_type)
                assert there <= set(slots), (table, shard)
        with cluster.operations() as operations:
            report = operations.verify()
            assert report.is_clean, report

    cluster.adopt(case)
    cluster.do("split", "s1", "s2", instance="b", freeze=True)
    check({"s1": range(8), "s2": range(8, 16)})
    assert {table: definition(hostile_fleet, "s2", table) for table in case.tables} == made
    with cluster.operations() as operations:
        plan = operations.plan_move("s2", "s1", slots="8-11", freeze=True)
    cluster.undo_when_open(plan, monkeypatch)
    check({"s1": range(8), "s2": range(8, 16)})
    cluster.do("move", "s2", "s1", slots="8-11", freeze=True, quarantine=True)
    check({"s1": range(12), "s2": range(12, 16)})
    cluster.do("clone", "s1", "s3", instance="b")
    for table in (*case.tables, *case.more):
        assert contents(hostile_fleet, "s3", table) == contents(hostile_fleet, "s1", table)
        assert definition(hostile_fleet, "s3", table) == definition(hostile_fleet, "s1", table)
