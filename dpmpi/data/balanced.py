"""Rows moved between the ranks, in their order, so that every rank has about the same work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dpmpi import partition

from .dataset import Dataset
from .errors import DataError
from .held import Held, HeldReader
from .memory import in_words
from .ranks import Ranks
from .source import Source
from .sparse import make_csr
from .table import Block, Table

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BY = ("rows", "nonzeros")


def balance(dataset: Dataset, by: str, ranks: Ranks, limit: int) -> Dataset:
    """See `Dataset.balanced`. `limit` is what a rank's rows may take, in bytes."""
    told = ranks.share((by, dataset.n_local * dataset.row_bytes))
    unknown = [name for name, _ in told if name not in BY]
    if unknown:
        raise ValueError(f"balanced(by={unknown[0]!r}): rows are balanced by 'rows' or by 'nonzeros'")
    if len({name for name, _ in told}) > 1:
        names = ", ".join(name for name, _ in told)
        raise ValueError(f"balanced: every rank has to give the same by; the ranks gave {names}")
    need = max(size for _, size in told)
    if need > limit:
        raise DataError(
            f"{dataset.source}: a rank's rows take {in_words(need)}, but it may use {in_words(limit)} to balance them "
            "in memory; use more ranks or memory"
        )
    table = dataset.load()
    bounds = _by_rows(table, ranks.size) if by == "rows" else _by_nonzeros(table, ranks)
    blocks = _exchange(table, bounds, ranks)
    counts, sizes = zip(*ranks.share((sum(block.X.shape[0] for block in blocks), _size(table))), strict=True)
    held = Held(
        columns=dataset.columns,
        target=dataset.target,
        n_columns=table.X.shape[1],
        n_rows=sum(counts),
        row_bytes=-(-sum(sizes) // max(1, sum(counts))) or 1,
        empty=dataset.empty(),
        picked=dataset.picked,
    )
    start = sum(counts[: ranks.rank])
    source = Source(dataset.source, 0, dataset.format)
    reader = HeldReader(held, start, blocks)
    return Dataset(dataset.source, (source,), reader, ranks, limit, part=(start, start + counts[ranks.rank]))


def _by_rows(table: Table, size: int) -> np.ndarray:
    """Where this rank's rows go: rank r takes those of ``[bounds[r], bounds[r + 1])``, counted from its first."""
    starts = [partition.block(table.n_rows, size, rank)[0] for rank in range(size)]
    return np.clip(np.array([*starts, table.n_rows]) - table.start, 0, table.X.shape[0])


def _by_nonzeros(table: Table, ranks: Ranks) -> np.ndarray:
    """As `_by_rows`, for about as many stored entries on every rank: a row goes where its middle entry falls."""
    X: Any = table.X
    if not hasattr(X, "indptr"):
        return _by_rows(table, ranks.size)  # every row stores as many
    counts = ranks.share(X.nnz)
    total = sum(counts)
    if not total:
        return _by_rows(table, ranks.size)
    in_front = sum(counts[: ranks.rank]) + X.indptr.astype(np.int64)
    # Twice the number of entries in front of each row's middle, in units of a rank's even share.
    owner = np.minimum((in_front[:-1] + in_front[1:]) * ranks.size // (2 * total), ranks.size - 1)
    return np.searchsorted(owner, np.arange(ranks.size + 1))


def _exchange(table: Table, bounds: np.ndarray, ranks: Ranks) -> list[Block]:
    """Send the rows to their owners; return those that come in, in order. Dense ones are not copied on the way."""
    X = _exchange_csr(table.X, bounds, ranks) if hasattr(table.X, "indptr") else _send(table.X, bounds, ranks)
    y, weight = (
        [None] * ranks.size if part is None else _send(part, bounds, ranks) for part in (table.y, table.sample_weight)
    )
    return [Block(*parts) for parts in zip(X, y, weight, strict=True) if parts[0].shape[0]]


def _exchange_csr(X: csr_array, bounds: np.ndarray, ranks: Ranks) -> list[csr_array]:
    dtype = np.result_type(*ranks.share(X.dtype))
    index = np.int32 if X.shape[1] < 2**31 else np.int64  # indptr's size may make that of a rank larger
    entries = X.indptr[bounds]
    lengths = _send(np.diff(X.indptr).astype(np.int64), bounds, ranks)
    indices = _send(X.indices.astype(index, copy=False), entries, ranks)
    values = _send(X.data.astype(dtype, copy=False), entries, ranks)
    return [
        make_csr(own, columns, np.cumsum([0, *counts]), (len(counts), X.shape[1]))
        for own, columns, counts in zip(values, indices, lengths, strict=True)
    ]


def _send(array: np.ndarray, bounds: np.ndarray, ranks: Ranks) -> Sequence[np.ndarray]:
    return ranks.alltoall(np.split(array[: bounds[-1]], bounds[1:-1]))


def _size(table: Table) -> int:
    X: Any = table.X
    parts = [X.data, X.indices, X.indptr] if hasattr(X, "indptr") else [X]
    return sum(part.nbytes for part in (*parts, table.y, table.sample_weight) if part is not None)
