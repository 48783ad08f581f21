"""The words of a configuration as values: instances, shards, mappings.

Pure data: nothing here reads a file, an environment or a server. ``db.config`` makes these values
from YAML and has checked what they say about each other.
"""

import hashlib
import re
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType

from shardhash.errors import UsageError
from shardhash.slots import SlotSet

__all__ = [
    "MAX_ORDINAL",
    "AppUser",
    "Backend",
    "Endpoint",
    "Instance",
    "Key",
    "KeyType",
    "Mapping",
    "PasswordKind",
    "PasswordSource",
    "RangeRule",
    "RingRule",
    "Shard",
    "SharedStore",
    "SlotRule",
    "TableRule",
    "TlsMode",
    "Variable",
]

MAX_ORDINAL = 2**23 - 2
"""The highest number of a shard: its ids begin at ``ordinal * 2**40 + 1`` and fit into BIGINT."""

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}")


class Backend(StrEnum):
    """The kind of server, or file, that an instance is."""

    MYSQL = "mysql"
    SQLITE = "sqlite"


class TlsMode(StrEnum):
    """How a connection is encrypted; ``verify`` also checks certificate and host name."""

    DISABLED = "disabled"
    PREFERRED = "preferred"
    REQUIRED = "required"
    VERIFY = "verify"


class KeyType(StrEnum):
    """The declared type of a mapping's shard key."""

    INT = "int"
    STR = "str"
    BYTES = "bytes"
    UUID = "uuid"
    UUID16 = "uuid16"
    DATE = "date"
    DATETIME = "datetime"


class PasswordKind(StrEnum):
    """Where a password comes from; it is looked up only when a connection is made."""

    NONE = "none"
    TEXT = "text"
    FILE = "file"
    OPTION_FILE = "option_file"
    SECRET = "secret"  # noqa: S105 - the word, not one


@dataclass(frozen=True, slots=True)
class Variable:
    """``${NAME}`` or ``${NAME:-default}`` inside a password text."""

    name: str
    default: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PasswordSource:
    """A reference to a password.

    ``value`` is a path (``FILE``, ``OPTION_FILE``), a name (``SECRET``) or text in which
    ``${VAR}`` and ``${VAR:-default}`` are replaced by the environment (``TEXT``). The text may be
    a literal password, so it never shows in a repr.
    """

    kind: PasswordKind = PasswordKind.NONE
    value: str = field(default="", repr=False)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Return the environment variables that the text refers to, in order."""
        if self.kind is not PasswordKind.TEXT:
            return ()
        return tuple(Variable(m["name"], m["default"]) for m in _VARIABLE.finditer(self.value))

    @property
    def is_literal(self) -> bool:
        """Return whether the text gives away a password, or part of one, to who reads it.

        The default of a ``${VAR:-default}`` does not count: it is what a developer's own server
        takes where the variable is not set.
        """
        return self.kind is PasswordKind.TEXT and bool(_VARIABLE.sub("", self.value))

    def unset_variables(self, environ: MappingABC[str, str]) -> tuple[str, ...]:
        """Return the names of variables that have no default and that `environ` does not have."""
        return tuple(
            variable.name
            for variable in self.variables
            if variable.default is None and variable.name not in environ
        )

    def expand(self, environ: MappingABC[str, str]) -> str:
        """Return the password text with its variables replaced from `environ`.

        As in a shell, ``${VAR:-default}`` gives the default where ``VAR`` is unset or empty.

        Raises:
            UsageError: a variable without default is not set; its name is in the message.
        """
        unset = self.unset_variables(environ)
        if unset:
            names = ", ".join(unset)
            raise UsageError(
                f"a password refers to the environment, where {names} is not set; export it",
                next_step=f"export {names}",
            )
        return _VARIABLE.sub(lambda m: environ.get(m["name"]) or m["default"] or "", self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address of a MySQL or MariaDB server and how to log in there."""

    host: str = "127.0.0.1"
    port: int = 3306
    unix_socket: str | None = None
    user: str | None = None
    password: PasswordSource = PasswordSource()
    tls: TlsMode = TlsMode.VERIFY
    tls_ca: str | None = None

    @property
    def address(self) -> str:
        """Return ``host:port`` or the socket's path, for messages."""
        return self.unix_socket or f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A server that hosts shards (``endpoint``), or a directory of SQLite files (``directory``).

    Exactly one of the two is set, as ``backend`` says. ``directory`` is absolute.
    """

    name: str
    backend: Backend
    endpoint: Endpoint | None = None
    directory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A database on an instance that holds part of the rows; ``read`` are its read endpoints.

    ``ordinal`` numbers the band that new ids of the shard are from; None: none was given to it. A
    ``detached`` shard is a copy that no key is routed to.
    """

    name: str
    instance: str
    database: str
    read: tuple[Endpoint, ...] = ()
    ordinal: int | None = None
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """The shard key of a mapping: its column and its declared type.

    ``folds`` is False when the app declared ``equality: bytes``: it never relies on a collation
    that treats different bytes as equal.
    """

    column: str
    type: KeyType
    folds: bool = True


@dataclass(frozen=True, slots=True)
class TableRule:
    """A table of a mapping and the column that holds its shard key."""

    name: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRule:
    """Hash to slot, slot to shard: the owner of each slot, and weights that only choose."""

    owners: tuple[str, ...]
    shards: tuple[str, ...]
    weights: MappingABC[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def slot_count(self) -> int:
        """Return the number of slots."""
        return len(self.owners)


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRule:
    """``shards[i]`` holds ``[bounds[i - 1], bounds[i])``; the first and last range are open."""

    bounds: tuple[int, ...] | tuple[str, ...] | tuple[bytes, ...] | tuple[date | datetime, ...]
    shards: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RingRule:
    """Weighted nodes of a consistent-hash ring; each node is a shard."""

    nodes: MappingABC[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """The rule from key to shard, and the tables that follow it.

    ``unowned`` says of which slots (of a range rule: range numbers) a shard may hold rows without
    owning them, while an operation moves them.
    """

    name: str
    key: Key
    tables: tuple[TableRule, ...]
    rule: SlotRule | RangeRule | RingRule
    global_tables: tuple[str, ...] = ()
    partitions: int | None = None
    unowned: MappingABC[str, SlotSet] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def owners(self) -> tuple[str, ...]:
        """Return the owner of each slot, or range, by its number; none where a ring decides."""
        if isinstance(self.rule, RingRule):
            return ()
        return self.rule.owners if isinstance(self.rule, SlotRule) else self.rule.shards

    def numbers_of(self, shard: str) -> SlotSet:
        """Return the slots, or range numbers, that a shard owns."""
        return SlotSet(number for number, owner in enumerate(self.owners) if owner == shard)

    @property
    def state_name(self) -> str:
        """Return the name under which shards keep the states of slots, or of ranges.

        Numbers of ranges mean other keys with other bounds, so the bounds are part of it.
        """
        if not isinstance(self.rule, RangeRule):
            return self.name
        return f"{self.name}#{hashlib.sha256(repr(self.rule.bounds).encode()).hexdigest()[:8]}"

    @property
    def shards(self) -> tuple[str, ...]:
        """Return the shards that the rule names, each once, in its order."""
        names = self.rule.nodes if isinstance(self.rule, RingRule) else self.rule.shards
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class AppUser:
    """The application's account that every shard database grants DML to."""

    user: str
    host: str = "%"
    password: PasswordSource = PasswordSource()


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStore:
    """Where the shared configuration of an app is kept, and how to log in there.

    ``url`` holds no password. An empty ``app`` means the only one that the store has.
    """

    url: str
    app: str = ""
    user: str | None = None
    password: PasswordSource = PasswordSource()
