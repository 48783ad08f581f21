"""Verification finds every difference; prune by pages deletes only what it has seen agree."""

import zlib

import pytest

from copying import SLOT_COUNT, insert_rows, slots, table_of, work_on
from shardhash.db.executor._copy import copy_table
from shardhash.db.executor._prune_pages import prune_pages
from shardhash.db.executor._quarantine import restore_quarantine
from shardhash.db.executor._verify import verify_table
from shardhash.db.sql import RowFilter
from shardhash.errors import MismatchError

MOVED = (3, 7, 8, 12)


def keys_of(*numbers, count=300):
    return [key for key in range(count) if zlib.crc32(b"%d" % key) % SLOT_COUNT in numbers]


def rows_of(fleet, shard):
    return fleet.sql(shard, "SELECT * FROM t ORDER BY id")


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    monkeypatch.setattr("shardhash.db.executor._pages._PAGE_ROWS", 40)


@pytest.fixture
def copied(backend):
    """Two shards, an operation on them, and slots that are copied from s1 to s2."""
    for shard in ("s1", "s2"):
        backend.add(shard)
        backend.sql(shard, "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER, c VARCHAR(20))")
    rows = [(key, key, f"c{key}") for key in range(300)]
    insert_rows(backend, "s1", [*rows, (1000, None, None)])
    backend.sql("s2", "INSERT INTO t VALUES (2000, NULL, 'own')")
    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        rows = slots(table, *MOVED)
        copy_table(work, "s1", "s2", table, rows)
        yield backend, work, table, rows


def test_equal_shards_verify_without_a_word(copied):
    _, work, table, rows = copied

    assert verify_table(work, "s1", "s2", table, rows, record=False) == []
    assert verify_table(work, "s2", "s1", table, rows, record=False) == []


def test_verify_names_missing_extra_and_differing_rows(copied):
    fleet, work, table, rows = copied
    gone, changed = keys_of(*MOVED)[4], keys_of(*MOVED)[-2]
    new = next(key for key in keys_of(*MOVED, count=900) if key > 600)
    fleet.sql("s2", "DELETE FROM t WHERE id = %s", [gone])
    fleet.sql("s2", "UPDATE t SET c = 'other' WHERE id = %s", [changed])
    fleet.sql("s2", "INSERT INTO t VALUES (%s, %s, 'x')", [new, new])

    found = verify_table(work, "s1", "s2", table, rows, record=False)

    assert [key for page in found for key in page.missing] == [(gone,)]
    assert [key for page in found for key in page.extra] == [(new,)]
    assert [key for page in found for key in page.differing] == [(changed,)]
    assert all(page.table == "t" and page.number >= 1 for page in found)


def test_verify_does_not_look_at_rows_of_other_slots(copied):
    fleet, work, table, rows = copied
    other = keys_of(0, 1, 2)
    fleet.sql("s1", "DELETE FROM t WHERE id = %s", [other[0]])
    fleet.sql("s2", "INSERT INTO t VALUES (%s, %s, 'x')", [other[1], other[1]])

    assert verify_table(work, "s1", "s2", table, rows, record=False) == []


@pytest.mark.parametrize("count", [0, 80], ids=["empty table", "whole pages"])
def test_pages_without_a_moved_row_are_verified_and_pruned(backend, count):
    for shard in ("s1", "s2"):
        backend.add(shard)
        backend.sql(shard, "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER)")
    if count:
        insert_rows(backend, "s1", [(number, 40 if number > 40 else 1) for number in range(count)])
    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        rows = slots(table, zlib.crc32(b"1") % SLOT_COUNT)
        copy_table(work, "s1", "s2", table, rows)

        assert verify_table(work, "s1", "s2", table, rows, record=True) == []
        assert prune_pages(work, "s1", table, rows).kept_pages == ()


def test_a_prune_deletes_the_verified_rows_and_nothing_else(copied):
    fleet, work, table, rows = copied
    verify_table(work, "s1", "s2", table, rows, record=True)

    pruned = prune_pages(work, "s1", table, rows)

    moved = keys_of(*MOVED)
    assert (pruned.deleted, pruned.kept, pruned.kept_pages) == (len(moved), 0, ())
    left = [key for key in range(300) if key not in moved] + [1000]
    assert [row[0] for row in rows_of(fleet, "s1")] == left
    assert [row[0] for row in rows_of(fleet, "s2")] == [*moved, 2000]


def test_what_the_owner_does_after_the_flip_does_not_keep_rows(copied):
    fleet, work, table, rows = copied
    verify_table(work, "s1", "s2", table, rows, record=True)
    fleet.sql("s2", "DELETE FROM t WHERE id < 200")

    pruned = prune_pages(work, "s1", table, rows)

    assert (pruned.deleted, pruned.kept) == (len(keys_of(*MOVED)), 0)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE t SET c = 'late' WHERE id = {row}",
        "DELETE FROM t WHERE id = {row}",
        "INSERT INTO t VALUES (-1, {row}, 'late')",
    ],
)
def test_a_page_that_changed_since_it_was_verified_stays_whole(copied, change):
    fleet, work, table, rows = copied
    verify_table(work, "s1", "s2", table, rows, record=True)
    moved = keys_of(*MOVED)
    first_page = [key for key in moved if key < 40]
    fleet.sql("s1", change.format(row=first_page[1]))
    before = rows_of(fleet, "s1")

    pruned = prune_pages(work, "s1", table, rows)

    assert [page.number for page in pruned.kept_pages] == [1]
    assert pruned.deleted == len(moved) - len(first_page)
    kept = [row for row in before if row[1] in moved and row[0] < 40]
    assert pruned.kept == len(kept)
    assert [row for row in rows_of(fleet, "s1") if row[1] in moved] == kept


def test_pages_are_recorded_only_up_to_the_first_difference(copied):
    fleet, work, table, rows = copied
    row = next(key for key in keys_of(*MOVED) if key > 130)
    fleet.sql("s2", "UPDATE t SET c = 'other' WHERE id = %s", [row])

    assert verify_table(work, "s1", "s2", table, rows, record=True)
    pruned = prune_pages(work, "s1", table, rows)

    assert pruned.deleted <= len([key for key in keys_of(*MOVED) if key < 130])
    assert row in [found[0] for found in rows_of(fleet, "s1")]
    assert max(keys_of(*MOVED)) in [found[0] for found in rows_of(fleet, "s1")]


class Killed(BaseException):
    """What ends the process."""


def test_a_verification_and_a_prune_that_were_killed_go_on(copied, monkeypatch):
    fleet, work, table, rows = copied
    monkeypatch.setattr("shardhash.db.executor._verify._PAGES_A_BATCH", 1)
    steps = iter([True, False] * 20)

    def die_now_and_then():
        if next(steps):
            raise Killed

    def until_done(do):
        work.on_batch = die_now_and_then
        for _ in range(20):
            try:
                return do()
            except Killed:
                continue
        pytest.fail("it never ended")

    found = until_done(lambda: verify_table(work, "s1", "s2", table, rows, record=True))
    until_done(lambda: prune_pages(work, "s1", table, rows))

    assert found == []
    assert [row for row in rows_of(fleet, "s1") if row[1] in keys_of(*MOVED)] == []


def test_a_batch_whose_commit_was_not_heard_of_counts_once(copied, monkeypatch):
    _, work, table, rows = copied
    run_once = work.batch
    monkeypatch.setattr(work, "batch", lambda shard, do, **how: [
        run_once(shard, do, **how) for _ in range(2)][-1])  # fmt: skip
    verify_table(work, "s1", "s2", table, rows, record=True)

    pruned = prune_pages(work, "s1", table, rows, quarantine=True)

    assert (pruned.deleted, pruned.kept) == (len(keys_of(*MOVED)), 0)


@pytest.mark.parametrize("tries", [1, 2], ids=["heard of", "not heard of"])
@pytest.mark.parametrize("quarantine", [False, True])
def test_rows_that_somebody_has_deleted_are_not_counted_as_pruned(
    copied, monkeypatch, tries, quarantine
):
    fleet, work, table, rows = copied
    verify_table(work, "s1", "s2", table, rows, record=True)
    gone = [key for key in keys_of(*MOVED) if key < 40]
    fleet.sql("s1", "DELETE FROM t WHERE id < 40")
    run_once = work.batch
    monkeypatch.setattr(work, "batch", lambda shard, do, **how: [
        run_once(shard, do, **how) for _ in range(tries)][-1])  # fmt: skip

    pruned = prune_pages(work, "s1", table, rows, quarantine=quarantine)

    assert (pruned.gone_already, pruned.kept) == (len(gone), 0)
    assert pruned.deleted == len(keys_of(*MOVED)) - len(gone)


def test_quarantined_rows_come_back_as_they_were(copied):
    fleet, work, table, rows = copied
    before = rows_of(fleet, "s1")
    verify_table(work, "s1", "s2", table, rows, record=True)
    moved = len(keys_of(*MOVED))

    pruned = prune_pages(work, "s1", table, rows, quarantine=True)
    assert pruned.deleted == moved
    assert len(rows_of(fleet, "s1")) == len(before) - moved

    assert restore_quarantine(work, "s1", table, work.operation) == moved
    assert rows_of(fleet, "s1") == before
    assert restore_quarantine(work, "s1", table, work.operation) == 0


def test_a_row_in_the_way_keeps_the_quarantine(copied):
    fleet, work, table, rows = copied
    verify_table(work, "s1", "s2", table, rows, record=True)
    prune_pages(work, "s1", table, rows, quarantine=True)
    row = keys_of(*MOVED)[5]
    fleet.sql("s1", "INSERT INTO t VALUES (%s, %s, 'new')", [row, row])

    with pytest.raises(MismatchError) as refused:
        restore_quarantine(work, "s1", table, work.operation)

    assert "_shardhash_quarantine_t" in refused.value.next_step
    fleet.sql("s1", "DELETE FROM t WHERE id = %s", [row])
    assert restore_quarantine(work, "s1", table, work.operation) == len(keys_of(*MOVED))


def test_all_rows_are_verified_with_those_that_have_no_key(copied):
    fleet, work, table, _ = copied
    for shard in ("s1", "s2"):
        fleet.sql(shard, "DELETE FROM t WHERE k IS NOT NULL")

    found = verify_table(work, "s1", "s2", table, RowFilter.all_rows(), record=False)

    assert [(page.missing, page.extra) for page in found] == [(((1000,),), ((2000,),))]
