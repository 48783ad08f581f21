"""SQLAlchemy's ORM on shards: a session that finds them by key, and refuses wrong answers.

``sessionmaker(cluster)`` makes sessions that route what they run by our analysis of the
statement. ``Router(cluster)`` holds the three choosers alone, for SQLAlchemy's own
``ShardedSession``; that class asks them less often, so it notices less.
"""

from shardhash.db.drivers import import_extra

import_extra("sqlalchemy", extra="query", what="the adapter for SQLAlchemy")
import_extra("sqlglot", extra="query", what="the adapter for SQLAlchemy")

from shardhash.adapters.sqlalchemy._router import Router  # noqa: E402
from shardhash.adapters.sqlalchemy._session import ShardedSession, sessionmaker  # noqa: E402

__all__ = ["Router", "ShardedSession", "sessionmaker"]
