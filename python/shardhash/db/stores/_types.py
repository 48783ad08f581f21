"""What every configuration store can do, and the values it answers with."""

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import unified_diff
from typing import Protocol, Self

from shardhash.db.config import Config, mask_passwords

__all__ = [
    "ConfigStore",
    "JournalEntry",
    "Lease",
    "SavedProgress",
    "SavedVersion",
    "default_author",
    "text_diff",
]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on `name` until `expires_at`, by the store's clock.

    Every taking has a higher ``token`` than all before it: who meets a higher token than its own
    has lost the lease.
    """

    name: str
    holder: str
    token: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SavedVersion:
    """One version of a configuration: when it was saved and by whom (``user@host``).

    ``author`` is empty where the file was changed by other means than the store. In ``text``
    literal passwords are masked.
    """

    version: str
    saved_at: datetime
    author: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One record of an operation. Numbers count from 0 without gaps."""

    operation: str
    number: int
    written_at: datetime
    record: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SavedProgress:
    """How far an operation was when its process last said so; JSON values only.

    ``written_at`` is of the process's clock where the store's would cost a write of its own.
    """

    written_at: datetime
    record: Mapping[str, object]


class ConfigStore(Protocol):
    """Where a configuration is kept and where processes agree on who works on it.

    Every method reads or writes a file or a server. Instances are safe to share between threads.
    All raise StoreError where the store does not answer; nothing is half written then, but a
    `save` may have been done: ask `version`.
    """

    @property
    def url(self) -> str:
        """The file's path or the server's URL, without a password."""

    @property
    def may_repeat_versions(self) -> bool:
        """Whether a version can come back; where not, one that was left behind is old data."""

    def __enter__(self) -> Self:
        """Return the store itself."""

    def __exit__(self, *_: object) -> None:
        """Close the store."""

    def close(self) -> None:
        """Close connections; the next use opens new ones."""

    def version(self) -> str:
        """Return the version of the present configuration, without reading more than it must."""

    def load(self) -> tuple[Config, str]:
        """Return the present configuration and its version.

        Raises:
            ConfigError: what is stored is no valid configuration.
            UsageError: nothing is stored.
        """

    def read_text(self) -> tuple[str, str]:
        """Return the text as it was saved, to the byte, and its version."""

    def save(self, config: Config | str, *, expect: str | None, author: str | None = None) -> str:
        """Replace the configuration if its version still is `expect`, and return the new version.

        Args:
            config: the text, or a configuration whose text is taken.
            expect: the version that the change was made from; None: nothing is stored yet.
            author: who; by default the user and the machine.

        Raises:
            ConfigError: the text is no valid configuration for this store.
            ConfigConflictError: the version is another; the message holds the difference.
        """

    def history(self, *, limit: int = 20) -> tuple[SavedVersion, ...]:
        """Return the last versions, the newest first."""

    def acquire_lease(self, name: str, *, holder: str, ttl_s: float, above: int = 0) -> Lease:
        """Take the lease of `name`, with a token above all earlier ones and above `above`.

        Raises:
            LeaseHeldError: it is taken, and not ended by the store's clock.
        """

    def renew_lease(self, lease: Lease, *, ttl_s: float) -> Lease:
        """Extend a lease that nobody took since, also where its time is over.

        Raises:
            LeaseLostError: it was released or taken.
        """

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back; nothing happens where somebody else has it by now."""

    def get_lease(self, name: str) -> Lease | None:
        """Return the lease of `name` as last taken, ended or not; None where it is free."""

    def now(self) -> datetime:
        """Return the store's time, UTC with time zone."""

    def append_journal(self, operation: str, number: int, record: Mapping[str, object]) -> None:
        """Write record `number` of an operation; JSON values only.

        Raises:
            LeaseLostError: another process wrote that number.
        """

    def read_journal(self, operation: str) -> tuple[JournalEntry, ...]:
        """Return the records of an operation in order; none where it is unknown."""

    def list_journals(self) -> tuple[str, ...]:
        """Return the names of all operations that have a journal, the oldest first."""

    def save_progress(self, operation: str, record: Mapping[str, object]) -> None:
        """Replace what is saved of an operation's progress; it may be lost in a crash."""

    def read_progress(self, operation: str) -> SavedProgress | None:
        """Return what was saved last of an operation's progress; None where nothing was."""


def text_diff(old: str, new: str, *, old_name: str, new_name: str) -> str:
    """Return the unified difference of two texts, their literal passwords masked."""
    lines = unified_diff(
        mask_passwords(old).splitlines(),
        mask_passwords(new).splitlines(),
        old_name,
        new_name,
        lineterm="",
        n=1,
    )
    return "\n".join(lines)


def default_author() -> str:
    """Return ``user@host`` of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
