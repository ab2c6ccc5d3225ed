"""Which ranks share a node."""

from __future__ import annotations

from typing import cast

from .mpi import MPI


class Topology:
    """The nodes of a communicator's ranks. Collective to make and to close.

    Args:
        comm: the ranks.
        ranks_per_node: None to ask MPI which ranks share memory; a number to count every so many of the ranks of one
            node as a node of their own (to try out algorithms for several nodes, or for NUMA domains).

    Attributes:
        local: the ranks of this node.
        sizes: how many ranks each node has.
        node: this node's number.
        rank: this rank's number among all.
    """

    def __init__(self, comm: MPI.Intracomm, ranks_per_node: int | None = None) -> None:
        self.local = cast(MPI.Intracomm, comm.Split_type(MPI.COMM_TYPE_SHARED, comm.rank))
        if ranks_per_node is not None:
            shared = self.local
            self.local = cast(MPI.Intracomm, shared.Split(shared.rank // ranks_per_node, shared.rank))
            shared.Free()
        self.rank = comm.rank
        leaders = comm.allgather(comm.rank if self.local.rank == 0 else -1)
        first = self.local.bcast(comm.rank)
        numbered = [rank for rank in leaders if rank >= 0]
        self.node = numbered.index(first)
        sizes = comm.allgather((self.node, self.local.size))
        self.sizes = [size for _, size in sorted(set(sizes))]

    @property
    def is_contiguous(self) -> bool:
        """Whether this rank's number follows from its place: the ranks are numbered node by node."""
        return self.rank == sum(self.sizes[: self.node]) + self.local.rank

    def close(self) -> None:
        """Free the local communicator."""
        self.local.Free()
