"""One statement for one shard, and what comes back: the contract between planning and running.

Pure values. ``db.query`` decides what each shard is asked (a ``ShardTask`` each) and reduces the
answers; ``db.workers`` runs the tasks (a ``TaskRunner``): connections, executors, deadlines,
cancelling and streaming are its business alone. A task holds plain values only, so that it can be
sent to another process, and no secret: a worker opens its own connection by the configuration
that the task names. A task run twice is harmless, because only reads are tasks.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from shardhash.db.topology import Backend

__all__ = [
    "INTEGER_TYPES",
    "NUMBER_TYPES",
    "TEXT_TYPES",
    "ResultColumn",
    "Row",
    "ShardRows",
    "ShardTask",
    "TaskRunner",
    "result_columns",
]

INTEGER_TYPES = frozenset({"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"})
"""The server's words for the columns of an answer that hold integers."""

NUMBER_TYPES = INTEGER_TYPES | {"DECIMAL", "DOUBLE"}
"""Those whose values compare and add up here as on the server; FLOAT is shown rounded."""

TEXT_TYPES = frozenset({"VARCHAR", "CHAR", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BLOB"})
"""Those of texts and bytes."""

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of an answer.

    ``type`` is the server's word for it, such as ``BIGINT`` or ``DECIMAL``; empty for SQLite,
    where each value has a type of its own. ``scale`` is the number of digits after the point, 31
    or more where a floating point number has no fixed one, None where the server tells none.
    """

    name: str
    type: str = ""
    scale: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """A SELECT for one shard.

    Attributes:
        shard: its name in the configuration.
        sql: the text in the driver's own placeholders: ``%s`` for MySQL, where a literal percent
            sign is always doubled, also without parameters; ``?`` for SQLite.
        parameters: the values to bind, in the order of the placeholders.
        deadline_s: seconds that the server may work on the statement; None: as long as it takes.
        config: path or URL that ``Config.load`` takes in another process; None: this process only.
        config_version: the version that the plan was made for, which a worker must have too.
    """

    shard: str
    sql: str
    parameters: tuple[object, ...] = field(default=(), repr=False)
    deadline_s: float | None = None
    config: str | None = None
    config_version: str = ""


@dataclass(frozen=True, slots=True)
class ShardRows:
    """The answer of one shard: its columns, and its rows in the shard's order, in blocks.

    ``blocks`` is read once, by the thread that called the runner; it may wait for the server, and
    raises the shard's error where the shard fails half way.
    """

    shard: str
    columns: tuple[ResultColumn, ...]
    blocks: Iterator[Sequence[Row]]

    @property
    def rows(self) -> Iterator[Row]:
        """Return the rows one by one."""
        return chain.from_iterable(self.blocks)


class TaskRunner(Protocol):
    """Runs tasks, all at once if it can, and gives their answers in the order of the tasks."""

    def __call__(
        self, tasks: Sequence[ShardTask], *, executor: Executor | None = None
    ) -> AbstractContextManager[Sequence[ShardRows]]:
        """Return a context manager that yields one ``ShardRows`` for each task, in their order.

        All tasks have begun, and their columns are known, when the block is entered. The caller
        reads the answers in any order and interleaved, because a merge needs the head of every
        one, so no answer may wait for another to be read to its end. Rows that are not read yet
        are held in bounded buffers. Leaving the block early, also by an error or Ctrl-C, ends the
        statements on the servers.

        Raises:
            ShardhashError: the error of the first shard that failed, its name in the message; the
                others are ended. A shard is never silently missing.
        """
        ...


_MYSQL_TYPES = {
    0: "DECIMAL", 1: "TINYINT", 2: "SMALLINT", 3: "INT", 4: "FLOAT", 5: "DOUBLE", 6: "NULL",
    7: "TIMESTAMP", 8: "BIGINT", 9: "MEDIUMINT", 10: "DATE", 11: "TIME", 12: "DATETIME",
    13: "YEAR", 14: "DATE", 15: "VARCHAR", 16: "BIT", 245: "JSON", 246: "DECIMAL", 247: "ENUM",
    248: "SET", 249: "TINYBLOB", 250: "MEDIUMBLOB", 251: "LONGBLOB", 252: "BLOB",
    253: "VARCHAR", 254: "CHAR", 255: "GEOMETRY",
}  # fmt: skip


def result_columns(
    description: Sequence[Sequence[object]] | None, backend: Backend
) -> tuple[ResultColumn, ...]:
    """Return the columns that a driver's ``cursor.description`` (PEP 249) tells of.

    Source: the column types of the client protocol,
    https://mariadb.com/kb/en/result-set-packets/#field-types.
    """
    if backend is Backend.SQLITE:
        return tuple(ResultColumn(str(column[0])) for column in description or ())
    return tuple(
        ResultColumn(
            str(column[0]),
            _MYSQL_TYPES.get(column[1], "") if isinstance(column[1], int) else "",
            column[5] if isinstance(column[5], int) else None,
        )
        for column in description or ()
    )
