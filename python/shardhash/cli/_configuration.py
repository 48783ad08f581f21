"""Finding and reading the configuration that a command works with."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shardhash.cli._console import Console
from shardhash.errors import UsageError

if TYPE_CHECKING:
    from shardhash.db.config import Config
    from shardhash.db.operations import Operations
    from shardhash.db.throttle import ThrottleSettings

__all__ = ["config_place", "config_reference", "load_config", "open_operations"]

_VARIABLE = "SHARDHASH_CONFIG"
_DEFAULT = "shardhash.yaml"


def config_place(options: argparse.Namespace, *, default: bool = False) -> str:
    """Return the path or URL of ``--config``, the environment, or the present directory.

    Args:
        options: of the command.
        default: name the present directory's file, whether it exists or not.

    Raises:
        UsageError: there is none.
        RefusedError: a password stands in the ``--config`` URL, where others can read it.
    """
    from shardhash.db.fleet import refuse_password_in

    named: str | None = options.config or os.environ.get(_VARIABLE)
    refuse_password_in("store", options.config)
    if named is None and not default and not Path(_DEFAULT).exists():
        raise UsageError(
            f"no configuration: neither --config nor {_VARIABLE} is given, and there is no "
            f"./{_DEFAULT}",
            next_step="name one with --config FILE, or write one to begin with: shardhash init",
        )
    return named or _DEFAULT


def config_reference(options: argparse.Namespace) -> str:
    """Return what `config_place` names in a form that other processes can load it by."""
    place = config_place(options)
    return place if "://" in place else str(Path(place).absolute())


def load_config(options: argparse.Namespace, console: Console) -> "Config":
    """Return the configuration that `config_place` names, with its warnings given to the console.

    Raises:
        UsageError: there is none.
        ConfigError: it is invalid; all problems with their lines.
    """
    from shardhash.db.config import Config

    config = Config.load(config_place(options))
    for problem in config.warnings:
        console.warn(str(problem))
    return config


@contextmanager
def open_operations(
    options: argparse.Namespace,
    console: Console,
    *,
    throttle: "ThrottleSettings | None" = None,
    fence_wait_s: float | None = None,
) -> "Iterator[Operations]":
    """Yield operations on the configuration that `config_place` names, with its store.

    Raises:
        UsageError: there is none.
        ConfigError: it is invalid; all problems with their lines.
    """
    from shardhash.db.operations import Operations
    from shardhash.db.stores import open_store

    with open_store(config_place(options)) as store:
        config, _ = store.load()
        for problem in config.warnings:
            console.warn(str(problem))
        with Operations(
            config,
            store=store,
            throttle=throttle,
            fence_wait_s=fence_wait_s,
            source=config_reference(options),
        ) as operations:
            yield operations
