"""Read and change the application's account on a MySQL or MariaDB instance."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from shardhash.db.planning.grants import GrantFacts, GrantPlan
from shardhash.errors import PreflightError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

__all__ = ["apply_grants", "read_grants"]

_GLOBAL = """
    SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = %s"""
_DATABASES = """
    SELECT TABLE_SCHEMA, PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES
    WHERE GRANTEE = %s"""
_PARTS = """
    SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLE_PRIVILEGES WHERE GRANTEE = %s
    UNION SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.COLUMN_PRIVILEGES
    WHERE GRANTEE = %s
    UNION SELECT Db, Routine_name FROM mysql.procs_priv WHERE User = %s AND Host = %s"""
_PASSWORD = "SELECT authentication_string FROM mysql.user WHERE User = %s AND Host = %s"  # noqa: S105


def read_grants(connection: "Connection", user: str, host: str) -> GrantFacts:
    """Return what an instance says of ``user@host``; only reads.

    Raises:
        DatabaseError: the operator's account may not read the ``mysql`` database.
    """
    grantee = f"'{user}'@'{host}'"
    privileges = {row[0] for row in _rows(connection, _GLOBAL, grantee)}
    is_mariadb = "mariadb" in _rows(connection, "SELECT VERSION()")[0][0].lower()
    databases: dict[str, set[str]] = defaultdict(set)
    for database, privilege in _rows(connection, _DATABASES, grantee):
        databases[database].add(privilege)
    password = _rows(connection, _PASSWORD, user, host) if is_mariadb else []
    return GrantFacts(
        exists=bool(privileges),
        is_mariadb=is_mariadb,
        password_hash=password[0][0] if password else None,
        databases={name: frozenset(held) for name, held in databases.items()},
        elsewhere=(
            *(f"{privilege} ON *.*" for privilege in sorted(privileges - {"USAGE"})),
            *(".".join(row) for row in _rows(connection, _PARTS, grantee, grantee, user, host)),
        ),
    )


def apply_grants(connection: "Connection", plan: GrantPlan) -> None:
    """Run a plan's statements; each is its own transaction, and running them again is harmless.

    Raises:
        PreflightError: the operator's account may not create users or grant.
        DatabaseError: the server refused; what was granted before stays.
    """
    may_grant = _rows(
        connection,
        "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES"
        " WHERE PRIVILEGE_TYPE = 'CREATE USER'",
    )
    if plan.statements and not may_grant[0][0]:
        raise PreflightError(
            f"this account may not create users, so {plan.account} cannot be set up",
            next_step="connect the instance with an account that has CREATE USER and GRANT OPTION",
        )
    for statement in plan.statements:
        connection.exec_driver_sql(statement.sql, statement.parameters)
    connection.commit()


def _rows(connection: "Connection", statement: str, *parameters: object) -> "Sequence[Any]":
    return connection.exec_driver_sql(statement, parameters or None).fetchall()
