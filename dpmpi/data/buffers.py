"""Memory that is read into again and again: to touch fresh pages costs about half as much as reading into them."""

from __future__ import annotations

import math

import numpy as np


class Buffers:
    """Arrays whose memory is used for others as soon as nobody holds them, or a view of them, any more."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array of any content, C-contiguous."""
        size = math.prod(shape) * dtype.itemsize
        memory = self._free.pop() if self._free else np.empty(size, np.uint8)
        if memory.nbytes < size:
            memory = np.empty(size, np.uint8)
        return np.asarray(_Lent(memory, self._free))[:size].view(dtype).reshape(shape)


class _Lent:
    """What the arrays in some memory have as their base; it gives the memory back when the last of them is gone."""

    def __init__(self, memory: np.ndarray, free: list[np.ndarray]) -> None:
        self.__array_interface__ = memory.__array_interface__
        self._memory, self._free = memory, free

    def __del__(self) -> None:
        self._free.append(self._memory)
