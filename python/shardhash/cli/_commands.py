"""What every command shares: its parser, its global options, and how it is registered."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from shardhash._version import __version__
from shardhash.cli._console import Console, Outcome
from shardhash.errors import UsageError

if TYPE_CHECKING:
    SubParsers = argparse._SubParsersAction["Parser"]  # noqa: SLF001

__all__ = ["Commands", "Parser", "Run", "add_global_options"]

Run = Callable[[argparse.Namespace, Console], Outcome]


class Parser(argparse.ArgumentParser):
    """An argument parser that raises ``UsageError`` where argparse would exit."""

    def error(self, message: str) -> NoReturn:
        """Raise the mistake, so that it reaches the reader like every other error."""
        raise UsageError(message, next_step=f"{self.prog} --help shows what it takes")


@dataclass(frozen=True, slots=True)
class Commands:
    """A place where commands are added: the top level, or a group such as ``shard``."""

    parsers: "SubParsers"
    words: tuple[str, ...] = ()

    def group(self, name: str, summary: str) -> "Commands":
        """Add a group of commands and return the place for them."""
        parser = self._add(name, summary, formatter_class=argparse.HelpFormatter)
        return Commands(
            parser.add_subparsers(
                prog=parser.prog, metavar="COMMAND", required=True, title="commands"
            ),
            (*self.words, name),
        )

    def command(
        self,
        name: str,
        run: Run,
        summary: str,
        *,
        details: str = "",
        styled: bool = True,
        own_version: bool = False,
    ) -> Parser:
        """Add a command and return its parser, to which its own options are added.

        A command that is not ``styled`` loads nothing outside the standard library for its help.
        One with its ``own_version`` adds a ``--version`` that means something else.
        """
        parser = self._add(
            name,
            summary,
            details,
            formatter_class=_styled_help if styled else argparse.HelpFormatter,
        )
        parser.set_defaults(run=run, command=" ".join((*self.words, name)))
        add_global_options(parser, default=argparse.SUPPRESS, with_version=not own_version)
        return parser

    def _add(
        self,
        name: str,
        summary: str,
        details: str = "",
        *,
        formatter_class: Callable[..., argparse.HelpFormatter],
    ) -> Parser:
        description = f"{summary[0].upper()}{summary[1:]}."
        return self.parsers.add_parser(
            name,
            help=summary,
            description=f"{description} {details}".rstrip(),
            formatter_class=formatter_class,
            allow_abbrev=False,
        )


def add_global_options(
    parser: argparse.ArgumentParser, *, default: object = None, with_version: bool = True
) -> None:
    """Add the options that stand before or after the command's name.

    A command's own copies take the default ``SUPPRESS``, or they would overwrite what was given
    before its name.
    """
    options = parser.add_argument_group("global options")
    options.add_argument(
        "--config",
        metavar="FILE",
        default=default,
        help="the configuration (default: $SHARDHASH_CONFIG, else ./shardhash.yaml)",
    )
    flag_default = False if default is None else default
    options.add_argument(
        "--json", action="store_true", default=flag_default, help="print one JSON object"
    )
    options.add_argument(
        "--yes", action="store_true", default=flag_default, help="do not ask before a change"
    )
    if with_version:
        options.add_argument("--version", action="version", version=f"shardhash {__version__}")


def _styled_help(prog: str, **options: object) -> argparse.HelpFormatter:
    """Return rich-argparse's formatter on a terminal, if it is installed."""
    if sys.stdout.isatty():
        try:
            from rich_argparse import RichHelpFormatter
        except ImportError:
            pass
        else:
            return RichHelpFormatter(prog, **options)  # type: ignore[arg-type]
    return argparse.HelpFormatter(prog, **options)  # type: ignore[arg-type]
