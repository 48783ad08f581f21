"""The text of a statement, put in another's place on its way to the driver."""

from typing import Any

from sqlalchemy import Connection, Engine, event

__all__ = ["SWAP", "Swap", "let_swap"]

SWAP = "shardhash_swap"
"""The execution option that holds a ``Swap``; loaders of relationships inherit it."""


class Swap:
    """One text that stands for another, with the same values, once.

    Args:
        sent: the text that is to be replaced.
        text: what is run in its place.
    """

    def __init__(self, sent: str, text: str) -> None:
        self._sent = _bare(sent)
        self._text = text
        self.is_done = False

    def of(self, statement: str) -> str:
        """Return what is to be run in a statement's place."""
        if self.is_done or _bare(statement) != self._sent:
            return statement
        self.is_done = True
        return self._text


def let_swap(engine: Engine) -> None:
    """Let the execution option ``SWAP`` work on an engine; once is enough."""
    if not event.contains(engine, "before_cursor_execute", _swapped):
        event.listen(engine, "before_cursor_execute", _swapped, retval=True)


def _swapped(
    _: Connection, __: object, statement: str, parameters: object, context: Any, ___: bool
) -> tuple[str, object]:
    found = context.execution_options.get(SWAP) if context is not None else None
    return (found.of(statement) if isinstance(found, Swap) else statement), parameters


def _bare(text: str) -> str:
    return text.rstrip().rstrip(";").rstrip()
