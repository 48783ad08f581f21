"""``shardhash init``: a configuration to begin with."""

import argparse
import re
from pathlib import Path

from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome

__all__ = ["register"]

_APP = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def register(commands: Commands) -> None:
    """Add the command."""
    init = commands.command(
        "init",
        _init,
        "write a commented configuration to begin with",
        details="Writes the file that --config names, else ./shardhash.yaml; never over another.",
    )
    init.add_argument(
        "--app", metavar="NAME", help="the application's name (default: the directory's)"
    )
    init.add_argument(
        "--map-max-age",
        metavar="S",
        type=float,
        default=30,
        help="seconds that a process may go on with an old map; moves wait for it (default: 30)",
    )


def _init(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import config_place
    from shardhash.db.fleet import start_config

    path = config_place(options, default=True)
    app = options.app or _directory_name(path)
    start_config(path, app=app, map_max_age_s=options.map_max_age)
    return Outcome(
        data={"path": path, "app": app},
        lines=[
            f"{path} is written, for the application {app}",
            "next: shardhash instance add NAME --url mysql://USER@HOST:3306",
        ],
    )


def _directory_name(path: str) -> str:
    name = Path(path).absolute().parent.name
    return name if _APP.fullmatch(name) else "app"
