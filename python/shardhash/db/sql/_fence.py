"""Statements around a fence: what the server must promise, and who stands in the way."""

from shardhash.db.sql._text import Statement

__all__ = [
    "open_transactions",
    "prepared_transactions",
    "read_fence_settings",
    "read_lock_waits",
    "set_lock_waits",
    "set_time_zone",
]

_LISTED = 10


def read_fence_settings() -> Statement:
    """Return a query for the settings that a fence depends on: those that the server has."""
    return Statement(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', "
        "'wsrep_on', 'group_replication_single_primary_mode')"
    )


def read_lock_waits() -> Statement:
    """Return a SELECT of the session's longest waits for rows and for tables, in seconds."""
    return Statement("SELECT @@SESSION.innodb_lock_wait_timeout, @@SESSION.lock_wait_timeout")


def set_lock_waits(rows_s: int, tables_s: int) -> Statement:
    """Set the session's longest waits for rows and for tables, in seconds."""
    return Statement(
        "SET SESSION innodb_lock_wait_timeout = %s, lock_wait_timeout = %s", (rows_s, tables_s)
    )


def set_time_zone(zone: str) -> Statement:
    """Set the session's time zone."""
    return Statement("SET SESSION time_zone = %s", (zone,))


def prepared_transactions() -> Statement:
    """Return the query for XA transactions that are prepared: they wait for their verdict."""
    return Statement("XA RECOVER")


def open_transactions() -> Statement:
    """Return a SELECT of id, user and age of the transactions that hold locks, oldest first.

    It tells nothing that they said. The age is right in the server's own time zone only, in which
    InnoDB notes when a transaction began.

    Source: https://mariadb.com/kb/en/information-schema-innodb_trx-table/
    """
    return Statement(
        "SELECT t.trx_mysql_thread_id, COALESCE(p.USER, ''), "
        "TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) "
        "FROM information_schema.INNODB_TRX t "
        "LEFT JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id "
        "WHERE t.trx_lock_structs > 0 AND t.trx_mysql_thread_id <> CONNECTION_ID() "
        f"ORDER BY t.trx_started LIMIT {_LISTED}"
    )
