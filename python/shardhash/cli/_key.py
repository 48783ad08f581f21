"""``shardhash key``: where a key is, and why."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome, Status, printable
from shardhash.cli._table import table
from shardhash.errors import DatabaseError, MismatchError, PreflightError

if TYPE_CHECKING:
    from shardhash.db.config import Config
    from shardhash.db.connections import ConnectionManager
    from shardhash.db.explain import KeyPlace, KeyRows
    from shardhash.db.mapping import KeyRouter

__all__ = ["register"]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is known of one key; ``rows`` is None unless the shards were asked."""

    text: str
    place: "KeyPlace"
    proof: str | None
    rows: "KeyRows | None"


def register(commands: Commands) -> None:
    """Add the group's commands."""
    key = commands.group("key", "say where a key is")
    explain = key.command(
        "explain",
        _explain,
        "print a key's bytes, hash, slot and shard, and the SELECT that proves it",
        details=(
            "The owner is asked for the definition of its table, so that the SELECT is exact. "
            "With --rows, every shard counts its rows of the key; exit code 5 if one that does "
            "not own the key has some."
        ),
    )
    explain.add_argument("mapping", metavar="MAPPING", help="a mapping of the configuration")
    explain.add_argument(
        "values", metavar="VALUE", nargs="+", help="a key; bytes also as hex: 0x00ff"
    )
    explain.add_argument(
        "--rows", action="store_true", help="count the rows that each shard really has"
    )


def _explain(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config
    from shardhash.db.connections import ConnectionManager, SessionSettings

    config = load_config(options, console)
    router = config.router(options.mapping)
    with ConnectionManager(config, session=SessionSettings.operations()) as connections:
        answers = [
            _answer(config, connections, router, text, console, with_rows=options.rows)
            for text in options.values
        ]
    error = _stray_error(answers)
    return Outcome(
        status=Status.MISMATCH if error else Status.OK,
        data={"keys": [_data(answer) for answer in answers]},
        lines=_lines(answers),
        error=error,
    )


def _answer(
    config: "Config",
    connections: "ConnectionManager",
    router: "KeyRouter",
    text: str,
    console: Console,
    *,
    with_rows: bool,
) -> _Answer:
    from shardhash.db.explain import count_rows_of_key, place_key

    value = router.parse_key(text)
    return _Answer(
        text=text,
        place=place_key(router, value),
        proof=_proof(connections, router, text, console),
        rows=count_rows_of_key(config, connections, router, value) if with_rows else None,
    )


def _proof(
    connections: "ConnectionManager", router: "KeyRouter", text: str, console: Console
) -> str | None:
    """Return the SELECT, or None with a warning: a shard that is down hides no key's place."""
    from shardhash.db.explain import slot_proof

    try:
        return slot_proof(connections, router, router.parse_key(text))
    except (DatabaseError, PreflightError) as error:
        console.warn(f"no SELECT for {printable(text)}: {error}")
        return None


def _stray_error(answers: list[_Answer]) -> MismatchError | None:
    found = [
        f"{printable(answer.text)} of {answer.place.shard} has rows on "
        + ", ".join(answer.rows.strays)
        for answer in answers
        if answer.rows and answer.rows.strays
    ]
    if not found:
        return None
    return MismatchError(
        f"rows where they do not belong: {'; '.join(found)}",
        next_step="see what would go and what would stay: shardhash shard prune NAME",
    )


def _data(answer: _Answer) -> dict[str, object]:
    place = answer.place
    return {
        "key": answer.text,
        "mapping": place.mapping,
        "key_bytes": place.key_bytes.hex() if place.key_bytes is not None else None,
        "hash": place.hash,
        "slot": place.slot,
        "shard": place.shard,
        "select": answer.proof,
        "rows": answer.rows.counts if answer.rows else None,
    }


def _lines(answers: list[_Answer]) -> Iterator[str]:
    for number, answer in enumerate(answers):
        if number:
            yield ""
        yield from _answer_lines(answer)


def _answer_lines(answer: _Answer) -> Iterator[str]:
    place = answer.place
    yield f"{place.mapping} {printable(answer.text)}"
    if place.key_bytes is not None:
        text = printable(place.key_bytes.decode("utf-8", "backslashreplace"))
        yield f"  key bytes  {place.key_bytes.hex(' ') or '(none)'}  {text}".rstrip()
    if place.hash is not None:
        yield f"  hash       {place.hash} (CRC-32, 0x{place.hash:08x})"
    if place.slot is not None:
        yield f"  slot       {place.slot}"
    yield f"  shard      {place.shard}"
    if answer.proof:
        yield f"  proof      {answer.proof}"
    if answer.rows:
        yield ""
        tables = list(next(iter(answer.rows.counts.values()), {}))
        counts = [
            (shard, *rows.values(), "owner" if shard == place.shard else "")
            for shard, rows in answer.rows.counts.items()
        ]
        yield from (f"  {line}" for line in table(("shard", *tables, ""), counts))
