"""Several nodes: reduce within each node, one ring between the nodes for each slice, copy out within the node.

Two nodes of two ranks, slices A and B of the buffer::

    node 0                                     node 1
    rank 0 --+                                 +-- rank 2
             +-- one sum in shared memory      +-- one sum in shared memory
    rank 1 --+     A  <---- ring 0 ---->  A    +-- rank 3
                   B  <---- ring 1 ---->  B
    every rank copies A and B from the node's sum

With h nodes and N bytes a node sends 2 N (h - 1) / h bytes out, the lower bound: slices share that among the node's
ranks, each driving the ring of one. A flat ring of P ranks sends 2 N (P - 1) / P out of every node instead. Nodes may
have different numbers of ranks: there are as many slices as the smallest node has ranks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..kernels.node import Counters, Team
from .mpi import MPI
from .ring import RingAllreduce, chunk_bounds
from .shared_memory import SharedMemory
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


class HierarchicalAllreduce:
    """All-reduce of an array that every rank holds in `memory`.

    Args:
        team: the ranks of this node.
        topology, slices: the nodes, and the communicators between them.
        memory: holds the arrays, one a rank.
        dtype, n: of the array.
        loop: address of the operator's loop.
        finish: applied to the result's parts; None for nothing.
        tag: of the messages between nodes.
    """

    def __init__(
        self,
        team: Team,
        topology: Topology,
        slices: Slices,
        memory: SharedMemory,
        dtype: np.dtype,
        n: int,
        loop: int,
        finish: Callable[[np.ndarray], None] | None,
        tag: int,
    ) -> None:
        self._memory, self._counters = memory, Counters(team, memory.lines)
        self._use = 0
        self._stage = "done"
        self._in_node = team.plan(_SIGNATURE, memory.addresses, n, dtype.itemsize, loop, None, _impossible)
        n_bytes = n * dtype.itemsize
        self._own = memory.own[:n_bytes].view(dtype)
        self._sum = memory.part(0)[:n_bytes].view(dtype)
        self._is_first = topology.local.rank == 0
        self._ring = None
        if slices.across != MPI.COMM_NULL:
            bounds = chunk_bounds(n, slices.count)
            mine = self._sum[bounds[topology.local.rank] : bounds[topology.local.rank + 1]]
            self._ring = RingAllreduce(slices.across, mine, loop, finish, tag)

    def start(self) -> None:
        """Reduce within the node and begin between the nodes."""
        self._memory.uses += 1  # alike on every rank of the node
        self._use = 2 * self._memory.uses
        self._in_node.reduce_to_first()
        if self._ring is not None:
            self._ring.start()
        self._stage = "between nodes"

    def advance(self, wait: bool) -> bool:
        """Go on between the nodes; when all slices are there, copy out.

        What the node's ranks wait for is counted in the memory itself: several may be under way, and need not come to
        their ends in the same order everywhere.
        """
        if self._stage == "between nodes":
            if self._ring is not None and not self._ring.advance(wait):
                return False
            self._counters.publish(self._use - 1)
            self._stage = "copying out"
        if self._stage == "copying out":
            if not self._counters.reached(self._use - 1, wait):
                return False
            if not self._is_first:
                self._own[:] = self._sum
            self._counters.publish(self._use)
            self._stage = "done"
        # Nobody may write into the first rank's buffer while others still read it.
        return not self._is_first or bool(self._counters.reached(self._use, wait))

    def run(self) -> None:
        """Run from start to end."""
        self.start()
        self.advance(wait=True)

    def close(self) -> None:
        """Free the requests."""
        if self._ring is not None:
            self._ring.close()


_SIGNATURE = 1  # the ranks have agreed on the call before


def _impossible() -> None:
    raise RuntimeError("the ranks of a node disagree after all ranks agreed")
