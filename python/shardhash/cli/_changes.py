"""Changes of the configuration by a command: made in its store, told as a difference."""

import argparse
from typing import TYPE_CHECKING

from shardhash.cli._console import Outcome

if TYPE_CHECKING:
    from shardhash.db.fleet import Edit

__all__ = ["changed", "names"]


def changed(options: argparse.Namespace, change: "Edit", what: str) -> Outcome:
    """Change the configuration and return what became of it; ``what`` says it in words."""
    from shardhash.cli._configuration import config_place
    from shardhash.db.fleet import change_config
    from shardhash.db.stores import open_store

    with open_store(config_place(options)) as store:
        done = change_config(store, change)
    return Outcome(
        data={
            "source": done.source,
            "before": done.before,
            "version": done.version,
            "difference": done.difference,
        },
        lines=[f"{what}, {done.source}", *map(str.rstrip, done.difference.splitlines()[2:])],
    )


def names(text: str) -> list[str]:
    """Return the names of a list with commas."""
    return [name for part in text.split(",") if (name := part.strip())]
