"""Sparse rows from their three arrays."""

from __future__ import annotations

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
