"""What a reader needs of the ranks that read together. Communicator has it; this package knows no MPI."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np


class Ranks(Protocol):
    """The ranks that read one file together. Every rank makes the same calls in the same order."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def share(self, value: Any, /) -> list[Any]:
        """Gather a small Python object from every rank, in rank order, to every rank."""
        ...

    def alltoall(self, parts: Sequence[np.ndarray], /) -> list[np.ndarray]:
        """Send ``parts[r]``, arrays of one dtype, to every rank r; return what each rank sent, in rank order."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """Around local work that may fail: an exception inside it on any rank is raised on every rank."""
        ...


class OneRank:
    """A process on its own."""

    rank = 0
    size = 1

    def share(self, value: Any, /) -> list[Any]:
        return [value]

    def alltoall(self, parts: Sequence[np.ndarray], /) -> list[np.ndarray]:
        return list(parts)

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()
