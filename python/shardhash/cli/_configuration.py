"""Finding and reading the configuration that a command works with."""

import argparse
import os
from pathlib import Path

from shardhash.cli._console import Console
from shardhash.db.config import Config
from shardhash.errors import UsageError

__all__ = ["load_config"]

_VARIABLE = "SHARDHASH_CONFIG"
_DEFAULT = "shardhash.yaml"


def load_config(options: argparse.Namespace, console: Console) -> Config:
    """Return the configuration named by ``--config``, the environment, or the present directory.

    Raises:
        UsageError: there is none.
        ConfigError: it is invalid; all problems with their lines.
    """
    named = options.config or os.environ.get(_VARIABLE)
    if named is None and not Path(_DEFAULT).exists():
        raise UsageError(
            f"no configuration: neither --config nor {_VARIABLE} is given, and there is no "
            f"./{_DEFAULT}",
            next_step="name one with --config FILE; `shardhash demo` makes one to look at",
        )
    config = Config.load(named or _DEFAULT)
    for problem in config.warnings:
        console.warn(str(problem))
    return config
