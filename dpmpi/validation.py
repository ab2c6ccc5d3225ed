"""Rows held out for validation, chosen by a hash of their global number."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from .data import Dataset
from .data.batches import check_seed
from .engine import Engine
from .kernels.random_bits import mix, unit

Rows = TypeVar("Rows", bound=Dataset | tuple[Any, ...])
_SALT = 0x76616C6964  # other bits than those that make the batches


def split(engine: Engine, rows: Rows, validation: float = 0.2, seed: int = 0) -> tuple[Rows, Rows]:
    """Split rows into those to train on and those to validate with. Collective.

    Whether a row is held out depends on its global number and `seed` alone: not on the number of ranks, nor on
    streaming; about a share `validation` is. Within the parts rows keep their order and are numbered anew.

    Args:
        engine: the ranks.
        rows: a Dataset, or a tuple of arrays (or None) aligned by rows, this rank's shards.
        validation: the share to hold out, above 0 and below 1.
        seed: 0 or more, below 2^63.

    Returns:
        (training, validation), each as `rows` is. Datasets read the same files again, and keep a byte a row in mind.

    Raises (on every rank): ValueError for bad arguments, or when a part would be without rows.
    """
    with engine.comm.together(f"split({validation}, {seed})"):
        if not 0 < validation < 1:
            raise ValueError(f"validation must be a share above 0 and below 1, not {validation}")
        check_seed(seed)
        count = rows.n_local if isinstance(rows, Dataset) else count_rows(rows)
    counts = engine.comm.share(count)
    start = sum(counts[: engine.rank])
    held = unit(mix(mix(np.arange(start, start + count)) ^ mix(mix(seed) ^ np.uint64(_SALT)))) < validation
    n_held = sum(engine.comm.share(int(np.count_nonzero(held))))
    if n_held in (0, sum(counts)):
        raise ValueError(
            f"validation={validation} of {sum(counts)} rows holds out {n_held}: too few rows to split; "
            "take another share or seed"
        )
    return select(rows, ~held), select(rows, held)


def select(rows: Rows, chosen: np.ndarray) -> Rows:
    """The rows of this rank for which `chosen` (n,) is true. Collective for a Dataset."""
    if isinstance(rows, Dataset):
        return rows.select(chosen)  # type: ignore[return-value]
    return tuple(None if part is None else part[chosen] for part in rows)  # type: ignore[return-value]


def count_rows(arrays: tuple[Any, ...]) -> int:
    """How many rows the arrays have, of which some may be None. Raises ValueError unless all have as many."""
    counts = {array.shape[0] for array in arrays if array is not None}
    if not counts:
        raise ValueError("there must be an array among the rows, not None alone")
    if len(counts) != 1:
        raise ValueError(f"the arrays must have the same number of rows, but have {sorted(counts)}")
    return int(counts.pop())
