"""MySQL/MariaDB and SQLite sharding: clusters, connections, plans.

Importing this loads no third-party package: each name is looked up when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shardhash.db.broadcast import BroadcastQuery
    from shardhash.db.cluster import Cluster
    from shardhash.db.config import Config
    from shardhash.db.connections import ConnectionManager
    from shardhash.db.drivers import prepare_sqlite
    from shardhash.db.plan import Plan, Report
    from shardhash.db.query import QueryDispatcher
    from shardhash.db.workers import QueryWorker

__all__ = [
    "BroadcastQuery",
    "Cluster",
    "Config",
    "ConnectionManager",
    "Plan",
    "QueryDispatcher",
    "QueryWorker",
    "Report",
    "prepare_sqlite",
]

_MODULES = {
    "BroadcastQuery": "broadcast",
    "Cluster": "cluster",
    "Config": "config",
    "ConnectionManager": "connections",
    "Plan": "plan",
    "QueryDispatcher": "query",
    "QueryWorker": "workers",
    "Report": "plan",
    "prepare_sqlite": "drivers",
}


def __getattr__(name: str) -> object:
    """Return a public name from the module that defines it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, also those not yet looked up."""
    return sorted({*globals(), *__all__})
