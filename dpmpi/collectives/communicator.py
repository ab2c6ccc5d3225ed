"""Communicator: the collectives that dpmpi runs between ranks, on a duplicate of the user's communicator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels import node
from .bucket import Bucket
from .buffers import check_array, check_out, dtype_name, flat_work, store, work_dtype
from .call import Call
from .choose import Chooser
from .compressed import chosen_wire
from .group import ALGORITHMS
from .kept_plans import KeptPlans
from .mpi import MPI
from .operators import Op, operator
from .plan import AllreducePlan
from .row_collectives import RowCollectives


class Communicator(RowCollectives):
    """All-reduce and its relatives on NumPy arrays, the same bits on every rank.

    Args:
        comm: the mpi4py communicator whose ranks take part; None for MPI.COMM_WORLD. It is duplicated, so messages
            of your own on `comm` cannot meet those of dpmpi. Creating and closing are collective.
        ranks_per_node: None to ask MPI which ranks share memory; a number to take every so many of them as a node of
            their own (for NUMA domains, or to try out what runs between nodes).
        progress_thread: whether a thread lets messages of started plans and buckets go on while this rank computes. It
            sleeps most of the time, and keeps off the ranks' processors where there are others. Without it they go on
            while `test`, `poll` or another MPI call runs.

    Every method that says *collective* must be called by all ranks, in the same order. Before data moves the ranks
    compare what they call: a mismatch raises MismatchError on every rank, and a bad argument on one rank raises an
    error of the same type on every rank. Use it in a ``with`` block, or call `close`.

    Raises:
        TypeError: `comm` is not an intra-communicator.
        RuntimeError: the job was started by another MPI's launcher, so that each process is alone; or `progress_thread`
            and MPI was not started for calls from several threads.
    """

    def __init__(
        self, comm: MPI.Intracomm | None = None, *, ranks_per_node: int | None = None, progress_thread: bool = False
    ) -> None:
        super().__init__(comm, ranks_per_node=ranks_per_node, progress_thread=progress_thread)
        self._chooser = Chooser(self._group)
        self._kept = KeptPlans(self._group)

    def _release(self, free: bool) -> None:
        if self._open_group is not None and free and not MPI.Is_finalized():
            self._kept.close()
        super()._release(free)
        self._chooser.team = None

    def allreduce(
        self,
        array: np.ndarray,
        op: Op = "sum",
        out: np.ndarray | None = None,
        *,
        order: str = "fixed",
        wire: str | None = None,
        wire_k: float | None = None,
    ) -> np.ndarray:
        """Combine the ranks' arrays element by element and leave the result on every rank. Collective.

        Args:
            array: any shape and strides, any boolean, integer, real or complex dtype; dtype and number of elements
                the same on every rank. float16 is combined in float32 and rounded once at the end.
            op: "sum", "prod", "min", "max", "mean" (the sum divided by the number of ranks; floating and complex
                dtypes only), "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor"
                (booleans and integers), "argmin", "argmax" (of `dpmpi.pairs`), or your own associative function
                ``op(acc, x)``, which Numba compiles; see `dpmpi.user_operator`. As in NumPy, sum and prod of booleans
                are logical or and and, min and max propagate NaN, and integers wrap around.
            out: where to put the result: shape and dtype of `array`; None for in place.
            order: "fixed" for the same bits from run to run on this machine; "any" for the fastest algorithm by the
                times measured in this job, MPI's own included, which may combine the ranks' values in another order.
            wire, wire_k: as for `plan_allreduce`. What is lost is kept by plans only: here every call stands alone.

        Returns:
            `out`, or `array` when in place.

        Raises (on every rank):
            TypeError, ValueError: an argument is not as above.
            MismatchError: the ranks differ in op, dtype or number of elements; nothing was sent or written.

        The algorithm is the fastest here by measured times; see `explain`.
        """
        plain = out is None and order == "fixed" and wire is None and wire_k is None
        if plain and self._chooser.team is not None and self._chooser.team.allreduce(array, op) == node.DONE:
            return array
        if plain and self._kept.run_again(array, op):
            return array
        return self._allreduce(array, op, out, order, wire, wire_k)

    def _allreduce(
        self, array: np.ndarray, op: Op, out: np.ndarray | None, order: str, wire: str | None, wire_k: float | None
    ) -> np.ndarray:
        """All-reduce of what `node.Team` does not take as it is, or found that the ranks differ in."""
        group = self._group
        differ = self._chooser.team is not None and self._chooser.team.take_mismatch()
        try:
            target = self._target(array, op, out)
            coding = chosen_wire(wire, wire_k, operator(op), target.dtype)
            call = Call(operator(op), target.dtype, target.size, order, coding)
            loop = call.operator.loop(work_dtype(call.dtype))  # compiles the user's own, or refuses it
            self._check_possible(call, "auto")
        except (TypeError, ValueError) as error:
            if differ:
                self._guard.tell("allreduce", error)
            self._guard.fail(error)
        if differ:
            self._guard.tell(str(call))
        if self._chooser.team is not None and call.operator.function is not None:
            self._chooser.team.learn(op, call.operator.code, call.dtype, loop)
        name = self._choose(call) if self.size > 1 else ""
        if self._kept.takes(call, name):
            self._kept.run(call, name, array, target)
            self._kept.know(op, call, name)
            return target
        work = flat_work(array, target, group.work_dtype(call))
        if self.size > 1:
            if not group.announces(name, call):
                self._guard.agree(str(call))
            algorithm = group.prepare(name, call, work)
            algorithm.run()
            algorithm.close()
        store(work, target)
        return target

    def plan_allreduce(
        self,
        shape: int | tuple[int, ...],
        dtype: Any,
        op: Op = "sum",
        *,
        algorithm: str = "auto",
        order: str = "fixed",
        buffer: np.ndarray | None = None,
        wire: str | None = None,
        wire_k: float | None = None,
    ) -> AllreducePlan:
        """Set up an all-reduce to be run many times; see `AllreducePlan`. Collective.

        Args:
            shape, dtype: of the array.
            op: as for `allreduce`.
            algorithm: "auto", or one of "node" (shared memory; all ranks on one node), "hierarchical" (several nodes),
                "ring", "recursive_doubling" and "native".
            order: as for `allreduce`; what "auto" may choose from.
            buffer: your own array of that shape and dtype, combined in place; None for one that the plan makes, in
                node-shared memory where the algorithm can use it.
            wire: how numbers travel between nodes, by "hierarchical": "fp16", "bf16", "int8" (with a scale for every
                256) or "topk" (the largest alone); None for as they are. For sum and mean of float32, and of float16
                and float64, which are rounded to float32 before. What that loses in one run is kept in the plan and
                added in the next. On one node it changes nothing. See docs/collectives.md for errors and bytes.
            wire_k: the part of the numbers that topk sends at a time; None for 0.01.

        Raises (on every rank): TypeError or ValueError for bad arguments, or an algorithm that cannot run here, with
            the reason; MismatchError when the ranks' plans differ.
        """
        group = self._group
        try:
            call = self._planned(shape, dtype, op, algorithm, order, buffer, wire, wire_k)
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        whose = "its own" if buffer is None else "the user's"
        self._guard.agree(f"plan of {call} by {algorithm} on {whose} buffer")
        name = algorithm
        if algorithm == "auto":
            name = self._choose(call) if self.size > 1 else "recursive_doubling"
        dimensions = (shape,) if isinstance(shape, int) else tuple(shape)
        return AllreducePlan(group, call, name, dimensions, buffer)

    def _planned(
        self,
        shape: Any,
        dtype: Any,
        op: Op,
        algorithm: str,
        order: str,
        buffer: Any,
        wire: str | None,
        wire_k: float | None,
    ) -> Call:
        dtype = np.dtype(dtype)
        chosen = operator(op)
        chosen.check(dtype)
        chosen.loop(work_dtype(dtype))
        if algorithm != "auto":
            possible = self._group.candidates(chosen, work_dtype(dtype))
            if algorithm not in ALGORITHMS:
                raise ValueError(f"unknown algorithm {algorithm!r}; choose auto or one of {', '.join(ALGORITHMS)}")
            if algorithm not in possible:
                reason = self._group.no_memory or "see Communicator.plan_allreduce for what each needs"
                raise ValueError(f"{algorithm} cannot run here, only {', '.join(possible)}: {reason}")
        dimensions = (shape,) if isinstance(shape, int) else tuple(shape)
        if buffer is not None:
            check_array(buffer)
            check_out(buffer, dtype, dimensions, "buffer")
        call = Call(chosen, dtype, math.prod(dimensions), order, chosen_wire(wire, wire_k, chosen, dtype))
        self._check_possible(call, algorithm)
        return call

    def _check_possible(self, call: Call, algorithm: str) -> None:
        """Raise ValueError when numbers are to be coded between nodes and the algorithm cannot do that here."""
        group = self._group
        if call.wire is None or len(group.topology.sizes) == 1:
            return
        if algorithm not in ("auto", "hierarchical") or group.no_memory:
            raise ValueError(f"wire={call.wire} needs the algorithm hierarchical. {group.no_memory}".rstrip())

    def _choose(self, call: Call) -> str:
        coded = call.wire is not None and len(self._group.topology.sizes) > 1
        return "hierarchical" if coded else self._chooser.choose(call)

    def explain(self, nbytes: int, op: Op = "sum", dtype: Any = np.float32, *, order: str = "fixed") -> str:
        """Say which algorithm combines `nbytes` bytes, with the expected time of each candidate. Collective."""
        dtype = np.dtype(dtype)
        try:
            if nbytes < 0:
                raise ValueError(f"explain: nbytes must not be negative, but is {nbytes}")
            operator(op).check(dtype)
            call = Call(operator(op), dtype, nbytes // dtype.itemsize, order)
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        if self.size == 1:
            return f"all-reduce of {nbytes} bytes: nothing to do on one rank"
        self._guard.agree(f"explain of {call}")
        return self._chooser.explain(call)

    def tune(self) -> str:
        """Measure every algorithm thoroughly, save the times for later jobs of this kind; return where. Collective."""
        self._guard.agree("tune")
        self._chooser.tune()
        self._kept.forget()
        with self._guard.together("saving the tuning table"):
            path = self._chooser.save() if self.rank == 0 else ""
        return str(self._comm.bcast(path))

    def bucket(
        self,
        arrays: Sequence[np.ndarray],
        op: Op = "sum",
        *,
        bucket_bytes: int = 4 << 20,
        wire: str | None = None,
        wire_k: float | None = None,
    ) -> Bucket:
        """Set up the all-reduce of many arrays as few large ones; see `Bucket`. Collective.

        Args:
            arrays: writable arrays of any shapes and numeric dtypes, combined in place; the same list on every rank.
            op: as for `allreduce`.
            bucket_bytes: how much travels at once.
            wire, wire_k: as for `plan_allreduce`.

        Raises (on every rank): TypeError, ValueError or MismatchError as `plan_allreduce`.
        """
        try:
            for array in arrays:
                check_array(array, op)
                if not array.flags.writeable:
                    raise ValueError("bucket: an array is read-only")
            if not arrays or bucket_bytes < 1:
                raise ValueError("bucket: needs arrays and a positive bucket_bytes")
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        kinds = ", ".join(f"{array.size} {dtype_name(array.dtype)}" for array in arrays)
        self._guard.agree(f"bucket of {kinds} in {bucket_bytes} bytes, op={operator(op).name}")
        return Bucket(
            arrays, bucket_bytes, lambda n, dtype: self.plan_allreduce(n, dtype, op, wire=wire, wire_k=wire_k)
        )

    def _target(self, array: np.ndarray, op: Op, out: np.ndarray | None) -> np.ndarray:
        array = check_array(array, op)
        if out is not None:
            return check_out(out, array.dtype, array.shape)
        if not array.flags.writeable:
            raise ValueError("allreduce: the array is read-only; pass out= for the result")
        return array
