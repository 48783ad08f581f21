"""``shardhash ring``: consistent hashing from a shell. Loads nothing but the core."""

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence

from shardhash import HashRing
from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome, printable
from shardhash.errors import UsageError

__all__ = ["register"]

_STDIN_BATCH = 8192


def register(commands: Commands) -> None:
    """Add the group's commands."""
    ring = commands.group("ring", "place keys on a consistent-hash ring")
    lookup = ring.command(
        "lookup",
        _lookup,
        "print the node of each key",
        details="One line a key: the key, a tab, its node.",
        styled=False,
    )
    lookup.add_argument("keys", nargs="+", metavar="KEY", help="a key; - reads one key a line")
    lookup.add_argument(
        "--nodes", required=True, help="names, each with a weight if not 1: cache1,cache2=2"
    )
    lookup.add_argument(
        "--replicas",
        type=int,
        default=1,
        metavar="N",
        help="print N distinct nodes of each key, in ring order",
    )
    lookup.add_argument(
        "--scheme",
        choices=("xxh64", "ketama", "ketama-twemproxy"),
        default="xxh64",
        help="place as shardhash does, as libketama, or as twemproxy (default: xxh64)",
    )


def parse_nodes(text: str) -> dict[str, float]:
    """Return the weights of ``a,b=2,c``.

    Raises:
        UsageError: a name twice, no name at all, or a weight that is no number.
    """
    weights: dict[str, float] = {}
    for word in text.split(","):
        name, equals, weight = word.strip().partition("=")
        if not name:
            raise UsageError(f"--nodes {text!r}: a name is missing", next_step="write a,b=2,c")
        if name in weights:
            raise UsageError(f"--nodes {text!r}: {name!r} is there twice", next_step="name it once")
        try:
            weights[name] = float(weight) if equals else 1.0
        except ValueError:
            raise UsageError(
                f"--nodes {text!r}: the weight {weight!r} of {name!r} is no number",
                next_step=f"write {name}=2",
            ) from None
    return weights


def _lookup(options: argparse.Namespace, console: Console) -> Outcome:
    ring = HashRing(parse_nodes(options.nodes), scheme=options.scheme)
    placed = _placed(ring, _keys(options.keys), options.replicas)
    if not console.as_json:
        lines = ("\t".join((printable(key), *nodes)) for key, nodes in placed)
        return Outcome(data={}, lines=lines)
    return Outcome(
        data={
            "scheme": ring.scheme,
            "nodes": dict(ring.weights),
            "keys": [{"key": key, "nodes": list(nodes)} for key, nodes in placed],
        },
        lines=(),
    )


def _keys(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word == "-":
            yield from (line.rstrip("\r\n") for line in sys.stdin)
        else:
            yield word


def _placed(
    ring: HashRing, keys: Iterable[str], replicas: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
    if replicas != 1:
        yield from ((key, ring.lookup_n(key, replicas)) for key in keys)
        return
    keys = iter(keys)
    while batch := list(itertools.islice(keys, _STDIN_BATCH)):
        owners = ring.lookup_many(batch)
        yield from ((key, (ring.nodes[owner],)) for key, owner in zip(batch, owners, strict=True))
