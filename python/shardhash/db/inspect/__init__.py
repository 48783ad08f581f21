"""Read facts from shards: tables, keys, identities. Nothing here writes."""

from shardhash.db.inspect._keys import KeyReader
from shardhash.db.inspect._tables import database_identity, inspect_table

__all__ = ["KeyReader", "database_identity", "inspect_table"]
