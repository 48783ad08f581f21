"""What each operation needs to be allowed to do, compared with what an account was granted."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["OPERATIONS", "Grants", "Needs", "missing_privileges", "parse_grants"]

_ALL = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "TRIGGER"}
)
_ALL_SERVER = _ALL | {"CREATE USER", "PROCESS", "RELOAD", "SUPER"}
_EVERYWHERE = "*"
_WILDCARDS = {"_": ".", "%": ".*"}
_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<where>\*\.\*|`(?:[^`]|``)+`\.\*) TO ", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Grants:
    """Privileges by database pattern as the server stores it; ``*`` is the whole server."""

    by_pattern: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def on(self, database: str) -> frozenset[str]:
        """Return the privileges on one database, those on the whole server among them."""
        return self.everywhere.union(
            *(held for pattern, held in self.by_pattern.items() if _matches(pattern, database))
        )

    @property
    def everywhere(self) -> frozenset[str]:
        """Return the privileges on the whole server."""
        return self.by_pattern.get(_EVERYWHERE, frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What an operation needs.

    ``shard`` on its shard databases, ``control`` on their control databases, ``system`` on the
    database mysql, ``server`` on the whole server.
    """

    shard: frozenset[str] = frozenset()
    control: frozenset[str] = frozenset()
    system: frozenset[str] = frozenset()
    server: frozenset[str] = frozenset()


_DML = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})

OPERATIONS: Mapping[str, Needs] = {
    "query": Needs(shard=frozenset({"SELECT"})),
    "prune": Needs(shard=frozenset({"SELECT", "DELETE"})),
    "setup": Needs(
        shard=_DML | {"GRANT OPTION"},
        system=frozenset({"SELECT"}),
        server=frozenset({"CREATE USER"}),
    ),
    "allocate": Needs(shard=_DML | {"CREATE"}, control=_DML | {"CREATE"}),
    "guard": Needs(shard=frozenset({"SELECT", "TRIGGER"}), control=_DML | {"CREATE", "DROP"}),
    "move": Needs(shard=_ALL, control=_DML | {"CREATE", "DROP"}),
}
"""The operations that work on a shard's database, each with what it needs."""


def parse_grants(lines: Iterable[str]) -> Grants:
    """Return what the lines of SHOW GRANTS allow on databases and the server.

    Grants on single tables, columns and routines are left out: no operation is content with them.
    Nothing else of the lines is kept: a password's hash may stand there.

    Source: https://mariadb.com/kb/en/show-grants/
    """
    held: dict[str, frozenset[str]] = {}
    for line in lines:
        match = _GRANT.match(line)
        if match is None:
            continue
        is_global = match["where"] == "*.*"
        pattern = _EVERYWHERE if is_global else match["where"][1:-3].replace("``", "`")
        words = {word.strip() for word in match["what"].split(",")}
        if words & {"ALL", "ALL PRIVILEGES"}:
            words |= _ALL_SERVER if is_global else _ALL
        if line.rstrip().endswith("WITH GRANT OPTION"):
            words.add("GRANT OPTION")
        held[pattern] = held.get(pattern, frozenset()) | words
    return Grants(held)


def missing_privileges(grants: Grants, needs: Needs, databases: Iterable[str]) -> tuple[str, ...]:
    """Return what is missing, as ``PRIVILEGE, PRIVILEGE ON database`` for each place."""
    wanted = [
        pair
        for database in databases
        for pair in ((database, needs.shard), (f"{database}_shardhash", needs.control))
    ]
    found = [(f"{name}.*", needed - grants.on(name)) for name, needed in wanted]
    found.append(("mysql.*", needs.system - grants.on("mysql")))
    found.append(("*.*", needs.server - grants.everywhere))
    return tuple(f"{', '.join(sorted(lacking))} ON {where}" for where, lacking in found if lacking)


def _matches(pattern: str, database: str) -> bool:
    r"""Tell whether a database is one of a grant's pattern: ``_`` and ``%`` unless after ``\``."""
    signs = re.findall(r"\\.|.", pattern, re.DOTALL)
    expression = "".join(_WILDCARDS.get(sign) or re.escape(sign[-1]) for sign in signs)
    return re.fullmatch(expression, database, re.DOTALL) is not None
