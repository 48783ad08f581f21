"""Plan the application's account on an instance: DML on its shard databases and nothing else."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shardhash.db.sql import Statement

__all__ = ["GrantFacts", "GrantPlan", "plan_app_user", "plan_revoke"]

_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFacts:
    r"""What a server says of an account.

    ``password_hash`` is None where the server does not tell it. ``databases`` are the privileges
    by database pattern, as stored: with ``\_`` for ``_``. ``elsewhere`` names what it may do
    beyond databases: globally, on tables, columns or routines.
    """

    exists: bool
    is_mariadb: bool = True
    password_hash: str | None = field(default=None, repr=False)
    databases: Mapping[str, frozenset[str]] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantPlan:
    """Statements to run in order, and ``warnings``; no statement: nothing is to be done.

    The password is among the bound values, to MariaDB as its hash; no repr shows it.
    """

    account: str
    statements: tuple[Statement, ...] = field(repr=False)
    titles: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def plan_app_user(
    user: str, host: str, password: str, databases: Iterable[str], facts: GrantFacts
) -> GrantPlan:
    """Return what makes the account exist, with this password and DML on exactly ``databases``.

    An account that may do anything outside ``databases`` belongs to somebody else too: it is left
    as it is, and a warning says so. The same facts give the same plan; applied, it plans nothing.

    Source: https://mariadb.com/kb/en/grant/ (``_`` and ``%`` in database names are wildcards).
    """
    account = _account(user, host)
    wanted = {_escape_pattern(name): name for name in sorted(databases)}
    strangers = _strangers(facts, wanted)
    if strangers:
        return GrantPlan(
            account=account,
            statements=(),
            titles=(),
            warnings=(_left_alone(account, strangers),),
        )
    steps = _account_steps(account, user, host, password, facts)
    for pattern, name in wanted.items():
        held = facts.databases.get(pattern, frozenset())
        if not held.issuperset(_PRIVILEGES):
            steps.append(_grant(user, host, pattern, name))
        extra = sorted(held - set(_PRIVILEGES))
        if extra:
            steps.append(_revoke(user, host, pattern, name, extra))
    return GrantPlan(
        account=account,
        statements=tuple(statement for _, statement in steps),
        titles=tuple(title for title, _ in steps),
    )


def plan_revoke(user: str, host: str, database: str, facts: GrantFacts) -> GrantPlan:
    """Return what takes one database away from the account, and the account if nothing is left.

    That is one statement: between two of them a crash would leave an account without rights. One
    that a crash left so, made and not yet granted anything, goes too.
    """
    pattern = _escape_pattern(database)
    held = facts.databases.get(pattern, frozenset())
    steps = [_revoke(user, host, pattern, database, sorted(held))] if held else []
    if facts.exists and not facts.elsewhere and set(facts.databases) <= {pattern}:
        steps = [(f"drop {_account(user, host)}", Statement("DROP USER %s@%s", (user, host)))]
    return GrantPlan(
        account=_account(user, host),
        statements=tuple(statement for _, statement in steps),
        titles=tuple(title for title, _ in steps),
    )


def _escape_pattern(database: str) -> str:
    """Return a database name as GRANT takes it, where ``_`` and ``%`` would match any text."""
    return database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")


def _native_password_hash(password: str) -> str:
    """Return what mysql_native_password stores: ``*`` and 40 hex digits; empty for no password.

    Source: https://mariadb.com/kb/en/authentication-plugin-mysql_native_password/
    """
    if not password:
        return ""
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()


def _account(user: str, host: str) -> str:
    return f"{user}@{host}"


def _left_alone(account: str, strangers: Sequence[str]) -> str:
    return (
        f"{account} may also use {', '.join(strangers)}: it is left as it is; use an account of "
        "this configuration's own in setup.app_user"
    )


def _strangers(facts: GrantFacts, wanted: Mapping[str, str]) -> Sequence[str]:
    return [*facts.elsewhere, *sorted(set(facts.databases) - set(wanted))]


def _account_steps(
    account: str, user: str, host: str, password: str, facts: GrantFacts
) -> list[tuple[str, Statement]]:
    hashed = _native_password_hash(password)
    given, value = ("PASSWORD %s", hashed) if facts.is_mariadb else ("%s", password)
    if not facts.exists:
        verb, title = "CREATE", f"create {account}"
    elif facts.password_hash is None or facts.password_hash.upper() != hashed:
        verb, title = "ALTER", f"set the password of {account}"
    else:
        return []
    statement = Statement(f"{verb} USER %s@%s IDENTIFIED BY {given}", (user, host, value))
    return [(title, statement)]


def _grant(user: str, host: str, pattern: str, name: str) -> tuple[str, Statement]:
    privileges = ", ".join(_PRIVILEGES)
    return (
        f"grant {privileges} on {name}",
        Statement(f"GRANT {privileges} ON {_quoted(pattern)}.* TO %s@%s", (user, host)),
    )


def _revoke(
    user: str, host: str, pattern: str, name: str, privileges: Sequence[str]
) -> tuple[str, Statement]:
    words = ", ".join(privileges)
    return (
        f"revoke {words} on {name}",
        Statement(f"REVOKE {words} ON {_quoted(pattern)}.* FROM %s@%s", (user, host)),
    )


def _quoted(pattern: str) -> str:
    return "`" + pattern.replace("`", "``").replace("%", "%%") + "`"
