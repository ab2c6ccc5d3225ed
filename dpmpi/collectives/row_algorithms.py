"""Reduce-scatter, all-gather, broadcast and all-to-all of prepared arrays: in shared memory, or by MPI's messages.

In shared memory (`Node...`) each rank has put its values into its part before; the ranks then read one another's.
``meet()`` is called when a rank has read all it needs: nobody may write again before everyone has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..kernels import reduce
from .algorithm import Algorithm, AtOnce
from .mpi import MPI

PIECE_BYTES = 64 << 20  # of a message, below every MPI's limit
STEP_BYTES = 64 << 10  # combined at a time, so that a result is read again from the cache

Meet = Callable[[], None]


class NodeReduceScatter(AtOnce):
    """Combine ``sources[r]`` of every rank r, 1-D arrays of one length, in rank order into `out` of that length."""

    def __init__(self, sources: Sequence[np.ndarray], out: np.ndarray, loop: int, meet: Meet) -> None:
        self._sources, self._out, self._loop, self._meet = sources, out, loop, meet

    def run(self) -> None:
        """Run from start to end."""
        step = STEP_BYTES // self._out.itemsize
        for low in range(0, len(self._out), step):
            out = self._out[low : low + step]
            out[:] = self._sources[0][low : low + step]
            for source in self._sources[1:]:
                reduce.combine(self._loop, source[low : low + step], out)
        self._meet()


class NodeCopies(AtOnce):
    """Copy each of `sources` to the array beside it in `targets`; both 1-D, of the same length."""

    def __init__(self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], meet: Meet) -> None:
        self._pairs, self._meet = list(zip(sources, targets, strict=True)), meet

    def run(self) -> None:
        """Run from start to end."""
        for source, target in self._pairs:
            target[:] = source
        self._meet()


class Messages(Algorithm):
    """An algorithm whose steps MPI takes itself: all that is left is to wait for `requests`."""

    def __init__(self) -> None:
        self.requests: Sequence[MPI.Request] = ()

    def advance(self) -> bool:
        """Let MPI go on; return whether all is done."""
        return bool(MPI.Request.Testall(self.requests))


class NativeBroadcast(Messages):
    """``MPI_Bcast`` of one 1-D contiguous array, piece by piece."""

    def __init__(self, comm: MPI.Intracomm, array: np.ndarray, root: int) -> None:
        super().__init__()
        self._comm, self._root, self._pieces = comm, root, pieces(array)

    def start(self) -> None:
        """Begin."""
        self.requests = [self._comm.Ibcast(piece, self._root) for piece in self._pieces]

    def run(self) -> None:
        """Run from start to end."""
        for piece in self._pieces:
            self._comm.Bcast(piece, self._root)


class PairwiseAlltoall(Messages):
    """Messages between all ranks, each beginning with another: ``parts[r]`` to rank r, ``received[r]`` from it.

    Args:
        comm: the ranks.
        parts, received: 1-D contiguous arrays, one for each rank.
        tag: of the messages.
    """

    requests: list[MPI.Prequest]

    def __init__(
        self, comm: MPI.Intracomm, parts: Sequence[np.ndarray], received: Sequence[np.ndarray], tag: int
    ) -> None:
        rank, size = comm.rank, comm.size
        self.requests = []
        self._own = received[rank], parts[rank]
        for step in range(1, size):
            source, dest = (rank - step) % size, (rank + step) % size
            self.requests += [comm.Recv_init(piece, source, tag) for piece in pieces(received[source])]
            self.requests += [comm.Send_init(piece, dest, tag) for piece in pieces(parts[dest])]

    def start(self) -> None:
        """Begin."""
        MPI.Prequest.Startall(self.requests)
        target, source = self._own
        target[:] = source

    def close(self) -> None:
        """Free the requests."""
        for request in self.requests:
            request.Free()


def pieces(array: np.ndarray) -> list[np.ndarray]:
    """Cut a 1-D contiguous array into messages, as bytes without a copy."""
    as_bytes = array.view(np.uint8)
    return [as_bytes[low : low + PIECE_BYTES] for low in range(0, len(as_bytes), PIECE_BYTES)]
