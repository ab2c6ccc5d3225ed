"""What the algorithms of one Communicator share: the ranks, their nodes, their shared memory, their agreement."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from ..kernels import node
from .algorithm import Algorithm, Finish, Whole
from .buffers import work_dtype
from .call import Call
from .compressed import CompressedAllreduce
from .guard import Guard
from .hierarchical import BetweenNodes, HierarchicalAllreduce, Slices
from .mpi import MPI
from .native import NativeAllreduce, supports
from .node_allreduce import NodeAllreduce
from .node_doubling import NodeExchange
from .operators import Operator
from .progress import Pollable, Progress
from .recursive_doubling import DoublingAllreduce, Exchange
from .ring import RingAllreduce
from .shared_memory import NoSharedMemory, SharedMemory
from .staging import PIECES_AT_ONCE, Layout, Staging
from .topology import Topology

ALGORITHMS = ("node", "hierarchical", "ring", "recursive_doubling", "native")

STAGE_BYTES = 512 << 10  # a staging buffer: larger ones leave the cache, smaller ones wait more often
SMALL_BYTES = 16 << 10  # up to here every rank reads the arrays of all
TWO_NODES_SMALL_BYTES = 256 << 10  # up to here recursive doubling takes the place of pieces between two nodes
SMALL_SHARED_BYTES = 2 << 10  # the same for arrays in shared memory, where slicing costs no copies
FIRST_TAG, TAGS = 16, 32704  # each prepared algorithm has PIECES_AT_ONCE of its own: several may be under way
SPINS = 50  # polls, a few microseconds, before a waiting rank yields its processor: another rank may need it


class Group:
    """The ranks of `comm`, a communicator that belongs to the group. Collective to make and to close.

    Attributes:
        comm, topology: the ranks and their nodes.
        team: the ranks of this node in shared memory; None when that is too small (see `no_memory`).
        exchange: recursive doubling between all ranks.
        guard: the agreement of all ranks: in shared memory when they are on one node.
        memory, staging: where the team meets, and where private arrays go on their way to other nodes.
        progress: the thread that polls started plans; None without.
        no_memory: why there is no shared memory; empty when there is.
    """

    def __init__(self, comm: MPI.Intracomm, ranks_per_node: int | None = None, progress_thread: bool = False) -> None:
        self.comm = comm
        self.topology = Topology(comm, ranks_per_node)
        self.exchange: Exchange | NodeExchange = Exchange(comm)
        self.slices: Slices | None = None
        self.memory: SharedMemory | None = None
        self.staging: Staging | None = None
        self._staged: SharedMemory | None = None
        self.team: node.Team | None = None
        self.no_memory = ""
        if comm.size > 1:
            self._open_memory()
        one_node = len(self.topology.sizes) == 1
        # All calls of a group are announced in one place, or ranks that make different calls would not meet.
        in_memory = self.team is not None and one_node
        self.guard = Guard(comm, self.team.agree if self.team is not None and in_memory else self.exchange.agree)
        self._announcing = "node" if in_memory else "recursive_doubling"
        self._prepared = 0
        self.under_way: list[Pollable] = []  # started plans, which go on while this rank waits for another one
        self.progress = Progress(self.topology.local) if progress_thread else None

    def _open_memory(self) -> None:
        local = self.topology.local
        try:
            self.memory = SharedMemory(local, node.PART_BYTES + 4 * STAGE_BYTES)
            if len(self.topology.sizes) > 1:
                layout = self.layout(None)
                self._staged = SharedMemory(local, layout.n_bytes)
                self.staging = Staging(local, self._staged, layout)
        except NoSharedMemory as error:
            self.no_memory = str(error)
        reasons = [reason for reason in self.comm.allgather(self.no_memory) if reason]
        if reasons:  # on one node is on all: every rank must choose alike
            self.no_memory = reasons[0]
            self._close_memory()
            return
        crowded = local.size > len(os.sched_getaffinity(0))
        assert self.memory is not None
        self.team = node.Team(
            self.memory.addresses, local.rank, STAGE_BYTES, SMALL_BYTES, SMALL_SHARED_BYTES, 0 if crowded else SPINS
        )
        if len(self.topology.sizes) > 1:
            self.slices = Slices(self.comm, self.topology)
            if self.comm.allreduce(self.topology.is_contiguous, MPI.LAND):
                stages = [self.memory.part(rank)[node.PART_BYTES :] for rank in range(local.size)]
                self.exchange.close()
                self.exchange = NodeExchange(self.team, stages, self.slices.across if local.rank == 0 else None)

    def layout(self, array_bytes: int | None) -> Layout:
        """Return how shared memory is laid out for an array on its way to other nodes; see `staging.Layout`."""
        return Layout(len(self.topology.sizes), min(self.topology.sizes), array_bytes)

    def work_dtype(self, call: Call) -> np.dtype:
        """Return the dtype in which a call's values are combined: float32 where they are coded on their way."""
        coded = call.wire is not None and len(self.topology.sizes) > 1
        return np.dtype(np.float32) if coded else work_dtype(call.dtype)

    def announces(self, name: str, call: Call) -> bool:
        """Whether the algorithm `name` tells the ranks' calls apart itself; before others the guard must."""
        return name == self._announcing or (name == "hierarchical" and self._is_small(call))

    def _is_small(self, call: Call) -> bool:
        """Whether recursive doubling between nodes is the hierarchical algorithm for this call."""
        n_bytes = call.n * self.work_dtype(call).itemsize
        # Between two nodes recursive doubling sends no more than any other algorithm.
        small = TWO_NODES_SMALL_BYTES if len(self.topology.sizes) == 2 else SMALL_BYTES
        return n_bytes <= small and call.wire is None and isinstance(self.exchange, NodeExchange)

    def candidates(self, operator: Operator, dtype: np.dtype) -> list[str]:
        """Return the names of the algorithms that can combine arrays of `dtype` here."""
        found = []
        if self.team is not None:
            one_node = len(self.topology.sizes) == 1
            if one_node:
                found.append("node")
            elif operator.commutative:
                found.append("hierarchical")
        if operator.commutative:
            found.append("ring")
        found.append("recursive_doubling")
        if supports(operator, dtype):
            found.append("native")
        return found

    def prepare(self, name: str, call: Call, work: np.ndarray, memory: SharedMemory | None = None) -> Algorithm:
        """Return the algorithm `name` ready to run on `work`, 1-D contiguous; it lies in `memory` if that is given.

        The ranks must have agreed on the call, unless `name` announces it when it runs.
        """
        loop = call.operator.loop(work.dtype)
        size = self.comm.size
        finish = (lambda part: np.divide(part, size, out=part)) if call.operator.is_mean else None
        tag = FIRST_TAG if self.announces(name, call) else self.next_tag()
        if name == "node":
            assert self.team is not None
            return NodeAllreduce(self.team, self.guard, call, work, loop, memory)
        if name == "hierarchical" and not self._is_small(call):
            return self._hierarchical(call, work, loop, finish, tag, memory)
        if name == "ring":
            return RingAllreduce(self.comm, work, loop, finish, tag)
        if name in ("recursive_doubling", "hierarchical"):
            return DoublingAllreduce(self.exchange.prepare(call.digest, work, loop), self.guard, call, work, finish)
        return NativeAllreduce(self.comm, work, call.operator, finish)

    def next_tag(self) -> int:
        """Return the first of the tags of one prepared algorithm. All ranks must ask alike."""
        self._prepared += 1
        return FIRST_TAG + self._prepared * PIECES_AT_ONCE % TAGS

    def _hierarchical(
        self, call: Call, work: np.ndarray, loop: int, finish: Finish | None, tag: int, memory: SharedMemory | None
    ) -> Algorithm:
        assert self.slices is not None
        across = self.slices.across

        def between(array: np.ndarray, slot: int, pieces: Sequence[int]) -> BetweenNodes:
            if call.wire is not None:
                return CompressedAllreduce(across, array, call.wire, finish, tag + slot, pieces)
            return RingAllreduce(across, array, loop, finish, tag + slot)

        if memory is not None:
            staging = Staging(self.topology.local, memory, self.layout(work.nbytes))
            return HierarchicalAllreduce(work, staging, self.slices, loop, between)
        assert self.staging is not None
        return Whole(HierarchicalAllreduce(work, self.staging, self.slices, loop, between))

    def _close_memory(self) -> None:
        for memory in (self.memory, self._staged):
            if memory is not None:
                memory.close()
        self.memory = self.staging = self._staged = None

    def close(self) -> None:
        """Free all of it, the communicator too."""
        if self.progress is not None:
            self.progress.close()
        if self.team is not None:
            self.team.close()
        self.team = None
        self.exchange.close()
        if self.slices is not None:
            self.slices.close()
        self._close_memory()
        self.topology.close()
        self.comm.Free()
