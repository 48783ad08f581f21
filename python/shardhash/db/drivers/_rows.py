"""Rows of a MySQL or MariaDB server, read by the compiled core in place of PyMySQL's own loop.

Only packets that are plainly rows are read here. All else of the protocol is left to PyMySQL, which
finds the bytes that were not used where it looks for its next ones: the end of an answer, errors,
packets of 16 MiB and more, a connection that is lost.
"""

from collections.abc import Callable
from socket import socket
from typing import IO, TYPE_CHECKING, Any

from pymysql import err
from pymysql.constants import CR
from pymysql.cursors import SSCursor

from shardhash._core import RowReader

if TYPE_CHECKING:
    from pymysql.connections import Connection

__all__ = ["RowCursor"]

_READ_BYTES = 256 * 1024
_HEADER_BYTES = 4  # three of the packet's length, and its number
_UTF8 = frozenset({"utf8", "utf-8", "utf_8"})
_ASCII = "ascii"


class RowCursor(SSCursor):  # type: ignore[misc]
    """A cursor that streams rows, with PyMySQL's values for them at a fraction of its time.

    Over TLS, and where a value has an encoding that the core does not read, it is PyMySQL's own.
    """

    _ahead: "_Ahead | None" = None
    _reader: RowReader | None = None

    def execute(self, query: Any, args: Any = None) -> Any:
        """Run a statement; its rows come from ``fetchmany``."""
        found = super().execute(query, args)
        connection, result = self.connection, self._result
        kinds = _kinds(result) if result.unbuffered_active else None
        if kinds is not None and type(connection._sock) is socket:  # noqa: SLF001
            self._reader = RowReader(kinds)
            self._ahead = connection._rfile = _Ahead(connection._rfile)  # noqa: SLF001
        return found

    def fetchmany(self, size: int | None = None) -> Any:
        """Return up to `size` rows; fewer, and the answer has no more."""
        ahead, reader = self._ahead, self._reader
        if ahead is None or reader is None or not self._result.unbuffered_active:
            return super().fetchmany(size)
        try:
            rows = self._rows_ahead(ahead, reader, self.arraysize if size is None else size)
        except BaseException:
            if not self.connection.open:
                self._result.unbuffered_active = False  # there is nothing left to be read
            raise
        self.rownumber += len(rows)
        return rows or ()

    def _rows_ahead(self, ahead: "_Ahead", reader: RowReader, most: int) -> list[Any]:
        rows: list[Any] = []
        while len(rows) < most:
            found, is_other = ahead.rows(self.connection, reader, most - len(rows))
            rows += found
            if is_other:
                row = self.read_next()
                if row is None:
                    self.warning_count = self._result.warning_count
                    break
                rows.append(row)
        return rows

    def close(self) -> None:
        """Read the answer to its end, and give the connection's stream back as it was."""
        connection = self.connection
        try:
            super().close()
        finally:
            self._leave(connection)

    def leave(self) -> None:
        """Give the connection's stream back at once; where rows are left, the connection ends."""
        self._leave(self.connection)

    def _leave(self, connection: "Connection[Any] | None") -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and connection is not None:
            ahead.leave(connection)


class _Ahead:
    """A connection's stream with what was read from it and not used yet."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._data = b""
        self._place = 0

    def rows(
        self, connection: "Connection[Any]", reader: RowReader, most: int
    ) -> tuple[list[tuple[object, ...]], bool]:
        """Return up to `most` rows, at least one unless what follows is not for this reader."""
        sequence = connection._next_seq_id  # noqa: SLF001
        while True:
            rows, self._place, sequence, is_other = reader.read(
                self._data, self._place, sequence, most
            )
            connection._next_seq_id = sequence  # noqa: SLF001
            if rows or is_other or not self._fill(connection):
                return rows, is_other or not rows

    def read(self, size: int) -> bytes:
        """Return `size` bytes, as PyMySQL asks for them; fewer at the stream's end."""
        found = self._data[self._place : self._place + size]
        self._place += len(found)
        return found if len(found) == size else found + self._stream.read(size - len(found))

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def leave(self, connection: "Connection[Any]") -> None:
        """Give the stream back; a connection with bytes that nobody asked for is closed."""
        if getattr(connection, "_rfile", None) is not self:
            return
        connection._rfile = self._stream  # noqa: SLF001
        if self._place < len(self._data):
            connection._force_close()  # noqa: SLF001

    def _fill(self, connection: "Connection[Any]") -> bool:
        """Read on, to the end of the packet whose length is known; False at the stream's end.

        Of that end PyMySQL then makes its error. The pieces of a packet are joined once.
        """
        pieces = [self._data[self._place :]]
        missing = _missing_bytes(pieces[0])
        while missing > 0:
            more = self._piece(connection)
            if not more:
                break
            pieces.append(more)
            missing -= len(more)
        self._data = b"".join(pieces)
        self._place = 0
        return len(pieces) > 1

    def _piece(self, connection: "Connection[Any]") -> bytes:
        try:
            return self._stream.read1(_READ_BYTES)  # type: ignore[attr-defined, no-any-return]
        except OSError as error:
            connection._force_close()  # noqa: SLF001
            raise err.OperationalError(
                CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query ({error})"
            ) from None
        except BaseException:
            connection._force_close()  # noqa: SLF001  half a packet may be lost
            raise


def _missing_bytes(begun: bytes) -> int:
    """Return how much is missing of a packet; where its length is not known, 1."""
    if len(begun) < _HEADER_BYTES:
        return 1
    return max(1, _HEADER_BYTES + int.from_bytes(begun[:3], "little") - len(begun))


def _kinds(result: Any) -> "list[Callable[..., object]] | None":
    """Return how each field becomes a value, for the core; None where it cannot be told."""
    kinds: list[Callable[..., object]] = []
    for encoding, converter in getattr(result, "converters", [(None, int)]):
        if encoding == _ASCII and converter is not None:
            kinds.append(converter)
        elif converter is not None or encoding not in (None, *_UTF8):
            return None
        else:
            kinds.append(bytes if encoding is None else str)
    return kinds
