"""Make one answer of the shards' answers: merge sorted rows, fold partial aggregates. Pure.

Rows go in as drivers give them and come out as one server would have given them: exact in
``Decimal``, NULL first as MySQL and SQLite sort it, text compared by the weights that the shards
send along. What would take too much memory raises ``MemoryCapError``.
"""

from shardhash.db.reduce._arithmetic import Expression, bind, compute, converter, rounded
from shardhash.db.reduce._groups import Fold, GroupPlan, MemoryCap, fold_groups, hold
from shardhash.db.reduce._order import SortKey, merge_sorted, ranks_of, sort_rows

__all__ = [
    "Expression",
    "Fold",
    "GroupPlan",
    "MemoryCap",
    "SortKey",
    "bind",
    "compute",
    "converter",
    "fold_groups",
    "hold",
    "merge_sorted",
    "ranks_of",
    "rounded",
    "sort_rows",
]
