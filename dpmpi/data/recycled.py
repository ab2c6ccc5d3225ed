"""Memory for blocks of rows that is used again: to touch fresh memory costs as much as to read into it."""

from __future__ import annotations

import sys

import numpy as np

_MOST = 4  # arrays that are kept: one being filled, one that waits, one in work, one to spare


class Recycled:
    """Arrays of a number of rows, each handed out again when nothing refers to it or a view of it any more."""

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []

    def empty(self, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        """As `numpy.empty`, for rows of the same width and dtype each time."""
        n, width = shape
        for number, array in enumerate(self._arrays):
            if array.shape[0] >= n and _held(self._arrays, number) == _IDLE:
                return array[:n]
        array = np.empty((n, width), dtype)
        if len(self._arrays) < _MOST:
            self._arrays.append(array)
        return array[:n]


def _held(arrays: list[np.ndarray], number: int) -> int:
    return sys.getrefcount(arrays[number])


def _idle() -> int:
    """What `empty` finds for an array that only its list holds."""
    arrays = [np.empty((1, 1))]
    for number, array in enumerate(arrays):
        if array.shape[0] >= 1:
            return _held(arrays, number)
    raise AssertionError


_IDLE = _idle()
