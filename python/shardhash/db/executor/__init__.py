"""Apply plans: the only place that changes rows.

One private module for each kind of work; ``db.operations`` is the face.
"""

from shardhash.db.executor._prune import PruneRun, PruneTally

__all__ = ["PruneRun", "PruneTally"]
