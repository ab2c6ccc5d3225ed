"""What a format gives the Dataset: how its files are cut into pieces, and what rows a piece holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from .columns import Picked
from .table import Block, Frame


class Piece(NamedTuple):
    """A run of rows of one file, small enough to be held several times over.

    file : number of the file.  start, stop : its bytes (text) or rows (everything else).
    n_rows : rows in it.  row, line : rows and lines in front of it, in its file.  n_lines : newlines in it (text).
    """

    file: int
    start: int
    stop: int
    n_rows: int
    row: int
    line: int = 0
    n_lines: int = 0


def parts(extents: Sequence[int], start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The parts ``(file, low, high)`` of files that lie in ``[start, stop)`` of all of them, laid end to end."""
    offset = 0
    for file, extent in enumerate(extents):
        low, high = max(start - offset, 0), min(stop - offset, extent)
        if low < high:
            yield file, low, high
        offset += extent


class Reader(Protocol):
    """Files of one format, opened as one and checked; the same on every rank.

    columns : names of X's columns, or None.  target : name of what becomes y, or None.
    picked : the numbers of X's columns where they are picked by number alone (arrays), else None.
    n_columns : columns of X, or None where only all rows together tell (libsvm).
    extents : what each file holds to be shared out over the ranks, in rows or in bytes.
    row_bytes : about how many bytes a row takes in memory, None where that is told by the file's bytes (libsvm).
    text_lines : lines in front of the rows of each file; None where rows are no lines.
    """

    @property
    def columns(self) -> tuple[str, ...] | None: ...

    @property
    def picked(self) -> Picked | None: ...

    @property
    def target(self) -> str | None: ...

    @property
    def n_columns(self) -> int | None: ...

    @property
    def extents(self) -> list[int]: ...

    @property
    def row_bytes(self) -> int | None: ...

    @property
    def text_lines(self) -> list[int] | None: ...

    def cut(self, file: int, start: int, stop: int, size: int) -> list[Piece]:
        """Cut ``[start, stop)`` of a file's extent into pieces of about `size` bytes; local.

        Rows and lines in front of a piece are counted from `start`. Raises DataError.
        """
        ...

    def read(self, pieces: Sequence[Piece]) -> Iterator[Block | Frame]:
        """Read pieces of one file, in its order; local. Raises DataError, or BadRow counted from its piece.

        At the end DataError too, where the file has changed since it was opened.
        """
        ...

    def empty(self) -> Block | Frame:
        """A block of no rows, of the right widths and dtypes."""
        ...
