"""Read facts from shards: tables, keys, objects, identities. Nothing here writes."""

from shardhash.db.inspect._ddl import (
    Program,
    comparable_ddl,
    database_defaults,
    program_ddl,
    table_ddl,
)
from shardhash.db.inspect._keys import KeyReader
from shardhash.db.inspect._objects import (
    DatabaseObject,
    list_objects,
    table_size_bytes,
)
from shardhash.db.inspect._tables import database_identity, inspect_table

__all__ = [
    "DatabaseObject",
    "KeyReader",
    "Program",
    "comparable_ddl",
    "database_defaults",
    "database_identity",
    "inspect_table",
    "list_objects",
    "program_ddl",
    "table_ddl",
    "table_size_bytes",
]
