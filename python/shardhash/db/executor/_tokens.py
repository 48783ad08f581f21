"""Read the fencing tokens of shards before an operation takes their leases."""

from collections.abc import Sequence

from shardhash.db import guard
from shardhash.db.connections import ConnectionManager
from shardhash.db.guard import ControlPlace
from shardhash.db.ports import Topology

__all__ = ["tokens_of"]


def tokens_of(
    connections: ConnectionManager, topology: Topology, shards: Sequence[str]
) -> dict[str, int]:
    """Return the tokens of those shards that have control tables.

    A store that was made anew counts from 1, below what a shard has seen: so the lease asks for a
    token above it.
    """
    found = {}
    for name in filter(connections.has_database, shards):
        shard = topology.shard(name)
        place = ControlPlace(connections.backend(name), shard.database)
        with connections.write(name) as connection:
            if guard.has_control(connection, place):
                found[name], _ = guard.read_token(connection, place)
    return found
