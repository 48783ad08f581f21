"""How the sessions of a ConnectionManager are set up."""

from dataclasses import dataclass
from typing import Self

__all__ = ["SessionSettings"]

_EXACT_MODE = ",".join(
    (
        "STRICT_ALL_TABLES",
        "STRICT_TRANS_TABLES",
        "NO_AUTO_VALUE_ON_ZERO",  # a copied row with id 0 keeps it
        "ALLOW_INVALID_DATES",  # a copied 31st of February too
        "NO_ENGINE_SUBSTITUTION",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """What a new session is set to; None leaves the server's own setting.

    Attributes:
        time_zone: of a MySQL session, as ``+00:00``.
        sql_mode: of a MySQL session, the whole list.
        lock_wait_s: longest wait for a row, a table's metadata or a SQLite file.
        is_repeatable: whether transactions read one snapshot (REPEATABLE READ) whatever the
            server's default is.
        is_unlimited: whether what a server sets for all sessions to limit time and rows of
            statements, to refuse some, or to check what is written, is lifted.
        may_load: whether rows may be sent by LOAD DATA LOCAL, where the server allows it.
        connect_timeout_s: longest wait for a connection.
    """

    time_zone: str | None = None
    sql_mode: str | None = None
    lock_wait_s: int | None = None
    is_repeatable: bool = False
    is_unlimited: bool = False
    may_load: bool = False
    connect_timeout_s: int = 10

    @classmethod
    def application(cls) -> Self:
        """Return the settings of an application's sessions: as the server says, but utf8mb4."""
        return cls()

    @classmethod
    def operations(cls) -> Self:
        """Return the settings of the tool's own sessions: UTC, strict, no statement limit.

        The mode has no ANSI_QUOTES, NO_BACKSLASH_ESCAPES or PAD_CHAR_TO_FULL_LENGTH, whatever the
        server's default, so that the same SQL means the same everywhere. Zero and
        impossible dates are allowed: what is there must be copied as it is.
        """
        return cls(
            time_zone="+00:00",
            sql_mode=_EXACT_MODE,
            lock_wait_s=5,
            is_repeatable=True,
            is_unlimited=True,
            may_load=True,
        )
