"""The application's face: route a key to its shard and get a connection there."""

from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from shardhash.db.connections import ConnectionManager

from shardhash.db.config import Config
from shardhash.db.mapping import KeyRouter
from shardhash.db.operations import Operations

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Cluster"]


class Cluster:
    """Shards of one configuration. Thread-safe; connections are made when first needed.

    Attributes:
        config: the configuration, an immutable value.
        connections: the application's connections.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.connections = ConnectionManager(config)
        self._routers: dict[str, KeyRouter] = {}

    @classmethod
    def open(cls, path_or_url: str) -> Self:
        """Return the cluster that a configuration file or store describes.

        Raises:
            ConfigError: the configuration is invalid; all problems with their lines.
        """
        return cls(Config.load(path_or_url))

    def __enter__(self) -> Self:
        """Return the cluster itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self.close()

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        self.connections.close()
        if "operations" in self.__dict__:
            self.operations.close()

    @cached_property
    def operations(self) -> Operations:
        """Return the operations of this cluster."""
        return Operations(self.config)

    def shard_for(self, mapping: str, key: Any) -> str:
        """Return the name of the shard that owns a key.

        Raises:
            KeyTypeError: the key is not of the mapping's declared type.
            UsageError: no such mapping.
        """
        return self._router(mapping).shard_for(key)

    def connection(self, mapping: str, key: Any) -> "AbstractContextManager[Connection]":
        """Return a context manager with a connection to the shard that owns a key.

        Nothing is committed for you; leaving the block rolls back what is open.
        """
        return self.connections.write(self.shard_for(mapping, key))

    def _router(self, mapping: str) -> KeyRouter:
        router = self._routers.get(mapping)
        if router is None:
            router = self._routers[mapping] = self.config.router(mapping)
        return router
