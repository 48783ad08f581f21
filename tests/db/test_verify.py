"""Verify names the first rows that are where they do not belong, as their owner is by zlib."""

import json
import zlib

import pytest

from pruning import by_key, fill, make_shards, owner_by_zlib
from shardhash.db import Cluster
from shardhash.db.inspect import _keys

KEYS = range(100)
BINARY = {"mysql": "VARBINARY(200)", "sqlite": "BLOB"}


def verified(fleet, mappings):
    """Return the verdict on the orders of s1, and the same as JSON."""
    with Cluster.open(str(fleet.write_config(mappings))) as cluster:
        report = cluster.operations.verify("s1")
    (verdict,) = report.tables
    return verdict, json.loads(json.dumps(report.to_json()))["tables"][0]


def slot_of(key):
    data = key if isinstance(key, bytes) else str(key).encode()
    return zlib.crc32(data) & 15


def numbered(fleet):
    """Make shards of which s1 holds the rows of all keys; ids fall as keys rise."""
    make_shards(fleet, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    fleet.sql("s1", f"INSERT INTO orders VALUES {', '.join(f'({200 - k}, {k})' for k in KEYS)}")


def test_rows_of_other_slots_are_named_and_those_that_move_are_not(backend):
    numbered(backend)
    fill(backend, [(501, None), (500, None)], shards=("s1",))
    foreign = [k for k in reversed(KEYS) if slot_of(k) >= 12]  # 8 to 11 are on their way
    slots = {"count": 16, "owners": {"s1": "0-7", "s2": "8-15"}}

    verdict, as_json = verified(backend, by_key(slots=slots, unowned={"s1": "8-11"}))

    assert verdict.misplaced == {"s2": len(foreign)}
    assert as_json["misplaced_rows"] == [
        {
            "primary_key": [str(200 - k)],
            "key": str(k),
            "slot": slot_of(k),
            "range": None,
            "owner": "s2",
        }
        for k in foreign[:10]
    ]
    assert as_json["no_key_rows"] == [["500"], ["501"]]


def test_rows_of_other_ranges_are_named_with_the_number_of_the_range(backend):
    numbered(backend)

    _, as_json = verified(
        backend, by_key(ranges={"bounds": [30, 60], "shards": ["s1", "s2", "s1"]})
    )

    assert as_json["misplaced_rows"] == [
        {"primary_key": [str(200 - k)], "key": str(k), "slot": None, "range": 1, "owner": "s2"}
        for k in range(59, 49, -1)
    ]


@pytest.mark.parametrize("page_rows", [1, 7, 10_000])
def test_rows_of_other_nodes_of_a_ring_are_named(sqlite_fleet, page_rows, monkeypatch):
    monkeypatch.setattr(_keys, "_STREAMED_ROWS", page_rows)
    numbered(sqlite_fleet)
    fill(sqlite_fleet, [(50, None), (500, None)], shards=("s1",))
    rule = by_key(ring={"nodes": {"s1": 1, "s2": 1}})
    with Cluster.open(str(sqlite_fleet.write_config(rule))) as cluster:
        foreign = [k for k in reversed(KEYS) if cluster.shard_for("by_key", k) == "s2"]

    _, as_json = verified(sqlite_fleet, rule)

    assert as_json["misplaced_rows"] == [
        {"primary_key": [str(200 - k)], "key": str(k), "slot": None, "range": None, "owner": "s2"}
        for k in foreign[:10]
    ]
    assert as_json["no_key_rows"] == [["50"], ["500"]]


def test_rows_of_other_nodes_of_a_ring_are_named_on_a_server(mysql_fleet):
    make_shards(mysql_fleet, "CREATE TABLE orders (id INT PRIMARY KEY, k VARCHAR(20))")
    fill(mysql_fleet, [(number, f"é{number}") for number in range(20)], shards=("s1",))
    rule = by_key("str", ring={"nodes": {"s1": 1, "s2": 1}})
    with Cluster.open(str(mysql_fleet.write_config(rule))) as cluster:
        foreign = [n for n in range(20) if cluster.shard_for("by_key", f"é{n}") == "s2"]

    verdict, _ = verified(mysql_fleet, rule)

    named = [(row.primary_key, row.key, row.owner) for row in verdict.misplaced_rows]
    assert named == [((number,), f"é{number}", "s2") for number in foreign[:10]]


def test_bytes_stand_in_hexadecimal_digits(backend):
    make_shards(
        backend,
        f"CREATE TABLE orders (a INT, k {BINARY[backend.kind]} NOT NULL, PRIMARY KEY (a, k))",
    )
    keys = [bytes([0, byte, 255]) for byte in range(40)]
    fill(backend, [(1, key) for key in keys], shards=("s1",))

    verdict, as_json = verified(backend, by_key("bytes"))

    foreign = [key for key in keys if owner_by_zlib(key) == "s2"][:10]
    assert [row.key for row in verdict.misplaced_rows] == foreign
    assert [row["primary_key"] for row in as_json["misplaced_rows"]] == [
        ["1", f"0x{key.hex()}"] for key in foreign
    ]


def test_rows_without_a_primary_key_are_counted_and_not_named(backend):
    make_shards(backend, "CREATE TABLE orders (k INT)")
    fill(backend, [(k,) for k in (*range(20), None)], shards=("s1",))

    verdict, _ = verified(backend, by_key())

    assert verdict.misplaced["s2"] == sum(owner_by_zlib(k) == "s2" for k in range(20))
    assert (verdict.misplaced_rows, verdict.no_key_rows) == ((), ())
