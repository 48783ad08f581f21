"""The demo's stages, each skipped when the configuration file shows it done."""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager, SessionSettings
from shardhash.db.operations import Operations
from shardhash.db.plan import Progress
from shardhash.demo._events import Census, DemoEvent, Filled, Finished, Loaded, Planned, Pruned
from shardhash.demo._flights import (
    ABOUT_ROWS,
    KEY,
    Row,
    create_table,
    ids,
    keyed_rows_after,
    open_flights,
    write_rows,
)
from shardhash.errors import RefusedError, UsageError
from shardhash.slots import SlotMap

__all__ = ["Demo", "ProgressListener"]

ProgressListener = Callable[[Progress], None]

_APP = "shardhash-demo"
_MAPPING = "by_tailnum"
_SOURCES = ("s1", "s2")
_NEWCOMER = "s3"
_NO_KEY_SHARD = "s1"
"""The shard of the flights that have no tail number, and so no key."""

_PHASES = 4  # load, fill, and the prunes of both sources
_BATCH_ROWS = 10_000

_CONFIG = """\
# Written by `shardhash demo`: SQLite shards in ./shards, flights placed by tail number.
format: 1
app: {app}
instances:
  disk: {{url: "sqlite:///./shards"}}
shards:
{shards}
mappings:
  {mapping}:
    key: {{column: tailnum, type: str}}
    tables: [flights]
    slots:
      count: {slot_count}
      owners:
{owners}
"""


class Demo:
    """The demo in one directory; the configuration file is the only mark of progress."""

    def __init__(self, directory: Path, progress: ProgressListener) -> None:
        self._directory = directory
        self._config_path = directory / "shardhash.yaml"
        self._progress = progress
        self._changed = False

    def stages(self, data: Path) -> Iterator[DemoEvent]:
        """Do what is left to do, and yield each stage as it ends."""
        self._check_directory()
        if not self._config_path.exists():
            yield self._load(data)
        config = self._config()
        if _NEWCOMER not in config.shards:
            yield self._fill(config)
            config = self._config()
        with Operations(config) as operations:
            for phase, shard in enumerate(_SOURCES, start=3):
                yield from self._prune(operations, shard, phase)
        yield Finished(
            census=_census(config),
            slots=_slot_counts(_slot_map(config)),
            config_path=self._config_path,
            changed=self._changed,
        )

    def _check_directory(self) -> None:
        """Refuse a directory whose files the demo has not made."""
        if not self._directory.exists():
            return
        if not self._directory.is_dir():
            raise UsageError(f"{self._directory} is no directory", next_step="name another --dir")
        ours = {self._config_path.name, self._config_path.name + ".new", "shards"}
        others = sorted(path.name for path in self._directory.iterdir() if path.name not in ours)
        if others and not self._config_path.exists():
            raise RefusedError(
                f"{self._directory} holds {others[0]}, which is not the demo's: nothing was done",
                next_step="name an empty or new directory with --dir",
            )

    def _config(self) -> Config:
        config = Config.load(self._config_path)
        if config.app != _APP:
            raise RefusedError(
                f"{self._config_path} is of the app {config.app}, not of the demo: nothing was "
                "done",
                next_step="name an empty or new directory with --dir",
            )
        return config

    def _load(self, data: Path) -> Loaded:
        started = time.monotonic()
        slot_map = SlotMap.even(_SOURCES)
        text = _config_text(slot_map)
        config = Config.parse(text, base_dir=self._directory)
        watch = _Watch(self._progress, phase=1, title="load", rows_about=ABOUT_ROWS)
        with open_flights(data) as flights, _open(config) as connections:
            self._create(connections, *_SOURCES)
            while batch := list(itertools.islice(flights, _BATCH_ROWS)):
                for shard, rows in _placed(slot_map, batch).items():
                    write_rows(connections, shard, rows)
                watch.add(len(batch))
        census = _census(config)
        self._save(text)
        self._changed = True
        return Loaded(census, time.monotonic() - started)

    def _fill(self, config: Config) -> Filled:
        """Copy the rows of the moving slots to the newcomer, then change the map."""
        started = time.monotonic()
        old = _slot_map(config)
        new = old.with_shard(_NEWCOMER)
        text = _config_text(new)
        config = Config.parse(text, base_dir=self._directory)
        moves = old.moves_to(new)
        slots = {move.source: len(move.slots) for move in moves}
        about = int(ABOUT_ROWS * moves.fraction)
        watch = _Watch(self._progress, phase=2, title=f"fill {_NEWCOMER}", rows_about=about)
        with _open(config) as connections:
            self._create(connections, _NEWCOMER)
            copied = {source: _copy(connections, new, source, watch) for source in slots}
        census = _census(config)
        self._save(text)
        self._changed = True
        return Filled(census, slots, copied, time.monotonic() - started)

    def _prune(self, operations: Operations, shard: str, phase: int) -> Iterator[Planned | Pruned]:
        plan = operations.plan_prune(shard, mapping=_MAPPING)
        if not plan.foreign_rows:
            return
        yield Planned(plan)

        def show(event: Progress) -> None:
            title = f"prune {shard}"
            here = replace(event, operation="demo", phase=phase, phases=_PHASES, title=title)
            self._progress(here)

        report = operations.apply(plan, progress=show)
        self._changed = True
        yield Pruned(plan, report)

    def _create(self, connections: ConnectionManager, *shards: str) -> None:
        """Make empty shards, over whatever an interrupted demo left of them."""
        directory = self._directory / "shards"
        directory.mkdir(parents=True, exist_ok=True)
        for shard in shards:
            for file in directory.glob(f"{shard}.db*"):
                file.unlink()
            connections.create_database(shard)
            create_table(connections, shard)

    def _save(self, text: str) -> None:
        """Replace the configuration file as a whole, after everything it speaks of is on disk."""
        new = self._config_path.with_suffix(".yaml.new")
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._config_path)


def _open(config: Config) -> ConnectionManager:
    return ConnectionManager(config, session=SessionSettings.operations())


def _census(config: Config) -> Census:
    rows, no_key = {}, {}
    distinct: set[int] = set()
    with _open(config) as connections:
        for shard in config.shards:
            found = ids(connections, shard)
            rows[shard] = len(found)
            no_key[shard] = sum(has_no_key for _, has_no_key in found)
            distinct.update(primary_key for primary_key, _ in found)
    return Census(rows, no_key, len(distinct))


def _config_text(slot_map: SlotMap) -> str:
    """Return the demo's configuration for a map; each shard's database has its name."""
    shards = (f"  {shard}: {{instance: disk, database: {shard}}}" for shard in slot_map.shards)
    owners = (f'        {shard}: "{slot_map.slots_of(shard)}"' for shard in slot_map.shards)
    return _CONFIG.format(
        app=_APP,
        mapping=_MAPPING,
        slot_count=slot_map.slot_count,
        shards="\n".join(shards),
        owners="\n".join(owners),
    )


class _Watch:
    """Counts rows and tells the listener how far a stage is."""

    def __init__(
        self, progress: ProgressListener, *, phase: int, title: str, rows_about: int
    ) -> None:
        self._listener = progress
        self._started = time.monotonic()
        self._event = Progress(
            operation="demo",
            phase=phase,
            phases=_PHASES,
            title=title,
            rows_done=0,
            rows_about=rows_about,
            rows_per_s=0.0,
            eta_s=None,
        )

    def add(self, row_count: int) -> None:
        done = self._event.rows_done + row_count
        rate = done / max(time.monotonic() - self._started, 1e-9)
        left = max(self._event.rows_about - done, 0)
        eta_s = left / rate if rate else None
        self._event = replace(self._event, rows_done=done, rows_per_s=rate, eta_s=eta_s)
        self._listener(self._event)


def _copy(connections: ConnectionManager, new: SlotMap, source: str, watch: _Watch) -> int:
    """Copy the rows of a shard that the new map gives away; return how many."""
    after = copied = 0
    while page := keyed_rows_after(connections, source, after, _BATCH_ROWS):
        after = page[-1][0]
        foreign = new.foreign(source, [row[KEY] for row in page])
        rows = [page[position] for position in foreign]
        if rows:
            write_rows(connections, _NEWCOMER, rows)
        copied += len(rows)
        watch.add(len(rows))
    return copied


def _placed(slot_map: SlotMap, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return rows by shard; those without a key go to the shard that is named for them."""
    placed: dict[str, list[Row]] = {}
    keyed = [row for row in rows if row[KEY] is not None]
    owners = slot_map.lookup_many([row[KEY] for row in keyed])
    for row, owner in zip(keyed, owners, strict=True):
        placed.setdefault(slot_map.shards[owner], []).append(row)
    if len(keyed) < len(rows):
        no_key = [row for row in rows if row[KEY] is None]
        placed.setdefault(_NO_KEY_SHARD, []).extend(no_key)
    return placed


def _slot_map(config: Config) -> SlotMap:
    placement = config.router(_MAPPING).placement
    assert isinstance(placement, SlotMap), "the demo's own configuration has slots"
    return placement


def _slot_counts(slot_map: SlotMap) -> dict[str, int]:
    return {shard: len(slot_map.slots_of(shard)) for shard in slot_map.shards}
