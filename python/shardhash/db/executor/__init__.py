"""Apply plans: the only place that changes rows.

One private module for each kind of work; ``db.operations`` is the face.
"""

from shardhash.db.executor._copy import copy_table, delete_copy
from shardhash.db.executor._prune import PruneRun, PruneTally
from shardhash.db.executor._prune_pages import PrunedPages, prune_pages
from shardhash.db.executor._quarantine import make_quarantine, restore_quarantine
from shardhash.db.executor._verify import PageMismatch, verify_table

__all__ = [
    "PageMismatch",
    "PruneRun",
    "PruneTally",
    "PrunedPages",
    "copy_table",
    "delete_copy",
    "make_quarantine",
    "prune_pages",
    "restore_quarantine",
    "verify_table",
]
