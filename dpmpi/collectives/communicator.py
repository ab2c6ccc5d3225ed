"""Communicator: the collectives that dpmpi runs between ranks, on a duplicate of the user's communicator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from ..kernels import node
from ..partition import block
from . import abort, ring, rows
from .bucket import Bucket
from .buffers import check_array, check_out, flat_work, store, work_dtype
from .choose import Chooser
from .compressed import chosen_wire
from .group import ALGORITHMS, Call, Group
from .guard import Guard
from .mpi import MPI, check_launcher, library_name
from .operators import Op, operator
from .plan import AllreducePlan


class Communicator:
    """All-reduce and its relatives on NumPy arrays, the same bits on every rank.

    Args:
        comm: the mpi4py communicator whose ranks take part; None for MPI.COMM_WORLD. It is duplicated, so messages
            of your own on `comm` cannot meet those of dpmpi. Creating and closing are collective.
        ranks_per_node: None to ask MPI which ranks share memory; a number to take every so many of them as a node of
            their own (for NUMA domains, or to try out what runs between nodes).

    Every method that says *collective* must be called by all ranks, in the same order. Before data moves the ranks
    compare what they call: a mismatch raises MismatchError on every rank, and a bad argument on one rank raises an
    error of the same type on every rank. Use it in a ``with`` block, or call `close`.

    Raises:
        TypeError: `comm` is not an intra-communicator.
        RuntimeError: the job was started by another MPI's launcher, so that each process is alone.
    """

    def __init__(self, comm: MPI.Intracomm | None = None, *, ranks_per_node: int | None = None) -> None:
        if comm is None:
            check_launcher()
            comm = MPI.COMM_WORLD
        if not isinstance(comm, MPI.Intracomm):
            raise TypeError(f"comm must be an mpi4py intra-communicator or None, not {type(comm).__name__}")
        if ranks_per_node is not None and ranks_per_node < 1:
            raise ValueError(f"ranks_per_node must be at least 1, not {ranks_per_node}")
        self._open_group: Group | None = Group(comm.Dup(), ranks_per_node)
        self._chooser = Chooser(self._open_group)
        self.rank: int = comm.rank
        self.size: int = comm.size

    def __repr__(self) -> str:
        state = ", closed" if self._open_group is None else ""
        return f"Communicator(rank={self.rank}, size={self.size}{state})"

    def __enter__(self) -> Communicator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, SystemExit) and error.code not in (None, 0) and self.size > 1:
            abort.leave_or_abort(self._comm, error.code)
        # Other ranks may not be leaving when an exception passes through here, so freeing could wait for ever.
        self._release(free=error is None)

    def close(self) -> None:
        """Free the communicator. Collective; closing twice is allowed."""
        self._release(free=True)

    @property
    def _group(self) -> Group:
        if self._open_group is None:
            raise RuntimeError("this Communicator is closed")
        return self._open_group

    @property
    def _guard(self) -> Guard:
        return self._group.guard

    @property
    def _comm(self) -> MPI.Intracomm:
        return self._group.comm

    def _release(self, free: bool) -> None:
        if self._open_group is not None and free and not MPI.Is_finalized():
            self._open_group.close()
        self._open_group = self._chooser.team = None

    # Collectives on arrays

    def allreduce(
        self,
        array: np.ndarray,
        op: Op = "sum",
        out: np.ndarray | None = None,
        *,
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
            wire, wire_k: as for `plan_allreduce`. What is lost is kept by plans only: here every call stands alone.

        Returns:
            `out`, or `array` when in place.

        Raises (on every rank):
            TypeError, ValueError: an argument is not as above.
            MismatchError: the ranks differ in op, dtype or number of elements; nothing was sent or written.

        The algorithm is the fastest here by measured times; see `explain`.
        """
        plain = out is None and wire is None and wire_k is None
        if plain and self._chooser.team is not None and self._chooser.team.allreduce(array, op) == node.DONE:
            return array
        return self._allreduce(array, op, out, wire, wire_k)

    def _allreduce(
        self, array: np.ndarray, op: Op, out: np.ndarray | None, wire: str | None, wire_k: float | None
    ) -> np.ndarray:
        """All-reduce of what `node.Team` does not take as it is, or found that the ranks differ in."""
        group = self._group
        differ = self._chooser.team is not None and self._chooser.team.take_mismatch()
        try:
            target = self._target(array, op, out)
            coding = chosen_wire(wire, wire_k, operator(op), target.dtype)
            call = Call(operator(op), target.dtype, target.size, coding)
            call.operator.loop(work_dtype(call.dtype))  # compiles the user's own, or refuses it
            self._check_possible(call, "auto")
        except (TypeError, ValueError) as error:
            if differ:
                self._guard.tell("allreduce", error)
            self._guard.fail(error)
        if differ:
            self._guard.tell(str(call))
        work = flat_work(array, target, group.work_dtype(call))
        if self.size > 1:
            name = self._choose(call)
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
            call = self._planned(shape, dtype, op, algorithm, buffer, wire, wire_k)
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
        self, shape: Any, dtype: Any, op: Op, algorithm: str, buffer: Any, wire: str | None, wire_k: float | None
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
            check_out(buffer, np.empty(0, dtype), dimensions)
        call = Call(chosen, dtype, math.prod(dimensions), chosen_wire(wire, wire_k, chosen, dtype))
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

    def explain(self, nbytes: int, op: Op = "sum", dtype: Any = np.float32) -> str:
        """Say which algorithm combines `nbytes` bytes, with the expected time of each candidate. Collective."""
        if self.size == 1:
            return f"all-reduce of {nbytes} bytes: nothing to do on one rank"
        dtype = np.dtype(dtype)
        return self._chooser.explain(Call(operator(op), dtype, nbytes // dtype.itemsize))

    def tune(self) -> str:
        """Measure every algorithm thoroughly, save the times for later jobs of this kind; return where. Collective."""
        self._guard.agree("tune")
        self._chooser.tune()
        with self._guard.together("saving the tuning table"):
            path = self._chooser.save() if self.rank == 0 else ""
        return str(self._comm.bcast(path))

    def reduce_scatter(self, array: np.ndarray, op: Op = "sum", out: np.ndarray | None = None) -> np.ndarray:
        """Combine the ranks' arrays and leave each rank its block of the result's rows. Collective.

        The first half of `allreduce`. `array` (n, ...) is not changed; rank r gets rows
        ``slice(*partition.block(n, size, r))`` of the result, in `out` if given (that shape, dtype of `array`).
        Arguments and errors are those of `allreduce`; also ValueError for an array without rows.
        """
        comm = self._comm
        try:
            array = check_array(array, op)
            if array.ndim == 0:
                raise ValueError("reduce_scatter: a 0-dimensional array has no rows to share out")
            start, stop = block(array.shape[0], self.size, self.rank)
            shape = (stop - start, *array.shape[1:])
            target = np.empty(shape, array.dtype.newbyteorder("=")) if out is None else check_out(out, array, shape)
            call = f"reduce_scatter of {array.shape} {array.dtype.name}, op={op}"
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        self._guard.agree(call)
        work = np.array(array, work_dtype(array.dtype), order="C").reshape(-1)
        row = math.prod(array.shape[1:])
        bounds = [bound * row for bound in ring.chunk_bounds(array.shape[0], self.size)]
        if self.size > 1:
            half = ring.Ring(comm, work, bounds, operator(op).loop(work.dtype))
            half.run()
            half.close()
        own = work[bounds[self.rank] : bounds[self.rank + 1]]
        if operator(op).is_mean:
            np.divide(own, self.size, out=own)
        store(own, target)
        return target

    def allgather(self, array: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Join the ranks' arrays along the first axis, in rank order, on every rank. Collective.

        The second half of `allreduce`. `array` (n_rank, ...) may differ between ranks in its number of rows, also
        none, but not in its other lengths or its dtype. The result (sum of n_rank, ...) is new, or `out`.
        Errors are those of `allreduce`.
        """
        comm = self._comm
        try:
            array = check_array(array)
            if array.ndim == 0:
                raise ValueError("allgather: a 0-dimensional array has no rows to join; use array.reshape(1)")
            call = f"allgather of rows of shape {array.shape[1:]} {array.dtype.name}"
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        self._guard.agree(call)
        counts = np.empty(self.size, np.int64)
        comm.Allgather(np.array([array.shape[0]], np.int64), counts)
        shape = (int(counts.sum()), *array.shape[1:])
        with self._guard.together("allgather"):
            dtype = array.dtype.newbyteorder("=")
            target = np.empty(shape, dtype) if out is None else check_out(out, array, shape)
        in_place = target.flags.c_contiguous and target.dtype == dtype and not np.may_share_memory(target, array)
        work = (target if in_place else np.empty(shape, dtype)).reshape(-1)
        row = math.prod(array.shape[1:])
        bounds = [0, *(int(bound) * row for bound in np.cumsum(counts))]
        work[bounds[self.rank] : bounds[self.rank + 1]] = array.reshape(-1)
        if self.size > 1:
            half = ring.Ring(comm, work, bounds, None)
            half.run()
            half.close()
        store(work, target)
        return target

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
        self._guard.agree(f"broadcast of {array.size} {array.dtype.name} from root {root}")
        work = np.ascontiguousarray(array).reshape(-1)
        rows.broadcast(self._comm, work, root)
        if self.rank != root:
            store(work, array)
        return array

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
            if len(kinds) > 1 or parts[0].ndim == 0:
                raise ValueError("alltoall: the arrays must have rows, one dtype and the same lengths but the first")
        except (TypeError, ValueError) as error:
            self._guard.fail(error)
        sent = [np.ascontiguousarray(part) for part in parts]
        dtype, shape = kinds.pop()
        self._guard.agree(f"alltoall of rows of shape {shape} {dtype.name}")
        counts = np.empty(self.size, np.int64)
        self._comm.Alltoall(np.array([part.shape[0] for part in sent], np.int64), counts)
        received = [np.empty((int(count), *shape), dtype) for count in counts]
        rows.alltoall(self._comm, sent, received)
        return received

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
        kinds = ", ".join(f"{array.size} {array.dtype.name}" for array in arrays)
        self._guard.agree(f"bucket of {kinds} in {bucket_bytes} bytes, op={operator(op).name}")
        return Bucket(
            arrays, bucket_bytes, lambda n, dtype: self.plan_allreduce(n, dtype, op, wire=wire, wire_k=wire_k)
        )

    def _check_root(self, root: int) -> None:
        if not (isinstance(root, int) and 0 <= root < self.size):
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

    # What the ranks tell one another

    def share(self, value: Any) -> list[Any]:
        """Return every rank's `value` (a small Python object, pickled) in rank order. Collective."""
        return list(self._comm.allgather(value))

    def together(self, task: str = "local work") -> AbstractContextManager[None]:
        """Context manager: an exception raised in its body on any rank is raised on all ranks. Collective.

        The other ranks get an error of the same type that names the failing rank. The body must not communicate.
        """
        return self._guard.together(task)

    def agree(self, what: str) -> None:
        """Raise MismatchError on every rank unless all pass the same text. Collective."""
        self._guard.agree(what)

    def fail(self, error: Exception) -> NoReturn:
        """Take this rank's part in the others' next collective by raising `error` on every rank."""
        self._guard.fail(error)

    def barrier(self) -> None:
        """Wait until every rank has come here. Collective; MismatchError when another rank makes another call."""
        self._guard.agree("barrier")

    def node_names(self) -> list[str]:
        """Return the host name of every rank. Collective."""
        return self.share(MPI.Get_processor_name())

    @staticmethod
    def library() -> dict[str, str]:
        """Return the MPI library's version text, the MPI standard it follows and its threading level, as text."""
        levels = ("single", "funneled", "serialized", "multiple")
        threads = (MPI.THREAD_SINGLE, MPI.THREAD_FUNNELED, MPI.THREAD_SERIALIZED, MPI.THREAD_MULTIPLE)
        return {
            "mpi_library": library_name(),
            "mpi_standard": ".".join(map(str, MPI.Get_version())),
            "mpi_threads": levels[threads.index(MPI.Query_thread())],
        }

    def _target(self, array: np.ndarray, op: Op, out: np.ndarray | None) -> np.ndarray:
        array = check_array(array, op)
        if out is not None:
            return check_out(out, array, array.shape)
        if not array.flags.writeable:
            raise ValueError("allreduce: the array is read-only; pass out= for the result")
        return array
