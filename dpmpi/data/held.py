"""Rows in a rank's memory, read as if they came from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .columns import Picked
from .reader import Piece
from .table import Block, Frame, take


class Held(NamedTuple):
    """What a reader of held rows tells; as in `reader.Reader`, the same on every rank. `n_rows`: of all ranks."""

    columns: tuple[str, ...] | None
    target: str | None
    n_columns: int
    n_rows: int
    row_bytes: int
    empty: Block | Frame
    picked: Picked | None


class HeldReader:
    """A rank's rows, of which the first has the global number `start`; see `reader.Reader`."""

    text_lines = None

    def __init__(self, held: Held, start: int, blocks: Sequence[Block | Frame]) -> None:
        self.columns, self.target, self.n_columns = held.columns, held.target, held.n_columns
        self.picked, self.row_bytes = held.picked, held.row_bytes
        self.extents = [held.n_rows]
        self._empty = held.empty
        self._blocks = blocks
        self._starts = start + np.cumsum([0, *(block.X.shape[0] for block in blocks)])

    def cut(self, file: int, start: int, stop: int, size: int) -> list[Piece]:
        """The blocks as they are held, large ones in parts."""
        step = max(1, size // self.row_bytes)
        return [
            Piece(file, low, min(low + step, end), min(low + step, end) - low, low - start)
            for begin, end in pairwise(self._starts.tolist())
            for low in range(begin, end, step)
        ]

    def read(self, pieces: Sequence[Piece]) -> Iterator[Block | Frame]:
        """The blocks, or parts of them."""
        for piece in pieces:
            number = int(np.searchsorted(self._starts, piece.start, "right")) - 1
            first = int(self._starts[number])
            yield take(self._blocks[number], slice(piece.start - first, piece.stop - first))

    def empty(self) -> Block | Frame:
        """No rows."""
        return self._empty
