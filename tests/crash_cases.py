"""The operations that crash tests kill, each with the cluster that it begins with."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crash_states import APP_PASSWORD, APP_USER, FileCluster, ServerCluster
from shardhash.db import Cluster
from shardhash.db.operations import Operations
from shardhash.db.plan import Plan
from shardhash.errors import StoppedError

AnyCluster = FileCluster | ServerCluster

SLOT_COUNT = 16
STORES = 20
DATABASE = "crash_s1"
SCHEMA = (
    "CREATE TABLE countries (code CHAR(2) PRIMARY KEY, name VARCHAR(20) NOT NULL)",
    (
        "CREATE TABLE orders (id {id} PRIMARY KEY {auto}, store_id INTEGER NULL, "
        "note VARCHAR(40) NOT NULL)"
    ),
    "CREATE INDEX by_store ON orders (store_id)",
    (
        "CREATE TABLE items (order_id {id} NOT NULL, line INTEGER NOT NULL, store_id INTEGER NULL, "
        "amount VARCHAR(20) NULL, PRIMARY KEY (order_id, line), "
        "FOREIGN KEY (order_id) REFERENCES orders (id))"
    ),
    "INSERT INTO countries VALUES ('at', 'Austria'), ('gr', 'Greece'), ('is', 'Iceland')",
)
NO_KEY = {7, 31}  # orders whose store is NULL: they move nowhere
ORDERS = [(i, None if i in NO_KEY else i % STORES, f"note {i} äß%s") for i in range(1, 61)]
ITEMS = [(i, 1, store, None if i % 9 == 0 else f"{i}.50") for i, store, _ in ORDERS if i % 4]


def slot_of(store: int) -> int:
    """Return the slot of a key, by other means than shardhash's."""
    return zlib.crc32(str(store).encode()) & (SLOT_COUNT - 1)


def _text(value: object) -> str:
    return "NULL" if value is None else repr(value)


def _inserts(table: str, rows: list[tuple[Any, ...]]) -> str:
    return f"INSERT INTO {table} VALUES " + ", ".join(
        f"({', '.join(map(_text, row))})" for row in rows
    )


def make_raw(cluster: AnyCluster, *, no_key: bool = True, placement: str = "") -> None:
    """Make one database that is no shard yet, and a configuration with shards as `placement`."""
    orders = [row for row in ORDERS if no_key or row[1] is not None]
    items = [row for row in ITEMS if no_key or row[2] is not None]
    words = (
        {"id": "INTEGER", "auto": "AUTOINCREMENT"}
        if cluster.kind == "sqlite"
        else {"id": "BIGINT", "auto": "AUTO_INCREMENT"}
    )
    statements = [statement.format(**words) for statement in SCHEMA]
    rows = [_inserts("orders", orders), _inserts("items", items)]
    cluster.make(DATABASE, [*statements, *[row.replace("%", "%%") for row in rows]])
    lines = ["format: 1", "app: crash", "map_max_age_s: 0.01"]
    if cluster.kind == "mysql":
        lines += ["setup:", f"  app_user: {{user: {APP_USER}, password: '{APP_PASSWORD}'}}"]
    lines += ["instances:"]
    lines += [f"  {name}: {{url: '{url}'}}" for name, url in cluster.instances().items()]
    lines.append(placement or "shards: {}\nmappings: {}")
    cluster.config_path.write_text("\n".join([*lines, ""]))
    cluster.config_path.chmod(0o600)


RANGED = f"""\
shards:
  s1: {{instance: a, database: {DATABASE}}}
mappings:
  by_store:
    key: {{column: store_id, type: int}}
    tables: [orders, items]
    global_tables: [countries]
    ranges: {{bounds: [], shards: [s1]}}"""


def open_cluster(cluster: AnyCluster) -> Cluster:
    """Open it as an operator does."""
    return Cluster.open(str(cluster.config_path))


@dataclass(frozen=True)
class Case:
    """An operation.

    Attributes:
        base: the base that the cluster begins as.
        plan: makes its plan; None: `apply` needs none, as undo.
        apply: runs it.
    """

    name: str
    base: str
    plan: Callable[[Operations], Plan] | None = None
    apply: Callable[[Operations, Plan | None], object] = lambda ops, plan: ops.apply(plan)


def _undo_last(ops: Operations, _: Plan | None) -> object:
    state = [each for each in ops.list() if each.plan.operation in ("move", "prune")][-1]
    return ops.undo(state.id)


def _adopt(ops: Operations) -> Plan:
    return ops.plan_adopt(
        "s1",
        instance="a",
        database=DATABASE,
        mapping="by_store",
        key="store_id",
        key_type="int",
        tables=[("orders", None), ("items", None)],
        global_tables=["countries"],
        slot_count=SLOT_COUNT,
    )


def _split(ops: Operations) -> Plan:
    return ops.plan_split("s1", "s2", instance="b", freeze=True)


def _adopt_ranged(ops: Operations) -> Plan:
    return ops.plan_adopt("s1", instance="a", database=DATABASE, mapping="by_store")


def _split_range(ops: Operations) -> Plan:
    return ops.plan_split("s1", "s2", instance="b", at=10, freeze=True)


def _merge(ops: Operations) -> Plan:
    return ops.plan_merge("by_store", at=10, into="s1", freeze=True)


def _move(ops: Operations) -> Plan:
    return ops.plan_move("s1", "s2", slots="0-5", freeze=True)


def _allocate(ops: Operations) -> Plan:
    return ops.plan_allocate("s3", instance="b", mapping="by_store")


def _clone(ops: Operations) -> Plan:
    return ops.plan_clone("s1", "copy", instance="b")


def _clone_beside(ops: Operations) -> Plan:
    return ops.plan_clone("s1", "copy", instance="a")


CASES = {
    case.name: case
    for case in (
        Case("adopt", "raw", _adopt),
        Case("allocate", "two", _allocate),
        Case("split", "one", _split),
        Case("move", "two", _move),
        Case("drain", "two", lambda ops: ops.plan_remove("s2", drain=True, freeze=True)),
        Case("drain-to-two", "fanned", lambda ops: ops.plan_remove("s1", drain=True, freeze=True)),
        Case("remove", "three", lambda ops: ops.plan_remove("s3")),
        Case("clone", "one", _clone),
        Case("clone-beside", "one", _clone_beside),
        Case("attach", "cloned", lambda ops: ops.plan_attach("copy", slots_of="s1", freeze=True)),
        Case("remove-clone", "cloned", lambda ops: ops.plan_remove("copy")),
        Case("prune", "strays", lambda ops: ops.plan_prune("s1")),
        Case("quarantine", "strays", lambda ops: ops.plan_prune("s1", quarantine=True)),
        Case("undo-prune", "quarantined", None, _undo_last),
        Case("undo-move", "flipped", None, _undo_last),
        Case("guard-on", "unguarded", lambda ops: ops.plan_guard("by_store")),
        Case("guard-off", "two", lambda ops: ops.plan_guard("by_store", wanted=False)),
        Case("release", "two", lambda ops: ops.plan_release("s2")),
        Case("release-adopted", "one", lambda ops: ops.plan_release("s1")),
        Case("split-range", "ranged", _split_range),
        Case("cut-range", "ranged", lambda ops: ops.plan_split("s1", "s1", at=10)),
        Case("merge-ranges", "two-ranges", _merge),
    )
}


def _do(plan: Callable[[Operations], Plan]) -> Callable[[AnyCluster], None]:
    def run(cluster: AnyCluster) -> None:
        with open_cluster(cluster) as opened:
            opened.operations.apply(plan(opened.operations))

    return run


def _stray(cluster: AnyCluster) -> None:
    """Give s1 rows that are s2's: all but one equal to those there."""
    with open_cluster(cluster) as opened:
        moved = opened.config.router("by_store").placement.slots_of("s2")
    orders = [row for row in ORDERS if row[1] is not None and slot_of(row[1]) in moved]
    ids = {row[0] for row in orders}
    items = [row for row in ITEMS if row[0] in ids]
    rows = [_inserts("orders", orders), _inserts("items", items)]
    differing = f"UPDATE items SET amount = 'other' WHERE order_id = {items[0][0]}"
    cluster.execute("a", DATABASE, [*rows, differing])


def _stop_before_prune(cluster: AnyCluster) -> None:
    """Move, and stop between flip and prune, as a pause there does."""
    with open_cluster(cluster) as opened:
        ops = opened.operations

        def listen(progress: Any) -> None:
            if progress.title.startswith("wait until nobody reads by the old map"):
                raise KeyboardInterrupt

        try:
            ops.apply(_move(ops), progress=listen)
        except StoppedError:
            return
    raise AssertionError("the move was to stop")


BASES: dict[str, tuple[str | None, Callable[[AnyCluster], None]]] = {
    "raw": (None, make_raw),
    "one": ("raw", _do(_adopt)),
    "two": ("one", _do(_split)),
    "three": ("two", _do(_allocate)),
    "fanned": ("keyed-two", _do(lambda ops: ops.plan_split("s2", "s3", freeze=True))),
    "keyed-two": ("keyed", _do(_split)),
    "cloned": ("keyed", _do(_clone)),
    "keyed": ("raw-keyed", _do(_adopt)),
    "raw-keyed": (None, lambda cluster: make_raw(cluster, no_key=False)),
    "unguarded": ("two", _do(lambda ops: ops.plan_guard("by_store", wanted=False))),
    "strays": ("two", _stray),
    "quarantined": ("strays", _do(lambda ops: ops.plan_prune("s1", quarantine=True))),
    "flipped": ("two", _stop_before_prune),
    "raw-ranged": (None, lambda cluster: make_raw(cluster, placement=RANGED)),
    "ranged": ("raw-ranged", _do(_adopt_ranged)),
    "two-ranges": ("ranged", _do(_split_range)),
}
"""How each cluster is made from another."""


def make_base(cluster: AnyCluster, name: str) -> None:
    """Make a base in an empty cluster."""
    before, make = BASES[name]
    if before is not None:
        make_base(cluster, before)
    make(cluster)
