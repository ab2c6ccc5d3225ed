"""Sparse rows from their three arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def make_csr(values: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """A csr_array that shares the arrays where it can.

    scipy gives `indices` and `indptr` one dtype, the larger: both become int32 where they fit, to save half the memory.
    """
    from scipy.sparse import csr_array

    index = np.int32 if max(*shape, len(values)) < 2**31 else np.int64
    return csr_array((values, indices.astype(index, copy=False), indptr.astype(index, copy=False)), shape=shape)


def stack(parts: Sequence[csr_array]) -> csr_array:
    """The rows of `parts`, one below the other, as wide as the widest."""
    width = max(part.shape[1] for part in parts)
    ends = np.cumsum([0, *(part.nnz for part in parts)])
    indptr = [part.indptr[1:].astype(np.int64) + end for part, end in zip(parts, ends[:-1], strict=True)]
    return make_csr(
        np.concatenate([part.data for part in parts]),
        np.concatenate([part.indices for part in parts]),
        np.concatenate([np.zeros(1, np.int64), *indptr]),
        (sum(part.shape[0] for part in parts), width),
    )
