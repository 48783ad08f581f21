"""The one tree of exceptions, and the exit code and error code of each.

::

    ShardhashError                 1  failed, nothing half done
    ├── KeyTypeError               2  also TypeError: a value that cannot be a key
    ├── PlacementError             2  also ValueError: an impossible ring, map or range
    ├── MissingExtraError          2  also ImportError: an optional dependency is not installed
    ├── UsageError                 2  unknown name or impossible combination of arguments
    ├── RefusedError               3  a check said no; nothing was done
    │   ├── ConfigError               invalid configuration: every problem with its place
    │   ├── ConfigConflictError       somebody else saved the configuration first
    │   ├── LeaseHeldError            another process is at work there
    │   ├── PreflightError            schema, data or privileges do not allow the operation
    │   ├── QueryRefusedError         shards cannot answer it as one database would
    │   ├── StaleMapError             the map was not confirmed for too long to read by it
    │   ├── ShardKeyError             a row without a shard key, or a change of one
    │   ├── StalePlanError            the plan was made for another configuration or schema
    │   └── WrongShardError           the shard does not take writes for the row's slot
    ├── StoreError                 1  the configuration's file or store cannot be read or written
    ├── DatabaseError              1  a server or file answered with an error
    │   ├── ServerUnreachableError    no connection
    │   ├── AccessDeniedError         wrong user, password or missing privilege
    │   ├── DeadlineError             the server ended a statement that took too long
    │   └── TransientError            deadlock, lock wait or lost connection after all retries
    ├── MemoryCapError             1  a query would need more memory than it may have
    ├── StoppedError               4  stopped half way; running it again goes on
    │   └── LeaseLostError            another process has taken the work over
    └── MismatchError              5  data is not where or what it should be

Every error says what was asked, what was found and what to do. ``next_step`` repeats the last
part alone, for the command line and for JSON.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

__all__ = [
    "AccessDeniedError",
    "ConfigConflictError",
    "ConfigError",
    "DatabaseError",
    "DeadlineError",
    "KeyTypeError",
    "LeaseHeldError",
    "LeaseLostError",
    "MemoryCapError",
    "MismatchError",
    "MissingExtraError",
    "PlacementError",
    "PreflightError",
    "Problem",
    "QueryRefusedError",
    "RefusedError",
    "ServerUnreachableError",
    "ShardKeyError",
    "ShardhashError",
    "StaleMapError",
    "StalePlanError",
    "StoppedError",
    "StoreError",
    "TransientError",
    "UsageError",
    "WrongShardError",
]


class ShardhashError(Exception):
    """Base of every error that shardhash raises.

    Attributes:
        exit_code: what the command returns for this class (DESIGN: 1 failed, 2 usage, 3 refused,
            4 stopped, 5 mismatch).
        code: the stable word for this class in JSON output.
        next_step: what to do about it, or the empty string.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "failed"

    def __init__(self, message: str = "", *, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


class KeyTypeError(ShardhashError, TypeError):
    """A value that has no key bytes, or is not of the mapping's key type."""

    exit_code = 2
    code = "key_type"


class PlacementError(ShardhashError, ValueError):
    """A ring, slot map or range map that cannot be, or an owner that it does not have."""

    exit_code = 2
    code = "placement"


class MissingExtraError(ShardhashError, ImportError):
    """An optional dependency that is not installed; the message names the pip command."""

    exit_code = 2
    code = "missing_extra"


class UsageError(ShardhashError):
    """An unknown name, or arguments that do not go together."""

    exit_code = 2
    code = "usage"


class RefusedError(ShardhashError):
    """A check said no before anything was done."""

    exit_code = 3
    code = "refused"


class Problem(NamedTuple):
    """One mistake in a configuration: where it stands, what it is and what to do.

    ``str()`` gives ``source:line:column: path: message``; lines and columns count from 1.
    """

    source: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        """Return the problem as one line that editors can jump to."""
        return f"{self.source}:{self.line}:{self.column}: {self.path}: {self.message}"


class ConfigError(RefusedError):
    """An invalid configuration, with all its problems in the order of their lines."""

    code = "config_invalid"

    def __init__(self, problems: Sequence[Problem], *, next_step: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)), next_step=next_step)

    def __reduce__(self) -> tuple[object, ...]:
        """Return what makes the error anew in another process."""
        return type(self), (self.problems,), {"next_step": self.next_step}


class ConfigConflictError(RefusedError):
    """Somebody else saved the configuration first; nothing was overwritten."""

    code = "config_conflict"


class LeaseHeldError(RefusedError):
    """Another process holds the lease; the message names it and the time that is left."""

    code = "lease_held"


class PreflightError(RefusedError):
    """The schema, the data or the privileges found do not allow the operation."""

    code = "preflight"


class QueryRefusedError(RefusedError):
    """The shards cannot be shown to answer as one database would; ``next_step`` is the rewrite."""

    code = "query_refused"


class StaleMapError(RefusedError):
    """The store did not confirm the map for longer than its ``map_max_age_s``."""

    code = "stale_map"


class StalePlanError(RefusedError):
    """The plan was made for another configuration or schema than the present one."""

    code = "stale_plan"


class ShardKeyError(RefusedError):
    """A guard refused a row without a shard key, or a change of a row's shard key."""

    code = "shard_key"


class WrongShardError(RefusedError):
    """A guard refused a write, because the shard does not take writes for the row's slot now.

    The whole statement was undone by the database; its transaction is still open.

    Attributes:
        mapping: the mapping that the row's table follows.
        slot: the row's slot, or range number; None where the database does not tell (SQLite).
        state: ``fenced`` while the slot moves away, ``foreign`` where another shard owns it,
            ``missing`` where the shard has no row for it.
    """

    code = "wrong_shard"

    def __init__(
        self,
        message: str = "",
        *,
        mapping: str = "",
        slot: int | None = None,
        state: str = "",
        next_step: str = "",
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.mapping = mapping
        self.slot = slot
        self.state = state


class StoreError(ShardhashError):
    """The configuration's file or shared store cannot be read or written."""

    code = "store"


class DatabaseError(ShardhashError):
    """A server or a database file answered with an error.

    Attributes:
        may_be_committed: whether nobody knows if what failed is committed: the connection was lost
            before the answer came.
    """

    code = "database"
    may_be_committed = False


class ServerUnreachableError(DatabaseError):
    """No connection could be made."""

    code = "server_unreachable"


class AccessDeniedError(DatabaseError):
    """The server refused the user, the password or a privilege."""

    code = "access_denied"


class TransientError(DatabaseError):
    """A deadlock, a lock wait or a lost connection that remained after all retries."""

    code = "transient"


class DeadlineError(DatabaseError):
    """The server ended a statement at its deadline."""

    code = "deadline"


class MemoryCapError(ShardhashError):
    """Reducing a query's answers would take more memory than it may have; the query ended."""

    code = "memory_cap"


class StoppedError(ShardhashError):
    """The work stopped half way; what is done is whole, and running it again goes on."""

    exit_code = 4
    code = "stopped"


class LeaseLostError(StoppedError):
    """The lease ended, or another process took the work over; this one must change nothing."""

    code = "lease_lost"


class MismatchError(ShardhashError):
    """Data is not where, or not what, the map says; nothing of it was deleted."""

    exit_code = 5
    code = "mismatch"
