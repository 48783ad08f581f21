"""Ask one database and shards that hold the same rows, and compare the answers.

``Twins`` asks your own queries, or queries drawn from a grammar over your tables, and says where
the shards' answer is another one, or refused. ``shardhash.testing.fixtures`` is a pytest plugin
with ready fixtures; ``python -m shardhash.testing`` asks many drawn queries. Never name a
configuration of production: the harness fills the shards that it names.
"""

from shardhash.testing._compare import Answer, Comparison, Verdict, compare
from shardhash.testing._grammar import GeneratedQuery, QueryGrammar
from shardhash.testing._report import DrawnReport, check_drawn
from shardhash.testing._twins import Tally, Twins
from shardhash.testing._words import Column, Table

__all__ = [
    "Answer",
    "Column",
    "Comparison",
    "DrawnReport",
    "GeneratedQuery",
    "QueryGrammar",
    "Table",
    "Tally",
    "Twins",
    "Verdict",
    "check_drawn",
    "compare",
]
