"""Carry plans out: the only part that changes shards and the map."""

from shardhash.db.executor._counts import count_filter, id_collisions, unique_collisions
from shardhash.db.executor._engine import Engine
from shardhash.db.executor._leases import holds_leases, is_alive
from shardhash.db.executor._meter import ProgressListener
from shardhash.db.executor._overtaken import overtaker_of
from shardhash.db.executor._verify import PageMismatch, compare_tables
from shardhash.db.executor._work import Work

__all__ = [
    "Engine",
    "PageMismatch",
    "ProgressListener",
    "Work",
    "compare_tables",
    "count_filter",
    "holds_leases",
    "id_collisions",
    "is_alive",
    "overtaker_of",
    "unique_collisions",
]
