"""Several nodes: reduce within each node, one ring between the nodes for each slice, copy out within the node.

Two nodes of two ranks, slices A and B of the array::

    node 0                                     node 1
    rank 0 --+                                 +-- rank 2
             +-- one sum in shared memory      +-- one sum in shared memory
    rank 1 --+     A  <---- ring 0 ---->  A    +-- rank 3
                   B  <---- ring 1 ---->  B
    every rank copies A and B from the node's sums

With h nodes and N bytes a node sends 2 N (h - 1) / h bytes out, the lower bound: slices share that among the node's
ranks, each driving the ring of one. A flat ring of P ranks sends 2 N (P - 1) / P out of every node instead. Nodes may
have different numbers of ranks: there are as many slices as the smallest node has ranks.

The array is taken in pieces, several of them under way: while one travels the next is reduced and the last is copied
out, so the link is busy from end to end. No rank ever waits for another in the node but for the piece it needs:
two counters a rank, `ready` (its array is readable up to this piece) and `done` (its slice of the sum is there up to
this piece), say how far everyone is. See `staging.py`.

Small arrays, whose bytes cost less than a message's latency, take recursive doubling between nodes in place of the
rings: see `node_doubling.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ..kernels.parts import combine_ranges
from .algorithm import Algorithm
from .mpi import MPI
from .ring import chunk_bounds
from .staging import PIECES_AT_ONCE, Staging
from .topology import Topology


class Slices:
    """The communicators between nodes: local rank i of every node drives slice i. Collective to make and to close."""

    def __init__(self, comm: MPI.Intracomm, topology: Topology) -> None:
        self.count = min(topology.sizes)
        mine = topology.local.rank
        self.across = comm.Split(mine if mine < self.count else MPI.UNDEFINED, topology.node)

    def close(self) -> None:
        """Free the communicator."""
        if self.across != MPI.COMM_NULL:
            self.across.Free()


class BetweenNodes(Protocol):
    """An all-reduce of one slice's array among its drivers on all nodes, run for several pieces, one at a time."""

    def start(self, piece: int) -> None:
        """Begin with what the array holds now, the sum of this piece within the node."""

    def advance(self) -> bool:
        """Go on without waiting; return whether all is done."""

    def close(self) -> None:
        """Free the requests."""


MakeBetween = Callable[[np.ndarray, int, Sequence[int]], BetweenNodes]


class HierarchicalAllreduce(Algorithm):
    """All-reduce of `work` (n,), 1-D contiguous.

    Args:
        staging: the node's shared memory; `work` lies at its beginning if its layout is in place.
        slices: the communicators between the nodes.
        loop: address of the operator's loop.
        make_between: makes what runs between the nodes, of the slice's array, its number among those at work at the
            same time, and the numbers of the pieces that it will be run for.
    """

    def __init__(
        self, work: np.ndarray, staging: Staging, slices: Slices, loop: int, make_between: MakeBetween
    ) -> None:
        self._staging, self._loop, self._count = staging, loop, slices.count
        length = max(1, staging.layout.piece_bytes // work.itemsize)
        self._pieces = [work[low : low + length] for low in range(0, len(work), length)]
        self._bounds = [chunk_bounds(len(piece), slices.count) for piece in self._pieces]
        self._sources = [staging.addresses(k, k * length * work.itemsize) for k in range(len(self._pieces))]
        self._results = [[self._result(k, driver) for driver in range(slices.count)] for k in range(len(self._pieces))]
        self._between: list[BetweenNodes] = []
        self._made: list[BetweenNodes] = []
        if slices.across != MPI.COMM_NULL:
            self._make_between(make_between)
        self._first = 0
        self._ready = self._started = self._done = len(self._pieces)
        self._copied = [len(self._pieces)] * slices.count

    def _result(self, piece: int, driver: int) -> np.ndarray:
        """Return where a driver of this node leaves its slice of a piece."""
        low, high = self._bounds[piece][driver : driver + 2]
        dtype = self._pieces[piece].dtype
        return self._staging.result(driver, piece % PIECES_AT_ONCE)[: (high - low) * dtype.itemsize].view(dtype)

    def _make_between(self, make: MakeBetween) -> None:
        """Prepare every piece between the nodes; pieces of one slot and length share what is prepared."""
        shared: dict[tuple[int, int], list[int]] = {}
        for k, results in enumerate(self._results):
            shared.setdefault((k % PIECES_AT_ONCE, len(results[self._staging.local])), []).append(k)
        by_piece: dict[int, BetweenNodes] = {}
        for (slot, _), pieces in shared.items():
            self._made.append(make(self._results[pieces[0]][self._staging.local], slot, pieces))
            by_piece |= dict.fromkeys(pieces, self._made[-1])
        self._between = [by_piece[k] for k in range(len(self._pieces))]

    def start(self) -> None:
        """Say that the array is ready; what the others allow goes on from here."""
        self._first = self._staging.take(len(self._pieces))
        self._ready = self._started = self._done = 0
        self._copied = [0] * self._count
        self._make_ready(0)
        self.advance()

    def advance(self) -> bool:
        """Do what can be done without waiting; return whether all is done."""
        if self._between:
            self._drive()
        pieces, first = len(self._pieces), self._first
        for driver, copied in enumerate(self._copied):
            if copied < pieces:
                self._copy_out(driver, copied, min(self._staging.done.read(driver) - first, pieces))
        return min(self._copied) == pieces

    def _drive(self) -> None:
        """Reduce this rank's slices within the node, and take them through the ring."""
        first, last = self._first, min(len(self._pieces), self._done + PIECES_AT_ONCE)
        ready = self._staging.ready.least() - first if self._started < last else 0
        while self._started < min(last, ready):
            self._reduce(self._started)
            self._between[self._started].start(self._started)
            self._started += 1
        under_way = range(self._done, self._started)
        finished = [self._between[k].advance() for k in under_way]
        for is_done in finished:
            if not is_done:
                break
            self._done += 1
            self._staging.done.publish(first + self._done)

    def _reduce(self, piece: int) -> None:
        """Combine this rank's slice of a piece over the node's ranks."""
        out = self._results[piece][self._staging.local]
        offset = self._bounds[piece][self._staging.local] * out.itemsize
        sources = [address + offset for address in self._sources[piece]]
        combine_ranges(self._loop, sources, len(out), out.itemsize, out)

    def _copy_out(self, driver: int, begin: int, end: int) -> None:
        """Copy a driver's slices of the sum into this rank's array."""
        for k in range(begin, end):
            low, high = self._bounds[k][driver : driver + 2]
            self._pieces[k][low:high] = self._results[k][driver]
        if end > begin:
            before = min(self._copied)
            self._copied[driver] = end
            if min(self._copied) > before:
                self._make_ready(min(self._copied))

    def _make_ready(self, copied: int) -> None:
        """Let the others read the pieces that fit beside those `copied` out already."""
        last = min(copied + PIECES_AT_ONCE, len(self._pieces))
        if not self._staging.layout.in_place:
            for k in range(self._ready, last):
                piece = self._pieces[k]
                self._staging.input(k % PIECES_AT_ONCE)[: piece.nbytes].view(piece.dtype)[:] = piece
        self._ready = last
        self._staging.ready.publish(self._first + last)

    def close(self) -> None:
        """Free the requests."""
        for between in self._made:
            between.close()
