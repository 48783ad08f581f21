"""Commits of a transaction that wrote to several shards, each on its own, and where one failed."""

from collections.abc import Collection

from sqlalchemy import Connection

from shardhash.db.drivers import Fault, fault_of
from shardhash.errors import StoppedError

__all__ = ["commit_driver", "half_committed"]


def commit_driver(connection: Connection) -> None:
    """Commit what the driver's connection has open; raises the driver's errors."""
    connection.connection.commit()


def half_committed(
    shard: str, error: Exception, committed: Collection[str], written: Collection[str]
) -> StoppedError:
    """Return the error of a commit that failed on `shard`, after those of others.

    Where the connection was lost, nobody knows whether the server had committed.
    """
    is_unknown = fault_of(error) is Fault.LOST
    others = sorted({*written} - {*committed, shard})
    rolled_back = others if is_unknown else sorted([*others, shard])
    parts = [f"committed on {', '.join(committed) or 'no shard'}"]
    if rolled_back:
        parts.append(f"rolled back on {', '.join(rolled_back)}")
    steps = [f"write to {', '.join(rolled_back)} again"] if rolled_back else []
    if is_unknown:
        parts.append(f"unknown on {shard}, whose connection was lost")
        steps.append(f"look on {shard} whether the rows are there, before you write them again")
    return StoppedError(
        f"the session's transaction could not be committed on every shard: {', '.join(parts)} "
        f"({error})",
        next_step="; ".join(steps),
    )
