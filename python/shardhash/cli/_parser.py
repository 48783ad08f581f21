"""The whole command's grammar. A further group of commands is one more module in ``_GROUPS``."""

from shardhash.cli import (
    _config,
    _demo,
    _init,
    _instance,
    _key,
    _mapping,
    _op,
    _plan,
    _query,
    _ring,
    _shard,
)
from shardhash.cli._commands import Commands, Parser, add_global_options

__all__ = ["build_parser"]

_GROUPS = (_demo, _init, _instance, _mapping, _shard, _plan, _op, _query, _key, _ring, _config)

_EPILOG = (
    "A changing command prints its plan and changes nothing until it is given --apply. "
    "Exit codes: 0 done or planned, 1 failed, 2 usage, 3 refused, 4 stopped and resumable, "
    "5 data mismatch."
)


def build_parser() -> Parser:
    """Return the parser of ``shardhash``; ``run`` of what it parses is the command's function."""
    parser = Parser(
        prog="shardhash",
        description="Consistent hashing, and MySQL/MariaDB and SQLite sharding without a proxy.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    add_global_options(parser)
    commands = Commands(
        parser.add_subparsers(prog=parser.prog, metavar="COMMAND", required=True, title="commands")
    )
    for group in _GROUPS:
        group.register(commands)
    return parser
