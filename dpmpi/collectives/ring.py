"""The ring: reduce-scatter and all-gather by messages to the right-hand neighbour only.

The buffer is cut into one chunk a rank. Three ranks, chunks a b c, "+" for what has been summed in::

    reduce-scatter                      step 1            step 2
    rank 0   a  b  c     sends c to 1   a  b+ c     b to 1   a++ .  .     owns a
    rank 1   a  b  c     sends a to 2   a  b  c+    c to 2   .  b++ .     owns b
    rank 2   a  b  c     sends b to 0   a+ b  c     a to 0   .  .  c++    owns c

    all-gather: each rank passes on the finished chunk it holds, then the one it received, until all hold all.

With P ranks and N bytes: 2 (P - 1) steps; each rank sends 2 N (P - 1) / P bytes, the lower bound of any all-reduce.
A chunk travels in segments: while one is reduced the next is on its way, and a segment is passed on as soon as it is
reduced. A segment also stays below every MPI's message-size limit, so chunks may exceed 2**31 elements. Every chunk
is reduced in one fixed order and then copied, so all ranks end with the same bits. The order starts at another rank
for each chunk: the operator must be commutative.

Source: P. Patarasuk, X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", Journal of
Parallel and Distributed Computing 69 (2009) 117-124.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..kernels import reduce
from ..partition import block
from .algorithm import Algorithm, Finish
from .mpi import MPI

SEGMENT_BYTES = 1 << 20  # large enough to hide a message's latency, small enough to be reduced from the L2 cache
RECEIVES_POSTED = 2  # one segment is reduced while the next arrives

Bounds = Sequence[int]


def chunk_bounds(n: int, size: int) -> list[int]:
    """Cut `n` elements into `size` chunks: chunk i is ``bounds[i]:bounds[i + 1]``."""
    return [block(n, size, i)[0] for i in range(size)] + [n]


def segments(start: int, stop: int, length: int) -> Iterator[tuple[int, int]]:
    """Cut ``start:stop`` into pieces of at most `length` elements."""
    for low in range(start, stop, length):
        yield low, min(low + length, stop)


def schedule(bounds: Bounds, rank: int, first: int, length: int) -> list[list[tuple[int, int]]]:
    """Return the segments of the chunks ``first, first - 1, ...`` that pass `rank`, a list for each of P steps.

    What a rank receives in one step it sends in the next: list `s` is sent in step `s`, list `s + 1` received.
    """
    size = len(bounds) - 1
    chunks = [(first - step) % size for step in range(size)]
    return [list(segments(bounds[chunk], bounds[chunk + 1], length)) for chunk in chunks]


class Ring(Algorithm):
    """One of the ring's two halves on one buffer, with persistent requests: made once, run many times.

    Args:
        comm: the ranks.
        buffer: 1-D contiguous array, the same dtype and length on every rank.
        bounds: the chunks, the same on every rank; see `chunk_bounds`.
        loop: address of the operator's loop for reduce-scatter, after which chunk `rank` is reduced and the rest of
            the buffer undefined; None for all-gather, which copies chunk `rank` of every rank to all.
        tag: of the messages; two rings at work at the same time on one communicator need two.
    """

    def __init__(self, comm: MPI.Comm, buffer: np.ndarray, bounds: Bounds, loop: int | None, tag: int = 0) -> None:
        left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
        length = max(1, SEGMENT_BYTES // buffer.itemsize)
        steps = schedule(bounds, comm.rank, comm.rank if loop is None else comm.rank - 1, length)
        if comm.size == 1:
            steps = [[]]  # nobody to send to
        incoming = [segment for step in steps[1:] for segment in step]
        targets = [buffer[low:high] for low, high in incoming]
        self._loop, self._targets, self._arriving = loop, targets, targets
        self._posted = len(incoming)  # in place and never overlapping, so all receives may be posted at once
        if loop is not None:
            longest = max((high - low for low, high in incoming), default=0)
            scratch = np.empty((RECEIVES_POSTED, longest), buffer.dtype)
            self._arriving = [scratch[i % RECEIVES_POSTED, : len(target)] for i, target in enumerate(targets)]
            self._posted = min(RECEIVES_POSTED, len(incoming))
        self._receives = [comm.Recv_init(_bytes(array), left, tag) for array in self._arriving]
        self._sends = [comm.Send_init(_bytes(buffer[low:high]), right, tag) for low, high in steps[0]]
        self._at_once = len(self._sends)
        # What comes in is passed on, but for the last step's.
        self._sends += [
            comm.Send_init(_bytes(target), right, tag) for target in targets[: len(targets) - len(steps[-1])]
        ]
        self._next = len(incoming)

    def start(self) -> None:
        """Send the own chunk's segments and be ready for the left neighbour's."""
        self._next = 0
        if self._posted:
            MPI.Prequest.Startall(self._receives[: self._posted])
        if self._at_once:
            MPI.Prequest.Startall(self._sends[: self._at_once])

    def advance(self) -> bool:
        """Take what has come in, reduce it, pass it on; return whether all is done."""
        while self._next < len(self._targets):
            i = self._next
            if not self._receives[i].Test():
                return False
            if self._loop is not None:
                reduce.combine(self._loop, self._arriving[i], self._targets[i])
            if i + self._posted < len(self._targets):
                self._receives[i + self._posted].Start()
            if self._at_once + i < len(self._sends):
                self._sends[self._at_once + i].Start()
            self._next += 1
        return bool(MPI.Request.Testall(self._sends))

    def close(self) -> None:
        """Free the requests."""
        for request in self._receives + self._sends:
            request.Free()


class RingAllreduce(Algorithm):
    """Reduce-scatter, then all-gather, of one buffer; `finish` is applied to the reduced chunk in between."""

    def __init__(
        self,
        comm: MPI.Comm,
        buffer: np.ndarray,
        loop: int,
        finish: Finish | None = None,
        tag: int = 0,
    ) -> None:
        bounds = chunk_bounds(len(buffer), comm.size)
        self._halves = [Ring(comm, buffer, bounds, loop, tag), Ring(comm, buffer, bounds, None, tag)]
        self._own, self._finish = buffer[bounds[comm.rank] : bounds[comm.rank + 1]], finish
        self._half = 2

    def start(self, piece: int = 0) -> None:
        """Begin; `advance` does the rest. What the buffer holds is no matter of the ring."""
        self._half = 0
        self._halves[0].start()

    def advance(self) -> bool:
        """Go on as far as messages allow; return whether all is done."""
        while self._half < 2:
            if not self._halves[self._half].advance():
                return False
            if self._half == 0:
                if self._finish is not None:
                    self._finish(self._own)
                self._halves[1].start()
            self._half += 1
        return True

    def close(self) -> None:
        """Free the requests."""
        for half in self._halves:
            half.close()


def _bytes(segment: np.ndarray) -> np.ndarray:
    return segment.view(np.uint8)
