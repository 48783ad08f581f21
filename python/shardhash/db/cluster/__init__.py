"""The application's face of a configuration: routing, connections, operations."""

from shardhash.db.cluster._cluster import Cluster

__all__ = ["Cluster"]
