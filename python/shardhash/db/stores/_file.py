"""A configuration in a YAML file, with its history, leases and journal in SQLite beside it."""

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Self

from shardhash.db.config import Config, Origin, mask_passwords
from shardhash.db.stores._state import StateFile
from shardhash.db.stores._types import (
    JournalEntry,
    Lease,
    SavedProgress,
    SavedVersion,
    default_author,
    text_diff,
)
from shardhash.errors import ConfigConflictError, ConfigError, Problem, StoreError, UsageError

__all__ = ["FileStore"]

_MAX_BYTES = 32 * 1024 * 1024  # beyond what any valid text has; a device never ends
_NEW_FILE_MODE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class FileStore:
    """A YAML file. The version is the SHA-256 of its bytes.

    A save takes a lock file, writes a temporary file, syncs it and renames it over the old one:
    whoever reads meets the old file or the new one, whole, also after a crash. An editor that
    writes the file takes no lock; the version tells that it did.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name the file; nothing is read yet, and it need not exist."""
        self._path = Path(path).expanduser()
        self._source = str(path)
        target = Path(os.path.realpath(self._path))
        self._target = target
        self._lock = target.with_name(f".{target.name}.lock")
        self._state = StateFile(target.with_name(f".{target.name}.state.db"))

    @property
    def url(self) -> str:
        """The file's path, as given."""
        return self._source

    @property
    def may_repeat_versions(self) -> bool:
        """True: an old text that is put back has its old version."""
        return True

    @property
    def path(self) -> Path:
        """The file itself, behind symbolic links."""
        return self._target

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Do nothing: no file stays open between calls."""

    def version(self) -> str:
        """Return the SHA-256 of the file's bytes."""
        return _digest(self._read()[0])

    def load(self) -> tuple[Config, str]:
        """Return the configuration in the file and its version."""
        data, origin = self._read()
        version = _digest(data)
        return self._parse(self._decoded(data), origin, version), version

    def check(self, environ: Mapping[str, str]) -> Config:
        """Return the configuration as `load` does; a ``${VAR}`` not in `environ` is a mistake."""
        data, origin = self._read()
        return self._parse(self._decoded(data), origin, _digest(data), environ)

    def read_text(self) -> tuple[str, str]:
        """Return the file's text, to the byte, and its version."""
        data, _ = self._read()
        return self._decoded(data), _digest(data)

    def save(self, config: Config | str, *, expect: str | None, author: str | None = None) -> str:
        """Replace the file if its version still is `expect`, and return the new version."""
        text = config.text if isinstance(config, Config) else config
        with self._locked():
            data, mode = self._read_if_there()
            found = None if data is None else _digest(data)
            if found != expect:
                raise self._conflict(text, data, expect)
            self._parse(text, _origin(mode), "")
            encoded = text.encode()
            version = _digest(encoded)
            if version == found:
                return version
            if data is not None:
                self._state.settle(_digest(data), mask_passwords(self._decoded(data)))
            masked = mask_passwords(text)
            self._state.announce(version, masked, author or default_author())
            self._replace(encoded, mode)
            self._state.settle(version, masked)
        return version

    def history(self, *, limit: int = 20) -> tuple[SavedVersion, ...]:
        """Return the last versions, the newest first; a hand-edited present one is among them."""
        saved = self._state.history(limit=limit)
        data, _ = self._read_if_there()
        if data is None or (saved and saved[0].version == _digest(data)):
            return saved
        known = [entry for entry in saved if entry.version == _digest(data)][:1]
        changed_at = datetime.fromtimestamp(self._target.stat().st_mtime).astimezone()
        text = mask_passwords(self._decoded(data))
        present = SavedVersion(_digest(data), changed_at, known[0].author if known else "", text)
        return (present, *saved)[:limit]

    def acquire_lease(self, name: str, *, holder: str, ttl_s: float, above: int = 0) -> Lease:
        """Take the lease of `name`, with a token above all earlier ones and above `above`."""
        return self._state.acquire_lease(name, holder, ttl_s, above)

    def renew_lease(self, lease: Lease, *, ttl_s: float) -> Lease:
        """Extend a lease that nobody took since."""
        return self._state.renew_lease(lease, ttl_s)

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back."""
        self._state.release_lease(lease)

    def get_lease(self, name: str) -> Lease | None:
        """Return the lease of `name` as last taken, or None where it is free."""
        return self._state.get_lease(name)

    def now(self) -> datetime:
        """Return the machine's time."""
        return self._state.now()

    def append_journal(self, operation: str, number: int, record: Mapping[str, object]) -> None:
        """Write record `number` of an operation; it is on disk when this returns."""
        self._state.append_journal(operation, number, record)

    def read_journal(self, operation: str) -> tuple[JournalEntry, ...]:
        """Return the records of an operation in order."""
        return self._state.read_journal(operation)

    def list_journals(self) -> tuple[str, ...]:
        """Return the names of all operations that have a journal, the oldest first."""
        return self._state.list_journals()

    def save_progress(self, operation: str, record: Mapping[str, object]) -> None:
        """Replace what is saved of an operation's progress."""
        self._state.save_progress(operation, record)

    def read_progress(self, operation: str) -> SavedProgress | None:
        """Return what was saved last of an operation's progress; None where nothing was."""
        return self._state.read_progress(operation)

    def _parse(
        self, text: str, origin: Origin, version: str, environ: Mapping[str, str] | None = None
    ) -> Config:
        return Config.parse(
            text,
            source=self._source,
            base_dir=self._target.parent,
            origin=origin,
            version=version,
            environ=environ,
        )

    def _read(self) -> tuple[bytes, Origin]:
        data, mode = self._read_if_there()
        if data is None:
            raise UsageError(
                f"no configuration at {self._source}",
                next_step="name one by --config or SHARDHASH_CONFIG, or write one: shardhash init",
            )
        return data, _origin(mode)

    def _read_if_there(self) -> tuple[bytes | None, int]:
        try:
            with self._target.open("rb") as file:
                return file.read(_MAX_BYTES), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        except FileNotFoundError:
            return None, _NEW_FILE_MODE
        except OSError as error:
            raise self._failed("read", error) from error

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            message = "is not UTF-8 here; save the file as UTF-8"
            problem = Problem(self._source, line, column, "file", message)
            raise ConfigError([problem]) from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _NEW_FILE_MODE)
        except OSError as error:
            raise self._failed("lock", error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _replace(self, data: bytes, mode: int) -> None:
        """Rename a synced new file over the old one; the lock makes its name ours."""
        temporary = self._target.with_name(f".{self._target.name}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            temporary.unlink(missing_ok=True)
            with os.fdopen(os.open(temporary, flags, _NEW_FILE_MODE), "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._target)
            _sync_directory(self._target.parent)
        except OSError as error:
            raise self._failed("write", error) from error

    def _failed(self, verb: str, error: OSError) -> StoreError:
        return StoreError(
            f"cannot {verb} {self._source}: {error.strerror}",
            next_step="check the path and the permissions of the file and its directory",
        )

    def _conflict(self, text: str, data: bytes | None, expect: str | None) -> ConfigConflictError:
        if data is None:
            return ConfigConflictError(
                f"{self._source} was to be changed and is gone; nothing was written",
                next_step="look who removed it, then load it anew and repeat the change",
            )
        if expect is None:
            what = f"{self._source} exists already; nothing was written"
            next_step = "name another file"
        else:
            what = f"{self._source} was changed by somebody else meanwhile; nothing was written"
            next_step = "load it anew and repeat the change"
        difference = text_diff(self._decoded(data), text, old_name="present", new_name="not saved")
        return ConfigConflictError(f"{what}\n{difference}".rstrip(), next_step=next_step)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _origin(mode: int) -> Origin:
    return Origin.READABLE if mode & _OTHERS else Origin.PRIVATE


def _sync_directory(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
