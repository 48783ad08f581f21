"""Consistent hashing in C, and (``shardhash.db``) MySQL/MariaDB sharding without a proxy.

    >>> from shardhash import SlotMap
    >>> SlotMap.even(["a", "b"]).lookup(42)
    'b'

Rings, slot maps and range maps are immutable values: safe to share between threads, hashable,
picklable; a change is a new object.

Importing this takes a millisecond or two: each name is looked up when it is first used.
"""

from importlib import import_module

from shardhash._version import __version__

# Type checkers take this name for true. That of typing would load it, for longer than all else.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from shardhash._types import Placement
    from shardhash.errors import KeyTypeError, PlacementError, ShardhashError
    from shardhash.ranges import RangeMap, RangeMove, RangeMoves
    from shardhash.ring import HashRing, RingMove, RingMoves
    from shardhash.slots import SlotMap, SlotMove, SlotMoves, SlotSet

__all__ = [
    "HashRing",
    "KeyTypeError",
    "Placement",
    "PlacementError",
    "RangeMap",
    "RangeMove",
    "RangeMoves",
    "RingMove",
    "RingMoves",
    "ShardhashError",
    "SlotMap",
    "SlotMove",
    "SlotMoves",
    "SlotSet",
    "__version__",
]

_MODULES = {
    "HashRing": "ring",
    "KeyTypeError": "errors",
    "Placement": "_types",
    "PlacementError": "errors",
    "RangeMap": "ranges",
    "RangeMove": "ranges",
    "RangeMoves": "ranges",
    "RingMove": "ring",
    "RingMoves": "ring",
    "ShardhashError": "errors",
    "SlotMap": "slots",
    "SlotMove": "slots",
    "SlotMoves": "slots",
    "SlotSet": "slots",
}
_SUBMODULES = {"errors", "hashing", "interop", "keys", "ranges", "ring", "slots"}


def __getattr__(name: str) -> object:
    """Return a public name, or a module of the core, and keep it."""
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """Return the public names, also those not yet looked up."""
    return sorted({*globals(), *__all__})
