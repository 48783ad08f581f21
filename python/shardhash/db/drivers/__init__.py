"""The only modules that know drivers: how to connect, and what their errors mean.

Importing this loads no third-party package; connecting does.
"""

from shardhash.db.drivers._bulk import insert_bytes, load_bytes
from shardhash.db.drivers._errors import (
    Fault,
    Place,
    fault_of,
    is_duplicate,
    session_goes_on,
    translate,
)
from shardhash.db.drivers._extras import import_extra
from shardhash.db.drivers._mysql import MySQLConnector, abandon, row_cursor
from shardhash.db.drivers._secrets import Secrets
from shardhash.db.drivers._session import SessionSettings
from shardhash.db.drivers._sqlite import SQLiteConnector, prepare_sqlite, set_pass

__all__ = [
    "Fault",
    "MySQLConnector",
    "Place",
    "SQLiteConnector",
    "Secrets",
    "SessionSettings",
    "abandon",
    "fault_of",
    "import_extra",
    "insert_bytes",
    "is_duplicate",
    "load_bytes",
    "prepare_sqlite",
    "row_cursor",
    "session_goes_on",
    "set_pass",
    "translate",
]
