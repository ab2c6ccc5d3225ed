"""All rows of a rank in one pass over its text, which is parsed where it is cut, before anyone has counted its rows.

This is for files of which nothing is wrong: of others it tells only that they are to be read by a Dataset, which knows
the number of every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dpmpi import partition

from .errors import BadRow
from .ranks import Ranks
from .reader import parts
from .table import Block, Table

if TYPE_CHECKING:
    from .delimited import DelimitedReader

# Text that is parsed while it is still in the cache of a processor.
_PIECE_BYTES = 1 << 19
# Rows that there is room for, beside those that the first piece lets expect.
_SPARE = 1.02


class Rows:
    """Rows that become more: the arrays of a Block, with room behind them.

    Attributes: X float64 (room, d); others, float64 (room,), y and sample_weight where there are such; n, the rows that
    are read.
    """

    def __init__(self, empty: Block, n_bytes: int) -> None:
        """No rows yet, of about `n_bytes` of text."""
        self._has_y, self._has_weight = empty.y is not None, empty.sample_weight is not None
        self._bytes = n_bytes
        self.n = 0
        self.X = np.empty((0, empty.X.shape[1]))
        self.others = [np.empty(0) for _ in range(self._has_y + self._has_weight)]

    def make_room(self, n_rows: int, n_bytes: int) -> None:
        """Make room for `n_rows` more, and at first for as many as the text has if they take up `n_bytes` of it."""
        if self.n + n_rows <= len(self.X):
            return
        if len(self.X):
            self._resize(self.n + n_rows + len(self.X) // 4)
            return
        room = int(_SPARE * n_rows * (1 + self._bytes / n_bytes))
        self.X, self.others = np.empty((room, self.X.shape[1])), [np.empty(room) for _ in self.others]

    def put(self, block: Block) -> None:
        """Put rows where there is room for them."""
        stop = self.n + block.X.shape[0]
        self.X[self.n : stop] = block.X
        vectors = [vector for vector in (block.y, block.sample_weight) if vector is not None]
        for other, vector in zip(self.others, vectors, strict=True):
            other[self.n : stop] = vector
        self.n = stop

    def block(self) -> Block:
        """All rows; no more can be put behind them."""
        self._resize(self.n)
        return Block(self.X, self.others[0] if self._has_y else None, self.others[-1] if self._has_weight else None)

    def _resize(self, room: int) -> None:
        for array in (self.X, *self.others):
            array.resize((room, *array.shape[1:]), refcheck=False)  # no second copy is held


def read_at_once(path: str, reader: DelimitedReader, ranks: Ranks) -> Table | None:
    """This rank's rows, or None on every rank where there are none, or something is wrong with one; collective.

    Raises DataError, the same on every rank, for a file that cannot be read.
    """
    start, stop = partition.block(sum(reader.extents), ranks.size, ranks.rank)
    empty, good = reader.empty(), True
    assert isinstance(empty, Block)  # read() takes no columns of text
    rows = Rows(empty, stop - start)
    with ranks.together():
        try:
            for file, low, high in parts(reader.extents, start, stop):
                reader.append(file, low, high, _PIECE_BYTES, rows)
            block = rows.block()
            good = block.sample_weight is None or not (block.sample_weight < 0).any()
        except BadRow:
            good = False
    told = ranks.share((good, rows.n))
    counts: Sequence[int] = [n for _, n in told]
    if not all(ok for ok, _ in told) or not sum(counts):
        return None
    return Table(*block, reader.columns, reader.target, sum(counts[: ranks.rank]), sum(counts), path)
