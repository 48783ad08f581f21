"""Reads where a password comes from, and refuses sources that do not fit where the text is kept."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath

from shardhash.db.config._models import SecretModel, read_model
from shardhash.db.config._problems import Document, found
from shardhash.db.config._yaml import Path, dotted
from shardhash.db.topology import PasswordKind, PasswordSource
from shardhash.errors import Problem

__all__ = ["Origin", "PasswordReader", "PlacedPassword", "absolute_path"]

_BROKEN_REFERENCE = re.compile(r"\$\{(?![A-Za-z_][A-Za-z0-9_]*\}|[A-Za-z_][A-Za-z0-9_]*:-[^{}]*\})")
_WHY_SHARED = (
    "a shared configuration takes only password: {secret: NAME}, because who can write to the "
    "store must not choose what is read from operators' machines"
)


class Origin(StrEnum):
    """Who can read the text of a configuration; it decides which passwords it may hold."""

    PRIVATE = "private"
    READABLE = "readable"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class PlacedPassword:
    """A password source and the place that names it."""

    source: PasswordSource
    place: Problem = field(repr=False)


class PasswordReader:
    """Reads the password keys of one configuration and keeps a list of what it found."""

    def __init__(self, document: Document, *, origin: Origin, base_dir: str | None) -> None:
        self._document = document
        self._origin = origin
        self._base_dir = base_dir
        self.placed: list[PlacedPassword] = []

    def read(
        self,
        path: Path,
        *,
        password: object = None,
        password_file: str | None = None,
        option_file: str | None = None,
        in_url: str | None = None,
        url_key: str = "url",
    ) -> PasswordSource:
        """Return the one source that the part at `path` names; none is a source too."""
        given: list[tuple[str, PasswordSource | None]] = []
        if password is not None:
            given.append(("password", self._password(password, (*path, "password"))))
        if password_file is not None:
            given.append(("password_file", self._file(PasswordKind.FILE, password_file, path)))
        if option_file is not None:
            given.append(("option_file", self._file(PasswordKind.OPTION_FILE, option_file, path)))
        if in_url is not None:
            given.append((url_key, PasswordSource(PasswordKind.TEXT, in_url)))
        if len(given) > 1:
            names = " and ".join(name for name, _ in given)
            self._document.problem((*path, given[0][0]), f"two passwords, by {names}; keep one")
        if not given or given[0][1] is None:
            return PasswordSource()
        name, source = given[0][0], given[0][1]
        self._judge(source, (*path, name))
        return source

    def _password(self, value: object, path: Path) -> PasswordSource | None:
        if isinstance(value, str):
            return PasswordSource(PasswordKind.TEXT, value)
        if isinstance(value, dict):
            secret = read_model(self._document, SecretModel, value, path)
            return PasswordSource(PasswordKind.SECRET, secret.secret) if secret else None
        self._document.problem(
            path, f"must be text or {{secret: NAME}}, found {found(value)}; put it in quotes"
        )
        return None

    def _file(self, kind: PasswordKind, value: str, path: Path) -> PasswordSource | None:
        where = (*path, str(kind) if kind is PasswordKind.OPTION_FILE else "password_file")
        if self._origin is Origin.SHARED:
            self._document.problem(where, _WHY_SHARED)
            return None
        absolute = absolute_path(value, self._base_dir)
        if absolute is None:
            self._document.problem(where, "must be an absolute path here")
            return None
        return PasswordSource(kind, absolute)

    def _judge(self, source: PasswordSource, path: Path) -> None:
        mark = self._document.place(path)
        place = Problem(self._document.source, mark.line, mark.column, dotted(path), "")
        self.placed.append(PlacedPassword(source, place))
        if source.kind is not PasswordKind.TEXT:
            return
        if _BROKEN_REFERENCE.search(source.value):
            self._document.problem(path, "a reference is ${NAME} or ${NAME:-default}")
        elif self._origin is Origin.SHARED:
            self._document.problem(path, _WHY_SHARED)
        elif source.is_literal and self._origin is Origin.READABLE:
            self._document.problem(
                path,
                "a password stands here in a file that other users can read; chmod 600 the file, "
                "or write ${NAME}, password_file or {secret: NAME}",
            )
        elif source.is_literal:
            self._document.warn(
                path, "a password stands here as text; ${NAME} or password_file keeps it apart"
            )


def absolute_path(path: str, base_dir: str | None) -> str | None:
    """Return `path` made absolute below `base_dir`; ``~`` stays; None where it cannot be."""
    if path.startswith("~") or PurePath(path).is_absolute():
        return path
    if base_dir is None or not path:
        return None
    return str(PurePath(base_dir, path))
