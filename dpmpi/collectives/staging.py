"""The shared memory in which the ranks of a node meet on an array's way to other nodes, and how far each of them is.

Every rank has a part of it::

    [array]   [ready | done]  [result 0 .. result 3]  [input 0 .. input 3]

`array` where the array itself lies in shared memory, `input` where it does not and is copied in piece by piece. Piece
g, counted over all runs, takes result g mod 4: the slice that the rank drives of the sum. Each counter has one writer,
its rank. `ready` is g + 1 when pieces up to g may be read by all, and when this rank has copied out all results up to
g - 4, so that those may be written again; `done` is g + 1 when the rank's slices up to piece g are there.
"""

from __future__ import annotations

import numpy as np

from ..kernels.parts import COUNTER_BYTES, Counters
from .mpi import MPI
from .shared_memory import PAGE, SharedMemory

PIECES_AT_ONCE = 4  # one is reduced, two travel, one is copied out
MESSAGE_BYTES = 256 << 10  # what a ring between nodes sends at once: little enough to overlap, much more than a latency
LEAST_PIECE, MOST_PIECE = 1 << 20, 4 << 20


class Layout:
    """Where things are in a rank's part, for `nodes` nodes with `slices` slices.

    Args:
        array_bytes: of the array in shared memory at the part's beginning; None for one that is copied in.

    Attributes:
        piece_bytes: of the array that are taken at once.
        n_bytes: how much shared memory each rank needs.
    """

    def __init__(self, nodes: int, slices: int, array_bytes: int | None) -> None:
        self.piece_bytes = min(max(LEAST_PIECE, nodes * slices * MESSAGE_BYTES), MOST_PIECE)
        self.in_place = array_bytes is not None
        self.counters = _aligned(array_bytes or 0)
        self.results = self.counters + PAGE
        self.result_bytes = _aligned(-(-self.piece_bytes // slices) + PAGE)  # a slice may have one element more
        self.inputs = self.results + PIECES_AT_ONCE * self.result_bytes
        self.n_bytes = self.inputs + (0 if self.in_place else PIECES_AT_ONCE * self.piece_bytes)


class Staging:
    """Shared memory with a `layout`, used by one array at a time. The ranks of the node make it together.

    Attributes:
        layout: where things are in it.
        local: rank in the node.
        ready, done: how far the ranks are.
    """

    def __init__(self, local: MPI.Intracomm, memory: SharedMemory, layout: Layout) -> None:
        self.layout, self.local = layout, local.rank
        self._memory = memory
        counters = [address + layout.counters for address in memory.addresses]
        self.ready = Counters(counters, local.rank)
        self.done = Counters([address + COUNTER_BYTES for address in counters], local.rank)
        self._parts = [memory.part(rank) for rank in range(local.size)]
        self._pieces = 0

    def take(self, pieces: int) -> int:
        """Return the number of a run's first piece, a multiple of PIECES_AT_ONCE: the same on every rank."""
        first = self._pieces
        self._pieces += -(-pieces // PIECES_AT_ONCE) * PIECES_AT_ONCE
        return first

    def result(self, rank: int, slot: int) -> np.ndarray:
        """Return the slice of the sum, uint8, that a rank of the node leaves in a slot."""
        low = self.layout.results + slot * self.layout.result_bytes
        return self._parts[rank][low : low + self.layout.result_bytes]

    def input(self, slot: int) -> np.ndarray:
        """Return where this rank copies a piece of its array in, uint8."""
        low = self.layout.inputs + slot * self.layout.piece_bytes
        return self._parts[self.local][low : low + self.layout.piece_bytes]

    def addresses(self, piece: int, start: int) -> list[int]:
        """Return where a piece of the ranks' arrays is to be read, which begins at byte `start` of the array."""
        if not self.layout.in_place:
            start = self.layout.inputs + piece % PIECES_AT_ONCE * self.layout.piece_bytes
        return [address + start for address in self._memory.addresses]


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // PAGE) * PAGE
