"""The collectives that move rows: reduce-scatter, all-gather, broadcast, all-to-all, scatter and gather."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..partition import block
from . import rows
from .buffers import check_array, check_out, dtype_name, work_dtype
from .operators import Op, operator
from .ranks import Ranks
from .row_algorithms import PairwiseAlltoall
from .row_plans import AllgatherPlan, AlltoallPlan, BroadcastPlan, ReduceScatterPlan, Shape, has_node


class RowCollectives(Ranks):
    """Collectives on the rows of arrays; `Communicator` is made of it."""

    def reduce_scatter(self, array: np.ndarray, op: Op = "sum", out: np.ndarray | None = None) -> np.ndarray:
        """Combine the ranks' arrays and leave each rank its block of the result's rows. Collective.

        The first half of `allreduce`. `array` (n, ...) is not changed; rank r gets rows
        ``slice(*partition.block(n, size, r))`` of the result, in `out` if given (that shape, dtype of `array`).
        Arguments and errors are those of `allreduce`; also ValueError for an array without rows.
        """
        try:
            array = check_array(array, op)
            text = self._reduce_scatter(array.shape, array.dtype, op, "ring", out)
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        self._guard.agree(text)
        plan = ReduceScatterPlan(self._group, operator(op), array.dtype, array.shape, "ring", array, out)
        plan.run_once()
        return plan.out

    def plan_reduce_scatter(
        self,
        shape: int | Shape,
        dtype: Any,
        op: Op = "sum",
        *,
        algorithm: str = "auto",
        buffer: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> ReduceScatterPlan:
        """Set up a reduce-scatter to be run many times; see `ReduceScatterPlan`. Collective.

        Args:
            shape, dtype, op: of the array (n, ...), and the operator, as for `reduce_scatter`.
            algorithm: "node" (shared memory; all ranks on one node), "ring", or "auto" for the first that can run.
            buffer, out: your own arrays for the values and the result; None for the plan's.

        Raises (on every rank): as `plan_allreduce`.
        """
        try:
            shape, dtype = self._planned_source(shape, dtype, algorithm, "ring", buffer)
            operator(op).check(dtype)
            text = self._reduce_scatter(shape, dtype, op, algorithm, out)
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        self._guard.agree(f"plan of {text} by {algorithm}")
        return ReduceScatterPlan(self._group, operator(op), dtype, shape, algorithm, buffer, out)

    def _reduce_scatter(self, shape: Shape, dtype: np.dtype, op: Op, algorithm: str, out: np.ndarray | None) -> str:
        if not shape:
            raise ValueError("reduce_scatter: a 0-dimensional array has no rows to share out")
        operator(op).loop(work_dtype(dtype))  # compiles the user's own, or refuses it
        is_ring = algorithm == "ring" or not has_node(self._group)
        if is_ring and self.size > 1 and not operator(op).commutative:
            raise ValueError(
                "reduce_scatter: the ring needs a commutative op; pass dpmpi.user_operator(op, commutative=True) if "
                "yours is, or use allreduce"
            )
        if out is not None:
            start, stop = block(shape[0], self.size, self.rank)
            check_out(out, dtype, (stop - start, *shape[1:]))
        return f"reduce_scatter of {shape} {dtype_name(dtype)}, op={operator(op).name}"

    def allgather(self, array: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Join the ranks' arrays along the first axis, in rank order, on every rank. Collective.

        The second half of `allreduce`. `array` (n_rank, ...) may differ between ranks in its number of rows, also
        none, but not in its other lengths or its dtype. The result (sum of n_rank, ...) is new, or `out`.
        Errors are those of `allreduce`.
        """
        try:
            array = check_array(array)
            text = self._allgather(array.shape, array.dtype)
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        self._guard.agree(text)
        counts = self._counts(array.shape, array.dtype, out)
        if out is not None and np.may_share_memory(out, array):
            array = array.copy()
        plan = AllgatherPlan(self._group, array.dtype, counts, array.shape[1:], "ring", array, out)
        plan.run_once()
        return plan.out

    def plan_allgather(
        self,
        shape: int | Shape,
        dtype: Any,
        *,
        algorithm: str = "auto",
        buffer: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> AllgatherPlan:
        """Set up an all-gather to be run many times; see `AllgatherPlan`. Collective.

        Args:
            shape, dtype: of this rank's array (n_rank, ...); ranks may differ in the number of rows.
            algorithm: "node" (shared memory; all ranks on one node), "ring", or "auto" for the first that can run.
            buffer, out: your own arrays for the values and the result, which must not overlap; None for the plan's.

        Raises (on every rank): as `plan_allreduce`.
        """
        try:
            shape, dtype = self._planned_source(shape, dtype, algorithm, "ring", buffer)
            text = self._allgather(shape, dtype)
            _check_apart(buffer, out)
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        self._guard.agree(f"plan of {text} by {algorithm}")
        counts = self._counts(shape, dtype, out)
        return AllgatherPlan(self._group, dtype, counts, shape[1:], algorithm, buffer, out)

    def _allgather(self, shape: Shape, dtype: np.dtype) -> str:
        if not shape:
            raise ValueError("allgather: a 0-dimensional array has no rows to join; use array.reshape(1)")
        return f"allgather of rows of shape {shape[1:]} {dtype_name(dtype)}"

    def _counts(self, shape: Shape, dtype: np.dtype, out: np.ndarray | None) -> list[int]:
        counts = self._comm.allgather(shape[0])
        with self._guard.together("allgather"):
            if out is not None:
                check_out(out, dtype, (sum(counts), *shape[1:]))
        return counts

    def broadcast(self, array: np.ndarray, root: int = 0) -> np.ndarray:
        """Copy root's array into those of all ranks, in place, and return it. Collective.

        `array`: any shape, strides and numeric dtype; number of elements and dtype the same on every rank.
        Raises (on every rank): TypeError, ValueError or MismatchError as `allreduce`.
        """
        try:
            array = check_array(array)
            self._check_root(root)
            if self.rank != root and not array.flags.writeable:
                raise ValueError("broadcast: the array is read-only")
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        self._guard.agree(f"broadcast of {array.size} {dtype_name(array.dtype)} from root {root}")
        BroadcastPlan(self._group, array.dtype, array.shape, root, "native", array).run_once()
        return array

    def plan_broadcast(
        self,
        shape: int | Shape,
        dtype: Any,
        root: int = 0,
        *,
        algorithm: str = "auto",
        buffer: np.ndarray | None = None,
    ) -> BroadcastPlan:
        """Set up a broadcast to be run many times; see `BroadcastPlan`. Collective.

        Args:
            shape, dtype: of the array.
            root: the rank that holds the values.
            algorithm: "node" (shared memory; all ranks on one node), "native", or "auto" for the first that can run.
            buffer: your own array; None for the plan's.

        Raises (on every rank): as `plan_allreduce`.
        """
        try:
            shape, dtype = self._planned_source(shape, dtype, algorithm, "native", buffer)
            self._check_root(root)
            if buffer is not None and not buffer.flags.writeable:
                raise ValueError("broadcast: the array is read-only")
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        self._guard.agree(f"plan of broadcast of {shape} {dtype_name(dtype)} from root {root} by {algorithm}")
        return BroadcastPlan(self._group, dtype, shape, root, algorithm, buffer)

    def alltoall(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Send ``parts[r]`` to every rank r; return what each rank sent to this one, in rank order. Collective.

        Args:
            parts: one array for each rank, of one numeric dtype; they may differ in their number of rows, but not in
                their other lengths. Dtype and other lengths are the same on every rank.

        Raises (on every rank): TypeError, ValueError or MismatchError as `allreduce`.
        """
        try:
            if len(parts) != self.size:
                raise ValueError(f"alltoall: give one array for each of the {self.size} ranks, not {len(parts)}")
            kinds = {(check_array(part).dtype, part.shape[1:]) for part in parts}
            if len(kinds) > 1 or any(part.ndim == 0 for part in parts):
                raise ValueError("alltoall: the arrays must have rows, one dtype and the same lengths but the first")
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        dtype, shape = kinds.pop()
        self._guard.agree(f"alltoall of rows of shape {shape} {dtype_name(dtype)}")
        counts = np.empty(self.size, np.int64)
        self._comm.Alltoall(np.array([part.shape[0] for part in parts], np.int64), counts)
        dtype = dtype.newbyteorder("=")
        received = [np.empty((int(count), *shape), dtype) for count in counts]
        sent = [np.ascontiguousarray(part, dtype).reshape(-1) for part in parts]
        flat = [array.reshape(-1) for array in received]
        messages = PairwiseAlltoall(self._comm, sent, flat, self._group.next_tag())
        messages.run()
        messages.close()
        return received

    def plan_alltoall(
        self,
        counts: Sequence[int],
        row_shape: Shape,
        dtype: Any,
        *,
        algorithm: str = "auto",
        buffer: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> AlltoallPlan:
        """Set up an all-to-all to be run many times; see `AlltoallPlan`. Collective.

        Args:
            counts: how many rows go to each rank; they may be any, and differ between ranks.
            row_shape, dtype: of a row; the same on every rank. () for rows of one number.
            algorithm: "node" (shared memory; all ranks on one node), "pairwise" (messages), or "auto" for the first
                that can run.
            buffer, out: your own arrays, of sum(counts) rows and of as many as come in, which must not overlap; None
                for the plan's.

        Raises (on every rank): as `plan_allreduce`.
        """
        try:
            rows_out = np.array(counts, np.int64)
            if rows_out.shape != (self.size,) or (rows_out < 0).any():
                raise ValueError(f"alltoall: counts must hold a number of rows for each of the {self.size} ranks")
            shape, dtype = self._planned_source((int(rows_out.sum()), *row_shape), dtype, algorithm, "pairwise", buffer)
            _check_apart(buffer, out)
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        self._guard.agree(f"plan of alltoall of rows of shape {shape[1:]} {dtype_name(dtype)} by {algorithm}")
        table = np.empty((self.size, self.size), np.int64)  # [source, dest]
        self._comm.Allgather(rows_out, table)
        with self._guard.together("alltoall"):
            if out is not None:
                check_out(out, dtype, (int(table[:, self.rank].sum()), *shape[1:]))
        return AlltoallPlan(self._group, dtype, table, shape[1:], algorithm, buffer, out)

    def _planned_source(
        self, shape: int | Shape, dtype: Any, algorithm: str, messages: str, buffer: np.ndarray | None
    ) -> tuple[Shape, np.dtype]:
        """Return shape and dtype of a plan's source; raise TypeError or ValueError for what cannot be."""
        dimensions = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = check_array(np.empty(0, dtype)).dtype
        if algorithm not in ("auto", "node", messages):
            raise ValueError(f"unknown algorithm {algorithm!r}; choose auto, node or {messages}")
        if algorithm == "node" and not has_node(self._group):
            reason = self._group.no_memory or "the ranks do not share a node"
            raise ValueError(f"node cannot run here, only {messages}: {reason}")
        if buffer is not None:
            check_array(buffer)
            if buffer.dtype != dtype or buffer.shape != dimensions:
                raise ValueError(
                    f"buffer must be {dtype} of shape {dimensions}, but is {buffer.dtype} of shape {buffer.shape}"
                )
        return dimensions, dtype

    def _check_root(self, root: int) -> None:
        if not (isinstance(root, (int, np.integer)) and 0 <= root < self.size):
            raise ValueError(f"root must be a rank, 0 to {self.size - 1}, not {root!r}")

    def scatter(self, *arrays: Any, root: int = 0) -> tuple[Any, ...]:
        """Give every rank its block of the rows of root's arrays. Collective.

        Args:
            arrays: on root, arrays (n, ...) of any dtype but object, SciPy sparse matrices (n, d), or None; all with
                the same number of rows. What other ranks pass is not looked at.
            root: the rank that holds the data; the same on every rank.

        Returns:
            A tuple with one shard for each of root's arrays: rows ``slice(*partition.block(n, size, rank))`` as a new
            C-contiguous array, or CSR matrix for a sparse one; None for None.

        Raises (on every rank): TypeError or ValueError for arrays or a root that are not as above.
        """
        comm = self._comm
        try:
            self._check_root(root)
        except ValueError as error:
            self._guard.fail(error)
        self._guard.agree(f"scatter from root {root}")
        held: list[Any] = []
        layouts: list[rows.Layout] = []
        with self._guard.together("scatter"):
            if self.rank == root:
                held, layouts = rows.describe(arrays)
        layouts = comm.bcast(layouts, root)
        held = held or [None] * len(layouts)
        return tuple(rows.scatter(comm, array, layout, root) for array, layout in zip(held, layouts, strict=True))

    def gather_parts(self, array: np.ndarray, root: int = 0) -> Iterator[np.ndarray]:
        """Iterate at `root` over every rank's array in rank order, one in memory at a time. Collective.

        Every rank must exhaust the iterator; other ranks than `root` get nothing from it.
        """
        return rows.gather(self._comm, np.ascontiguousarray(array), root)

    def rotate(self, array: np.ndarray) -> np.ndarray:
        """Send this rank's array to the right neighbour and return the left neighbour's. Collective.

        Shapes may differ between ranks; after `size` calls every array has visited every rank.
        """
        return rows.rotate(self._comm, np.ascontiguousarray(array))


def _check_apart(buffer: np.ndarray | None, out: np.ndarray | None) -> None:
    if buffer is not None and out is not None and np.may_share_memory(buffer, out):
        raise ValueError("buffer and out must not overlap")
