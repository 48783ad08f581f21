"""Looks up passwords. Messages name where was looked, never what was found."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shardhash.db.topology import PasswordKind, PasswordSource
from shardhash.errors import UsageError

__all__ = ["Secrets"]

_SECRETS_FILE = "SHARDHASH_SECRETS_FILE"
_DEFAULT_SECRETS_FILE = "~/.config/shardhash/secrets"
_CLIENT_GROUPS = frozenset({"client", "client-server", "client-mariadb"})
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "s": " ", "\\": "\\", "'": "'", '"': '"'}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Passwords of the environment and of local files, read anew at each look-up.

    A named secret ``east_ops`` is ``SHARDHASH_SECRET_EAST_OPS`` or, where that is not set, the
    line ``east_ops=...`` of the file that ``SHARDHASH_SECRETS_FILE`` names (by default
    ``~/.config/shardhash/secrets``), which no other user may read.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def password(self, source: PasswordSource, *, owner: str) -> str:
        """Return the password that `source` refers to, empty if it refers to none.

        Reads files. Raises UsageError if it is missing, or kept where others can read it.
        """
        match source.kind:
            case PasswordKind.NONE:
                return ""
            case PasswordKind.TEXT:
                return self._expanded(source, owner)
            case PasswordKind.FILE:
                return _one_line(_read(source.value, f"the password_file of {owner}"))
            case PasswordKind.OPTION_FILE:
                return _from_option_file(source.value, "password", owner) or ""
            case PasswordKind.SECRET:
                return self._named(source.value, owner)

    def user(self, source: PasswordSource, *, owner: str) -> str | None:
        """Return the user that an option file names, None for every other kind of source."""
        if source.kind is PasswordKind.OPTION_FILE:
            return _from_option_file(source.value, "user", owner)
        return None

    def _expanded(self, source: PasswordSource, owner: str) -> str:
        unset = source.unset_variables(self.environ)
        if unset:
            raise UsageError(
                f"the password of {owner} is {', '.join(f'${{{name}}}' for name in unset)}, which "
                "is not set in the environment; export it",
                next_step=f"export {' '.join(unset)}",
            )
        return source.expand(self.environ)

    def _named(self, name: str, owner: str) -> str:
        variable = "SHARDHASH_SECRET_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
        if variable in self.environ:
            return self.environ[variable]
        path = self.environ.get(_SECRETS_FILE, _DEFAULT_SECRETS_FILE)
        if _SECRETS_FILE in self.environ or Path(path).expanduser().exists():
            values = dict(_lines(_read_private(path)))
            if name in values:
                return values[name]
        raise UsageError(
            f"the password of {owner} is the secret {name}, which is neither in the environment "
            f"as {variable} nor in {path}",
            next_step=f"export {variable}, or write {name}=... into {path} (mode 0600)",
        )


def _read(path: str, what: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    raise UsageError(
        f"cannot read {what}, {path}: {reason}", next_step="check the path and its permissions"
    )


def _read_private(path: str) -> str:
    """Return the text of a file that only its owner, this user or root, can read."""
    what = "the secrets file"
    try:
        status = Path(path).expanduser().stat()
    except OSError:
        return _read(path, what)
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise UsageError(
            f"the secrets file {path} is open to other users (mode "
            f"{stat.S_IMODE(status.st_mode):04o}); its passwords may be known to them",
            next_step=f"chmod 600 {path}, and change the passwords in it",
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise UsageError(
            f"the secrets file {path} belongs to another user (uid {status.st_uid})",
            next_step=f"make a file of your own, or chown {path}",
        )
    return _read(path, what)


def _one_line(text: str) -> str:
    """Return the text without the line end that editors add."""
    return text.removesuffix("\n").removesuffix("\r")


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of each ``name=value`` line; ``#`` begins a comment line."""
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.lstrip().startswith("#"):
            yield name.strip(), value.strip()


def _from_option_file(path: str, name: str, owner: str) -> str | None:
    text = _read(path, f"the option_file of {owner}")
    found = None
    group = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            group = line[1:].partition("]")[0].strip().lower()
        elif group in _CLIENT_GROUPS and not line.startswith(("#", ";", "!")):
            key, separator, value = line.partition("=")
            if separator and key.strip().lower() == name:
                found = _option_value(value.strip())
    if found is None and name == "password":
        raise UsageError(
            f"the option_file of {owner}, {path}, has no password in its [client] section",
            next_step=f"write password=... below [client] in {path}",
        )
    return found


def _option_value(text: str) -> str:
    """Return the value as the server's own clients read it.

    Source: MariaDB, mysys/my_default.c: ``#`` outside quotes begins a comment anywhere, quotes
    around the whole value go, backslash escapes are replaced.
    """
    text = _without_comment(text).rstrip()
    if len(text) > 1 and text[0] in "'\"" and text[-1] == text[0]:
        text = text[1:-1]
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), text, flags=re.DOTALL)


def _without_comment(text: str) -> str:
    quote = ""
    is_escaped = False
    for position, character in enumerate(text):
        if character in "'\"" and not is_escaped and quote in ("", character):
            quote = "" if quote else character
        if character == "#" and not quote:
            return text[:position]
        is_escaped = bool(quote) and character == "\\" and not is_escaped
    return text
