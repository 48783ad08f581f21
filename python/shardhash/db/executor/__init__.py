"""Apply plans: the only place that changes rows.

One private module for each kind of work; ``db.operations`` is the face.
"""

from shardhash.db.executor._copy import copy_table, delete_copy
from shardhash.db.executor._counts import count_filter, id_collisions
from shardhash.db.executor._ddl import create_programs, create_tables
from shardhash.db.executor._pages import forget_pages
from shardhash.db.executor._prune import PruneRun, PruneTally
from shardhash.db.executor._prune_pages import PrunedPages, prune_pages
from shardhash.db.executor._quarantine import make_quarantine, restore_quarantine
from shardhash.db.executor._snapshot import copy_snapshot
from shardhash.db.executor._verify import PageMismatch, compare_tables, verify_table

__all__ = [
    "PageMismatch",
    "PruneRun",
    "PruneTally",
    "PrunedPages",
    "compare_tables",
    "copy_snapshot",
    "copy_table",
    "count_filter",
    "create_programs",
    "create_tables",
    "delete_copy",
    "forget_pages",
    "id_collisions",
    "make_quarantine",
    "prune_pages",
    "restore_quarantine",
    "verify_table",
]
