"""Statements on sessions and the defaults of databases, for making objects again as they were."""

from shardhash.db.sql._text import Statement, quote
from shardhash.db.topology import Backend

__all__ = [
    "begin_snapshot",
    "commit_reads",
    "database_collation",
    "logs_statements",
    "read_session",
    "read_trigger_settings",
    "set_session",
]

_NAMES = frozenset({"sql_mode", "collation_connection"})


def read_session(name: str) -> Statement:
    """Return a SELECT of a MySQL session's variable."""
    assert name in _NAMES, name
    return Statement(f"SELECT @@{name}")


def read_trigger_settings() -> Statement:
    """Return a query for what decides whether an account without SUPER may make triggers.

    Source: https://mariadb.com/kb/en/binary-logging-of-stored-routines/
    """
    return Statement(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN "
        "('log_bin', 'log_bin_trust_function_creators')"
    )


def set_session(name: str, value: str) -> Statement:
    """Return what sets a MySQL session's variable; names come from here alone."""
    assert name in _NAMES, name
    return Statement(f"SET SESSION {name} = %s", (value,))


def database_collation(database: str, charset: str, collation: str) -> Statement:
    """Return what makes a charset and collation the default of a MySQL database's new tables."""
    for word in (charset, collation):
        assert word.replace("_", "").isalnum(), word
    return Statement(
        f"ALTER DATABASE {quote(database, Backend.MYSQL)} CHARACTER SET {charset} "
        f"COLLATE {collation}"
    )


def begin_snapshot() -> Statement:
    """Return what begins a MySQL transaction that sees all tables as they are at this moment.

    Source: https://mariadb.com/kb/en/start-transaction/#with-consistent-snapshot
    """
    return Statement("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")


def commit_reads() -> Statement:
    """Return what makes the next MySQL transaction read what is committed, each statement anew.

    Then an INSERT ... SELECT neither locks nor waits for the rows that it reads.
    Source: https://mariadb.com/kb/en/innodb-lock-modes/, https://dev.mysql.com/doc/refman/8.0/en/innodb-locks-set.html
    """
    return Statement("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def logs_statements() -> Statement:
    """Return a SELECT that tells whether the MySQL session writes statements to a binary log."""
    return Statement("SELECT @@log_bin AND @@binlog_format = 'STATEMENT'")
