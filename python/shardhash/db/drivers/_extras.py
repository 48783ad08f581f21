"""Imports of optional packages, with an error that names the pip command."""

from importlib import import_module
from types import ModuleType

from shardhash.errors import MissingExtraError

__all__ = ["import_extra"]


def import_extra(module: str, *, extra: str, what: str) -> ModuleType:
    """Return an optional module; ``what`` says what needs it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        command = f"pip install 'shardhash[{extra}]'"
        raise MissingExtraError(
            f"{what} needs the package {error.name}, which is not installed: {command}",
            next_step=command,
        ) from error
