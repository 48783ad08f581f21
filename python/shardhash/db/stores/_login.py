"""Looks up the password of a shared store when it is connected to."""

from collections.abc import Mapping
from pathlib import Path

from shardhash.db.topology import PasswordKind, PasswordSource
from shardhash.errors import StoreError

__all__ = ["resolve_password"]


def resolve_password(source: PasswordSource, environ: Mapping[str, str]) -> str | None:
    """Return the password that `source` refers to; None where it names none. May read a file."""
    if source.kind is PasswordKind.TEXT:
        return source.expand(environ)
    if source.kind is PasswordKind.FILE:
        return _from_file(source.value)
    if source.kind is PasswordKind.SECRET:
        return _from_secret(source.value, environ)
    return None


def _from_file(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"cannot read the store's password_file {path} ({type(error).__name__})",
            next_step="check the path and its permissions",
        ) from None


def _from_secret(name: str, environ: Mapping[str, str]) -> str:
    variable = f"SHARDHASH_SECRET_{name.upper()}"
    if variable not in environ:
        raise StoreError(
            f"the store's password is the secret {name}, and {variable} is not set",
            next_step=f"export {variable}",
        )
    return environ[variable]
