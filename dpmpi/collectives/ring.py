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
is reduced in one fixed order and then copied, so all ranks end with the same bits.

Source: P. Patarasuk, X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", Journal of
Parallel and Distributed Computing 69 (2009) 117-124.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..partition import block
from .mpi import MPI

SEGMENT_BYTES = 1 << 20  # large enough to hide a message's latency, small enough to be reduced from the L2 cache
RECEIVES_POSTED = 2  # one segment is reduced while the next arrives
_TAG = 7

Bounds = Sequence[int]
Combine = Callable[[np.ndarray, np.ndarray], None]


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


def reduce_scatter(comm: MPI.Intracomm, buffer: np.ndarray, bounds: Bounds, combine: Combine) -> None:
    """Reduce the ranks' 1-D contiguous buffers; chunk `rank` of this rank's buffer ends reduced, the rest undefined.

    `combine(x, out)` puts x into out element by element.
    """
    length = _segment_length(buffer)
    steps = schedule(bounds, comm.rank, comm.rank - 1, length)
    longest = max((high - low for step in steps[1:] for low, high in step), default=0)
    scratch = np.empty((RECEIVES_POSTED, longest), buffer.dtype)

    def destination(index: int, low: int, high: int) -> np.ndarray:
        return scratch[index % RECEIVES_POSTED, : high - low]

    def arrived(index: int, low: int, high: int) -> None:
        combine(destination(index, low, high), buffer[low:high])

    _pass_on(comm, buffer, steps, destination, arrived, RECEIVES_POSTED)


def all_gather(comm: MPI.Intracomm, buffer: np.ndarray, bounds: Bounds) -> None:
    """Copy chunk `rank` of every rank's 1-D contiguous buffer into all the others' buffers."""
    steps = schedule(bounds, comm.rank, comm.rank, _segment_length(buffer))

    def destination(_: int, low: int, high: int) -> np.ndarray:
        return buffer[low:high]

    # Segments arrive in place and never overlap, so all receives may be posted at once.
    _pass_on(comm, buffer, steps, destination, None, sum(map(len, steps)))


def _segment_length(buffer: np.ndarray) -> int:
    return max(1, SEGMENT_BYTES // buffer.itemsize)


def _pass_on(
    comm: MPI.Intracomm,
    buffer: np.ndarray,
    steps: list[list[tuple[int, int]]],
    destination: Callable[[int, int, int], np.ndarray],
    arrived: Callable[[int, int, int], None] | None,
    posted: int,
) -> None:
    """Send the first step's segments to the right, and each later step's as soon as it came from the left."""
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    incoming = [segment for step in steps[1:] for segment in step]
    forwarded = len(incoming) - len(steps[-1])  # the last step's segments stay here
    receives: list[MPI.Request] = []

    def receive(index: int) -> None:
        low, high = incoming[index]
        receives.append(comm.Irecv(_bytes(destination(index, low, high)), left, _TAG))

    for index in range(min(posted, len(incoming))):
        receive(index)
    sends = [comm.Isend(_bytes(buffer[low:high]), right, _TAG) for low, high in steps[0]]
    for index, (low, high) in enumerate(incoming):
        receives[index].Wait()
        if arrived is not None:
            arrived(index, low, high)
        if index + posted < len(incoming):
            receive(index + posted)
        if index < forwarded:
            sends.append(comm.Isend(_bytes(buffer[low:high]), right, _TAG))
    MPI.Request.Waitall(sends)


def _bytes(segment: np.ndarray) -> np.ndarray:
    return segment.view(np.uint8)
