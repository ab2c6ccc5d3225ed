"""Rows of files that only rank 0 sees: it reads them block by block and sends each block to the ranks that own it."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np

from dpmpi import partition

from .dataset import Dataset
from .errors import DataError
from .held import Held, HeldReader
from .memory import in_words
from .ranks import Ranks
from .source import Source
from .table import take


def open_scattered(path: str, ranks: Ranks, limit: int, open_alone: Callable[[], Dataset]) -> Dataset:
    """The rows that rank 0 opens with `open_alone`, sent to the ranks, each of which holds its own; collective.

    Rank 0 never holds more than its own rows and a few blocks. Raises DataError, the same on every rank: as reading;
    when a rank's rows take more than its `limit`.
    """
    told: tuple[Held, str, int] | None = None
    with ranks.together():
        if ranks.rank == 0:
            whole = open_alone()
            whole.find_width()
            assert whole.n_columns is not None  # found just now
            told = (
                Held(
                    columns=whole.columns,
                    target=whole.target,
                    n_columns=whole.n_columns,
                    n_rows=whole.n_rows,
                    row_bytes=whole.row_bytes,
                    empty=whole.empty(),
                    picked=whole.picked,
                ),
                whole.format,
                whole.n_blocks,
            )
    told = ranks.share(told)[0]
    assert told is not None  # rank 0 came here only with it
    held, format, n_blocks = told
    low, high = partition.block(held.n_rows, ranks.size, ranks.rank)
    need = max(ranks.share((high - low) * held.row_bytes))
    if need > limit:
        raise DataError(
            f"{path}: a rank's rows take {in_words(need)}, but it may use {in_words(limit)}; use more ranks or memory"
        )
    blocks = iter(whole.blocks()) if ranks.rank == 0 else iter(())
    row, mine = 0, []
    for _ in range(n_blocks):
        parts = [np.empty(0, np.uint8)] * ranks.size
        with ranks.together():
            if ranks.rank == 0:
                block = next(blocks)
                stop = row + block.X.shape[0]
                for rank in range(ranks.size):
                    first, last = (min(max(k, row), stop) for k in partition.block(held.n_rows, ranks.size, rank))
                    if first < last:
                        parts[rank] = np.frombuffer(
                            pickle.dumps(take(block, slice(first - row, last - row)), 5), np.uint8
                        )
                row = stop
        (received, *_) = ranks.alltoall(parts)
        if len(received):
            mine.append(pickle.loads(received.tobytes()))
    source = Source(path, 0, format)
    return Dataset(path, (source,), HeldReader(held, low, mine), ranks, limit)
