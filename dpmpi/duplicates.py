"""Rows that occur more than once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .data import Block, Dataset, Frame
from .engine import Engine
from .kernels.random_bits import mix
from .validation import Rows, count_rows, select

_AT_ONCE = 1 << 16  # rows of an array
_LANES = (0x243F6A8885A308D3, 0x13198A2E03707344)  # two hashes of 64 bits, started differently


def drop_duplicates(engine: Engine, rows: Rows) -> Rows:
    """Drop the rows that equal one before them in every column. Collective.

    Of equal rows that with the lowest global number stays, on whatever rank; the same rows stay for any number of
    ranks. Rows are told apart by fingerprints of 128 bits: all that was read counts, also texts, targets and weights;
    0 equals -0, and a missing value a missing value. Arrays of integers are told apart by every digit, all else, also
    the numbers of a Dataset, as float64. Each rank compares the fingerprints that a hash assigns to it, so
    none holds more than its share: about 50 bytes a row for the time of the call.

    Args:
        engine: the ranks.
        rows: a Dataset, or a tuple of arrays (or None) aligned by rows, this rank's shards.

    Returns:
        As `rows`, numbered anew. A Dataset keeps a byte a row in mind.

    Raises (on every rank): ValueError for arrays of unequal lengths, or none; what reading raises.
    """
    with engine.comm.together("drop_duplicates"), engine.timer("read"):
        prints = np.concatenate([np.zeros((0, 2), np.uint64), *map(fingerprints, _blocks(rows))])
    count = len(prints)
    starts = np.cumsum([0, *engine.comm.share(count)])[:-1]
    start = int(starts[engine.rank])
    numbered = np.column_stack([prints, np.arange(start, start + count, dtype=np.uint64)])
    with engine.timer("communicate"):
        mine = np.concatenate(engine.comm.alltoall(_by_rank(engine, numbered, prints[:, 0] % np.uint64(engine.size))))
    later = _later(mine)
    owner = np.searchsorted(starts, later, "right") - 1
    with engine.timer("communicate"):
        dropped = np.concatenate(engine.comm.alltoall(_by_rank(engine, later, owner)))
    chosen = np.ones(count, bool)
    chosen[dropped - start] = False
    return select(rows, chosen)


def _by_rank(engine: Engine, values: np.ndarray, rank: np.ndarray) -> list[np.ndarray]:
    """The rows of `values` for each rank."""
    order = np.argsort(rank, kind="stable")
    ends = np.cumsum(np.bincount(rank.astype(np.intp), minlength=engine.size))
    return np.split(values[order], ends[:-1])


def _later(numbered: np.ndarray) -> np.ndarray:
    """The numbers (int64) of rows whose fingerprint one with a lower number has; `numbered` is (hash, hash, number)."""
    numbered = numbered[np.lexsort(numbered.T[::-1])]
    same = (numbered[1:, :2] == numbered[:-1, :2]).all(axis=1)
    return numbered[1:, 2][same].astype(np.int64)


def _blocks(rows: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(rows, Dataset):
        yield from rows.blocks()
        return
    parts = [part for part in rows if part is not None]
    for low in range(0, count_rows(rows), _AT_ONCE):
        yield tuple(part[low : low + _AT_ONCE] for part in parts)


def fingerprints(block: Block | Frame | tuple[Any, ...]) -> np.ndarray:
    """Two 64-bit hashes of each row of arrays aligned by rows: equal for equal rows. Returns uint64 (n, 2)."""
    parts: list[Any] = [part for part in block if part is not None and not isinstance(part, dict)]
    out = np.empty((parts[0].shape[0], 2), np.uint64)
    for lane, salt in enumerate(_LANES):
        h = np.full(len(out), salt, np.uint64)
        for part in parts:
            if hasattr(part, "indptr"):
                h = mix(h ^ _sparse(part, salt))
            else:
                for column in part.reshape(len(part), math.prod(part.shape[1:])).T:
                    h = mix(h ^ _bits(column))
        for codes, values in block.text.values() if isinstance(block, Frame) else ():
            h = mix(h ^ _texts(values, lane)[codes + 1])
        out[:, lane] = h
    return out


def _bits(values: np.ndarray) -> np.ndarray:
    """64 bits of each number, equal for equal ones: of integers their own, else those of float64, all NaN alike."""
    if values.dtype.kind in "bu":
        return values.astype(np.uint64)
    if values.dtype.kind == "i":
        return values.astype(np.int64).view(np.uint64)
    same = np.ascontiguousarray(values, np.float64) + 0.0
    same[np.isnan(same)] = np.nan
    return same.view(np.uint64)


def _sparse(X: Any, salt: int) -> np.ndarray:
    """A hash of the non-zero entries of each row, in whatever order they are stored."""
    entries = mix(mix(X.indices.astype(np.uint64) ^ np.uint64(salt)) ^ _bits(X.data))
    entries[X.data == 0] = 0
    with np.errstate(over="ignore"):
        ends = np.concatenate([np.zeros(1, np.uint64), np.cumsum(entries, dtype=np.uint64)])
        return ends[X.indptr[1:]] - ends[X.indptr[:-1]]


def _texts(values: tuple[str, ...], lane: int) -> np.ndarray:
    """Hashes of a missing text and of each of `values`."""
    digests = [bytes(16), *(hashlib.blake2b(value.encode(), digest_size=16).digest() for value in values)]
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)[:, lane].astype(np.uint64)
