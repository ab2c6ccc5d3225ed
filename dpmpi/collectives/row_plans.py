"""Plans of the collectives that move rows: reduce-scatter, all-gather, broadcast, all-to-all.

Each has a source, where a rank puts its values, and a target, where the result comes to be. With the algorithm "node"
the source lies in shared memory; a plan's own buffer is the source itself, a user's is copied there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from ..partition import block
from .buffers import dtype_name, store, work_dtype
from .group import Group
from .operators import Operator
from .plan import Plan, shared_by_node
from .ring import Ring, chunk_bounds
from .row_algorithms import NativeBroadcast, NodeCopies, NodeReduceScatter, PairwiseAlltoall

Shape = tuple[int, ...]


class RowPlan(Plan):
    """A collective from a source to a target. Collective to make; the ranks must have agreed on the arguments.

    Args:
        group, text: the ranks, and what they announce at each run.
        messages: the algorithm without shared memory.
        algorithm: "node", `messages`, or "auto" for shared memory where all ranks have it.
        buffer: the user's array of that shape and dtype, or None for one that the plan makes.
        shape, dtype: of the source.
        kept: whether the messages leave the source as it was.
    """

    def __init__(
        self,
        group: Group,
        text: str,
        algorithm: str,
        messages: str,
        buffer: np.ndarray | None,
        shape: Shape,
        dtype: np.dtype,
        kept: bool = True,
    ) -> None:
        if algorithm == "auto":
            algorithm = "node" if has_node(group) else messages
        super().__init__(group, text, algorithm)
        work = work_dtype(dtype)
        n = math.prod(shape)
        if algorithm == "node":
            self._memory = shared_by_node(group, n * work.itemsize)
            self.algorithm = messages if self._memory is None else algorithm
        if self._memory is not None:
            self._source = self._memory.own.view(work)
        elif kept and buffer is not None and is_direct(buffer):
            self._source = buffer.reshape(-1)
        else:
            self._source = np.zeros(n, work)
        if buffer is None:
            is_source = dtype == work and (kept or self._memory is not None)
            buffer = self._source.reshape(shape) if is_source else np.zeros(shape, dtype)
        self.buffer = buffer

    def _load(self) -> None:
        if not np.may_share_memory(self._source, self.buffer):
            np.copyto(self._source, self.buffer.reshape(-1))

    def _part(self, rank: int, n: int) -> np.ndarray:
        """Return the first `n` elements of a rank's source in shared memory."""
        assert self._memory is not None
        return self._memory.part(rank)[: n * self._source.itemsize].view(self._source.dtype)

    def _meet(self) -> None:
        self._group.guard.agree(f"{self._text}, read")

    def close(self) -> None:
        """Free the plan. Collective; closing twice is allowed."""
        if self._started:
            self.wait()
        if self._memory is not None:
            self._source = np.empty(0, self._source.dtype)
            if is_direct(self.buffer):
                self.buffer = np.empty(0, self.buffer.dtype)
        super().close()


class ReduceScatterPlan(RowPlan):
    """Reduce-scatter of one array, made by `Communicator.plan_reduce_scatter`; see `Plan`.

    Attributes:
        buffer: the array (n, ...) that is combined; it is not changed.
        out: this rank's block of the result's rows.
    """

    def __init__(
        self,
        group: Group,
        operator: Operator,
        dtype: np.dtype,
        shape: Shape,
        algorithm: str,
        buffer: np.ndarray | None,
        out: np.ndarray | None,
    ) -> None:
        text = f"reduce_scatter of {shape} {dtype_name(dtype)}, op={operator.name}"
        super().__init__(group, text, algorithm, "ring", buffer, shape, dtype, kept=False)
        comm = group.comm
        if self.algorithm == "ring" and comm.size > 1 and not operator.commutative:  # for want of shared memory
            raise ValueError(f"reduce_scatter: the ring needs a commutative op. {group.no_memory}".rstrip())
        row = math.prod(shape[1:])
        bounds = [bound * row for bound in chunk_bounds(shape[0], comm.size)]
        low, high = bounds[comm.rank], bounds[comm.rank + 1]
        start, stop = block(shape[0], comm.size, comm.rank)
        loop = operator.loop(self._source.dtype)
        self.out = result_array((stop - start, *shape[1:]), dtype) if out is None else out
        self._mean_of = comm.size if operator.is_mean else 0
        if self.algorithm == "node":
            self._result = flat_result(self.out)
            sources = [self._part(rank, len(self._source))[low:high] for rank in range(comm.size)]
            self._prepared = NodeReduceScatter(sources, self._result, loop, self._meet)
        else:
            self._result = self._source[low:high]
            self._prepared = Ring(comm, self._source, bounds, loop, group.next_tag())

    def _finish(self) -> None:
        if self._mean_of:
            np.divide(self._result, self._mean_of, out=self._result)
        store(self._result, self.out)


class AllgatherPlan(RowPlan):
    """All-gather of the ranks' rows, made by `Communicator.plan_allgather`; see `Plan`.

    Attributes:
        buffer: this rank's rows.
        out: the rows of all ranks, in rank order.
    """

    def __init__(
        self,
        group: Group,
        dtype: np.dtype,
        counts: Sequence[int],
        row_shape: Shape,
        algorithm: str,
        buffer: np.ndarray | None,
        out: np.ndarray | None,
    ) -> None:
        text = f"allgather of {tuple(counts)} rows of shape {row_shape} {dtype_name(dtype)}"
        comm = group.comm
        super().__init__(group, text, algorithm, "ring", buffer, (counts[comm.rank], *row_shape), dtype)
        row = math.prod(row_shape)
        bounds = [0, *(int(bound) * row for bound in np.cumsum(counts))]
        self.out = result_array((sum(counts), *row_shape), dtype) if out is None else out
        self._result = flat_result(self.out)
        self._own = self._result[bounds[comm.rank] : bounds[comm.rank + 1]]
        if self.algorithm == "node":
            sources = [self._part(rank, counts[rank] * row) for rank in range(comm.size)]
            targets = [self._result[low:high] for low, high in itertools.pairwise(bounds)]
            self._prepared = NodeCopies(sources, targets, self._meet)
        else:
            self._prepared = Ring(comm, self._result, bounds, None, group.next_tag())

    def _load(self) -> None:
        super()._load()
        if self.algorithm == "ring":
            self._own[:] = self._source

    def _finish(self) -> None:
        store(self._result, self.out)


class BroadcastPlan(RowPlan):
    """Broadcast of root's array, made by `Communicator.plan_broadcast`; see `Plan`.

    Attributes:
        buffer: root's values, and on the other ranks where they come to be.
    """

    def __init__(
        self, group: Group, dtype: np.dtype, shape: Shape, root: int, algorithm: str, buffer: np.ndarray | None
    ) -> None:
        text = f"broadcast of {shape} {dtype_name(dtype)} from root {root}"
        super().__init__(group, text, algorithm, "native", buffer, shape, dtype)
        self._is_root = group.comm.rank == root
        self._result = self._source
        if self.algorithm == "node":
            if is_direct(self.buffer):
                self._result = self.buffer.reshape(-1)
            copies = [] if self._is_root else [self._result]
            roots = [self._part(root, len(self._source))] * len(copies)
            self._prepared = NodeCopies(roots, copies, self._meet)
        else:
            self._prepared = NativeBroadcast(group.comm, self._source, root)

    def _load(self) -> None:
        if self._is_root:
            super()._load()

    def _finish(self) -> None:
        if not self._is_root:
            store(self._result, self.buffer)


class AlltoallPlan(RowPlan):
    """All-to-all of rows, made by `Communicator.plan_alltoall`; see `Plan`.

    Attributes:
        buffer: the rows to send: those for rank 0, then those for rank 1, ...
        parts: views of them, one for each rank.
        out: the rows that came in, those of rank 0 first.
        received: views of them, one for each rank.
    """

    def __init__(
        self,
        group: Group,
        dtype: np.dtype,
        counts: np.ndarray,
        row_shape: Shape,
        algorithm: str,
        buffer: np.ndarray | None,
        out: np.ndarray | None,
    ) -> None:
        comm = group.comm
        rank = comm.rank
        text = f"alltoall of rows of shape {row_shape} {dtype_name(dtype)}"
        row = math.prod(row_shape)
        rows_out, rows_in = (np.concatenate([[0], np.cumsum(c)]) for c in (counts[rank], counts[:, rank]))
        super().__init__(group, text, algorithm, "pairwise", buffer, (int(rows_out[-1]), *row_shape), dtype)
        self.out = result_array((int(rows_in[-1]), *row_shape), dtype) if out is None else out
        self.parts = [self.buffer[low:high] for low, high in itertools.pairwise(rows_out)]
        self.received = [self.out[low:high] for low, high in itertools.pairwise(rows_in)]
        self._result = flat_result(self.out)
        targets = [self._result[low * row : high * row] for low, high in itertools.pairwise(rows_in)]
        if self.algorithm == "node":
            starts = counts[:, :rank].sum(axis=1) * row  # where each rank's rows for this one begin
            sources = [
                self._part(source, int(counts[source].sum()) * row)[start : start + len(target)]
                for source, (start, target) in enumerate(zip(starts, targets, strict=True))
            ]
            self._prepared = NodeCopies(sources, targets, self._meet)
        else:
            sent = [self._source[low * row : high * row] for low, high in itertools.pairwise(rows_out)]
            self._prepared = PairwiseAlltoall(comm, sent, targets, group.next_tag())

    def _finish(self) -> None:
        store(self._result, self.out)


def is_direct(array: np.ndarray) -> bool:
    """Whether an algorithm can work on `array` itself."""
    return bool(array.flags.c_contiguous) and array.dtype == work_dtype(array.dtype)


def flat_result(out: np.ndarray) -> np.ndarray:
    """Return a flat array for what will be in `out`: that array itself where that will do."""
    return out.reshape(-1) if is_direct(out) else np.empty(out.size, work_dtype(out.dtype))


def result_array(shape: Shape, dtype: np.dtype) -> np.ndarray:
    """Return a new array for a result, in native byte order."""
    return np.zeros(shape, dtype.newbyteorder("="))


def has_node(group: Group) -> bool:
    """Whether all ranks are on one node and share memory."""
    return group.team is not None and len(group.topology.sizes) == 1
