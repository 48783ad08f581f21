"""Parts of a configuration as words and as data, and values that stand in options."""

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable
from typing import TYPE_CHECKING

from shardhash.cli._table import count, table

if TYPE_CHECKING:
    from shardhash.db.topology import Instance, Mapping

__all__ = [
    "address_words",
    "byte_count",
    "fraction",
    "mapping_data",
    "mapping_table",
    "name_and_column",
    "seconds",
    "thread_count",
]

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)(?:i?B)?", re.IGNORECASE)
_POWERS = ("", "K", "M", "G", "T")


def address_words(instance: "Instance") -> str:
    """Return where an instance is: host and port, socket, or directory."""
    return instance.directory or (instance.endpoint.address if instance.endpoint else "")


def byte_count(text: str) -> int:
    """Return a size such as ``500G``, ``1.5T`` or a plain number, in bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ArgumentTypeError(f"must be a number of bytes, or end in K, M, G or T, found {text}")
    return int(float(match[1]) * 1024 ** _POWERS.index(match[2].upper()))


def mapping_data(mapping: "Mapping") -> dict[str, object]:
    """Return a mapping for JSON."""
    return {
        "key": {"column": mapping.key.column, "type": mapping.key.type},
        "rule": _rule(mapping),
        "shards": list(mapping.shards),
        "tables": [{"name": rule.name, "key": rule.key} for rule in mapping.tables],
        "global_tables": list(mapping.global_tables),
    }


def mapping_table(mappings: Iterable["Mapping"]) -> list[str]:
    """Return mappings as the lines of a table."""
    rows = [
        (
            each.name,
            each.key.column,
            each.key.type,
            _rule(each),
            ", ".join(each.shards),
            ", ".join(rule.name for rule in each.tables),
        )
        for each in mappings
    ]
    return table(("mapping", "key", "type", "rule", "shards", "tables"), rows)


def _rule(mapping: "Mapping") -> str:
    from shardhash.db.topology import RangeRule, SlotRule

    rule = mapping.rule
    if isinstance(rule, SlotRule):
        return count(rule.slot_count, "slot")
    if isinstance(rule, RangeRule):
        return count(len(rule.shards), "range")
    return f"ring of {count(len(rule.nodes), 'node')}"


def seconds(text: str) -> float:
    """Return a number of seconds, as the type of an option.

    Raises:
        ArgumentTypeError: it is none.
    """
    value = _number(text)
    if not 0 <= value < math.inf:
        raise ArgumentTypeError(f"{text!r} is no number of seconds from 0 on")
    return value


def fraction(text: str) -> float:
    """Return a number from 0 to 1, as the type of an option.

    Raises:
        ArgumentTypeError: it is none.
    """
    value = _number(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is no number from 0 to 1, such as 0.25")
    return value


def _number(text: str) -> float:
    """Return the number that a text is; NaN, which is in no range, where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def thread_count(text: str) -> int:
    """Return a number of threads, as the type of an option: one always runs, the one that asks.

    Raises:
        ArgumentTypeError: it is none, or 0, for which nothing would ever go on.
    """
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ArgumentTypeError(f"{text!r} is no number of threads from 1 on")
    return int(text)


def name_and_column(text: str) -> tuple[str, str | None]:
    """Return both parts of ``NAME:OTHER``; None for the second where there is no colon."""
    name, colon, other = text.partition(":")
    return name.strip(), other.strip() if colon else None
