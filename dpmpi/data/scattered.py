"""Rows of files that only rank 0 sees: it reads them block by block and sends each block to the ranks that own it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dpmpi import partition

from .dataset import Dataset
from .errors import DataError
from .ranks import Ranks
from .reader import Piece
from .source import Source
from .table import Block, Frame, take


class HeldReader:
    """A rank's rows in its memory; see `reader.Reader`. `columns`, `target`, `n_columns`, `row_bytes` are root's."""

    text_lines = None

    def __init__(self, told: dict[str, Any], start: int, blocks: Sequence[Block | Frame]) -> None:
        self.columns: tuple[str, ...] | None = told["columns"]
        self.target: str | None = told["target"]
        self.n_columns: int = told["n_columns"]
        self.row_bytes: int = told["row_bytes"]
        self.extents = [told["n_rows"]]
        self._empty: Block | Frame = told["empty"]
        self._blocks = blocks
        self._starts = start + np.cumsum([0, *(block.X.shape[0] for block in blocks)])

    def cut(self, file: int, start: int, stop: int, size: int) -> list[Piece]:
        """The blocks as they came."""
        bounds = self._starts.tolist()
        return [Piece(file, low, high, high - low, low - start) for low, high in pairwise(bounds)]

    def read(self, pieces: Sequence[Piece]) -> Iterator[Block | Frame]:
        """The blocks, or parts of them."""
        for piece in pieces:
            number = int(np.searchsorted(self._starts, piece.start, "right")) - 1
            first = int(self._starts[number])
            yield take(self._blocks[number], slice(piece.start - first, piece.stop - first))

    def empty(self) -> Block | Frame:
        """No rows."""
        return self._empty


def open_scattered(path: str, ranks: Ranks, limit: int, open_alone: Callable[[], Dataset]) -> Dataset:
    """The rows that rank 0 opens with `open_alone`, sent to the ranks, each of which holds its own; collective.

    Rank 0 never holds more than its own rows and a few blocks. Raises DataError, the same on every rank: as reading;
    when a rank's rows take more than its `limit`.
    """
    told: dict[str, Any] | None = None
    with ranks.together():
        if ranks.rank == 0:
            whole = open_alone()
            whole.find_width()
            told = {
                **{name: getattr(whole, name) for name in ("columns", "target", "n_columns", "n_rows", "format")},
                "row_bytes": whole.row_bytes,
                "n_blocks": whole.n_blocks,
                "empty": whole.empty(),
            }
    told = ranks.share(told)[0]
    assert told is not None  # rank 0 came here only with it
    low, high = partition.block(told["n_rows"], ranks.size, ranks.rank)
    need = max(ranks.share((high - low) * told["row_bytes"]))
    if need > limit:
        raise DataError(
            f"{path}: a rank's rows take {need >> 20} MiB, but it may use {limit >> 20} MiB; use more ranks or memory"
        )
    blocks = iter(whole.blocks()) if ranks.rank == 0 else iter(())
    row, held = 0, []
    for _ in range(told["n_blocks"]):
        parts = [np.empty(0, np.uint8)] * ranks.size
        with ranks.together():
            if ranks.rank == 0:
                block = next(blocks)
                stop = row + block.X.shape[0]
                for rank in range(ranks.size):
                    first, last = (min(max(k, row), stop) for k in partition.block(told["n_rows"], ranks.size, rank))
                    if first < last:
                        parts[rank] = np.frombuffer(
                            pickle.dumps(take(block, slice(first - row, last - row)), 5), np.uint8
                        )
                row = stop
        (received, *_) = ranks.alltoall(parts)
        if len(received):
            held.append(pickle.loads(received.tobytes()))
    source = Source(path, 0, told["format"])
    return Dataset(path, (source,), HeldReader(told, low, held), ranks, limit)
