"""Two shards to prune, and what is on them: for the tests of prune."""

import zlib

from shardhash.db import Cluster

SLOT_COUNT = 16
OWNERS = {"s1": "0-7", "s2": "8-15"}
FOREIGN = [number for number in range(100) if zlib.crc32(b"%d" % number) & 15 >= 8]


def by_key(key_type="int", column="k", tables=("orders",), **rule):
    rule = rule or {"slots": {"count": SLOT_COUNT, "owners": OWNERS}}
    return {"by_key": {"key": {"column": column, "type": key_type}, "tables": list(tables), **rule}}


def owner_by_zlib(key):
    data = key if isinstance(key, bytes) else str(key).encode()
    return "s1" if zlib.crc32(data) & (SLOT_COUNT - 1) < 8 else "s2"


def make_shards(fleet, *statements, shards=("s1", "s2")):
    for shard in shards:
        fleet.add(shard)
        for statement in statements:
            fleet.sql(shard, statement)


def fill(fleet, rows, shards=("s1", "s2"), table="orders"):
    holes = ", ".join(["%s"] * len(rows[0]))
    for shard in shards:
        for row in rows:
            fleet.sql(shard, f"INSERT INTO {table} VALUES ({holes})", row)


def prune(fleet, shard, mappings, **options):
    with Cluster.open(str(fleet.write_config(mappings))) as cluster:
        return cluster.operations.apply(cluster.operations.plan_prune(shard, **options))


def ids(fleet, shard, table="orders"):
    return [row[0] for row in fleet.sql(shard, f"SELECT id FROM {table} ORDER BY id")]
