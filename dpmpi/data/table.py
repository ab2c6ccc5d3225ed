"""A rank's rows in memory: as blocks, and joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.sparse import csr_array


# A text in memory, besides its characters: its number, and the Python object where no other row of a block has it.
TEXT_BYTES = 64


class Block(NamedTuple):
    """A run of rows: the row-aligned arrays that a kernel takes."""

    X: np.ndarray | csr_array
    y: np.ndarray | None
    sample_weight: np.ndarray | None


class Frame(NamedTuple):
    """A run of rows that also has columns of text, by name: each row's number among the column's different texts.

    The numbers are int32 (n,), -1 where the text is missing.
    """

    X: np.ndarray
    y: np.ndarray | None
    sample_weight: np.ndarray | None
    text: dict[str, tuple[np.ndarray, tuple[str, ...]]]


def take(block: Any, rows: np.ndarray | slice) -> Any:
    """Some of the rows of a Block or Frame."""
    some = Block(*(None if part is None else part[rows] for part in block[:3]))
    if not isinstance(block, Frame):
        return some
    return Frame(*some, {name: (numbers[rows], texts) for name, (numbers, texts) in block.text.items()})


def codes(column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    """A dictionary column as int32 codes, -1 where it is null or an empty text, and the texts they stand for."""
    chunks = column.unify_dictionaries().chunks
    if not chunks:
        return np.empty(0, np.int32), ()
    numbers = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in chunks]
    found, texts = np.concatenate(numbers).astype(np.int32, copy=False), chunks[0].dictionary.to_pylist()
    if "" in texts:
        empty = texts.index("")
        found = np.where(found == empty, -1, found - (found > empty)).astype(np.int32, copy=False)
        texts.remove("")
    return found, tuple(texts)


@dataclass(frozen=True, eq=False)
class Table:
    """This rank's rows of a data set, every number finite.

    X : float64 or float32 (n, d), C-contiguous, or a scipy.sparse.csr_array; float32 only where the file holds it.
    y, sample_weight : float64 (n,) or None. Weights are not negative.
    columns : names of X's columns, or None where the format has none (arrays, libsvm).
    target : name of the column or array that became y, or None.
    start : global number, from 0, of this rank's first row.  n_rows : rows on all ranks together.
    source : the file's path.
    """

    X: np.ndarray | csr_array
    y: np.ndarray | None
    sample_weight: np.ndarray | None
    columns: tuple[str, ...] | None
    target: str | None
    start: int
    n_rows: int
    source: str


def join(blocks: Iterator[Block], empty: Block, n_rows: int) -> Block:
    """All rows as one block. Dense rows are put in place as they come, so that no second copy of them is held."""
    if hasattr(empty.X, "indptr"):
        return _join_sparse([empty, *blocks])
    whole = Block(*(None if part is None else np.empty((n_rows, *part.shape[1:]), part.dtype) for part in empty))
    row = 0
    for block in blocks:
        stop = row + block.X.shape[0]
        for target, part in zip(whole, block, strict=True):
            if target is not None:
                target[row:stop] = part
        row = stop
    return whole


def _join_sparse(blocks: Sequence[Block]) -> Block:
    from .sparse import stack

    y, weight = (
        None if getattr(blocks[0], name) is None else np.concatenate([getattr(block, name) for block in blocks])
        for name in ("y", "sample_weight")
    )
    return Block(stack([block.X for block in blocks]), y, weight)
