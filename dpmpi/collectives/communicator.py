"""Communicator: the collectives that dpmpi runs between ranks, on a duplicate of the user's communicator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import numpy as np

from .. import kernels
from ..partition import block
from . import abort, ring, rows
from .guard import Guard
from .mpi import MPI, check_launcher, library_name

Combine = Callable[[np.ndarray, np.ndarray], None]

OPERATORS: dict[str, Combine] = {
    "sum": kernels.sum_into,
    "mean": kernels.sum_into,  # divided by the number of ranks when the sum is complete
    "prod": kernels.prod_into,
    "min": kernels.min_into,
    "max": kernels.max_into,
}


class Communicator:
    """All-reduce and its relatives on NumPy arrays, the same bits on every rank.

    Args:
        comm: the mpi4py communicator whose ranks take part; None for MPI.COMM_WORLD. It is duplicated, so messages
            of your own on `comm` cannot meet those of dpmpi. Creating and closing are collective.

    Every method that says *collective* must be called by all ranks, in the same order. Before data moves the ranks
    compare what they call: a mismatch raises MismatchError on every rank, and a bad argument on one rank raises an
    error of the same type on every rank. Use it in a ``with`` block, or call `close`.

    Raises:
        TypeError: `comm` is not an intra-communicator.
        RuntimeError: the job was started by another MPI's launcher, so that each process is alone.
    """

    def __init__(self, comm: MPI.Intracomm | None = None) -> None:
        if comm is None:
            check_launcher()
            comm = MPI.COMM_WORLD
        if not isinstance(comm, MPI.Intracomm):
            raise TypeError(f"comm must be an mpi4py intra-communicator or None, not {type(comm).__name__}")
        self._open_guard: Guard | None = Guard(comm.Dup())
        self.rank: int = comm.rank
        self.size: int = comm.size

    def __repr__(self) -> str:
        state = ", closed" if self._open_guard is None else ""
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
    def _guard(self) -> Guard:
        if self._open_guard is None:
            raise RuntimeError("this Communicator is closed")
        return self._open_guard

    @property
    def _comm(self) -> MPI.Intracomm:
        return self._guard.comm

    def _release(self, free: bool) -> None:
        if self._open_guard is not None and free and not MPI.Is_finalized():
            self._open_guard.comm.Free()
        self._open_guard = None

    # Collectives on arrays

    def allreduce(self, array: np.ndarray, op: str = "sum", out: np.ndarray | None = None) -> np.ndarray:
        """Combine the ranks' arrays element by element and leave the result on every rank. Collective.

        Args:
            array: any shape and strides, any boolean, integer, real or complex dtype; dtype and number of elements
                the same on every rank. float16 is combined in float32 and rounded once at the end.
            op: "sum", "prod", "min", "max" or "mean" (the sum divided by the number of ranks; floating and complex
                dtypes only). As in NumPy, sum and prod of booleans are logical or and and, min and max propagate
                NaN, and integers wrap around.
            out: where to put the result: shape and dtype of `array`; None for in place.

        Returns:
            `out`, or `array` when in place.

        Raises (on every rank):
            TypeError, ValueError: an argument is not as above.
            MismatchError: the ranks differ in op, dtype or number of elements; nothing was sent or written.

        The ring algorithm; see `dpmpi.collectives.ring` for its steps and bytes.
        """
        comm = self._comm
        call, error = "", None
        try:
            target = self._target(array, op, out)
            call = f"allreduce of {target.size} {target.dtype.name}, op={op}"
        except (TypeError, ValueError) as caught:
            error = caught
        self._guard.agree(call, error)
        work = _work(array, target)
        if self.size > 1:
            bounds = ring.chunk_bounds(work.size, self.size)
            self._reduce(comm, work, bounds, op)
            ring.all_gather(comm, work, bounds)
        _finish(work, target)
        return target

    def reduce_scatter(self, array: np.ndarray, op: str = "sum", out: np.ndarray | None = None) -> np.ndarray:
        """Combine the ranks' arrays and leave each rank its block of the result's rows. Collective.

        The first half of `allreduce`. `array` (n, ...) is not changed; rank r gets rows
        ``slice(*partition.block(n, size, r))`` of the result, in `out` if given (that shape, dtype of `array`).
        Arguments and errors are those of `allreduce`; also ValueError for an array without rows.
        """
        comm = self._comm
        call, error = "", None
        try:
            array = _checked(array, op)
            if array.ndim == 0:
                raise ValueError("reduce_scatter: a 0-dimensional array has no rows to share out")
            start, stop = block(array.shape[0], self.size, self.rank)
            shape = (stop - start, *array.shape[1:])
            target = np.empty(shape, array.dtype.newbyteorder("=")) if out is None else _checked_out(out, array, shape)
            call = f"reduce_scatter of {array.shape} {array.dtype.name}, op={op}"
        except (TypeError, ValueError) as caught:
            error = caught
        self._guard.agree(call, error)
        work = np.array(array, _work_dtype(array.dtype), order="C").reshape(-1)
        row = math.prod(array.shape[1:])
        bounds = [bound * row for bound in ring.chunk_bounds(array.shape[0], self.size)]
        if self.size > 1:
            self._reduce(comm, work, bounds, op)
        _finish(work[bounds[self.rank] : bounds[self.rank + 1]], target)
        return target

    def allgather(self, array: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Join the ranks' arrays along the first axis, in rank order, on every rank. Collective.

        The second half of `allreduce`. `array` (n_rank, ...) may differ between ranks in its number of rows, also
        none, but not in its other lengths or its dtype. The result (sum of n_rank, ...) is new, or `out`.
        Errors are those of `allreduce`.
        """
        comm = self._comm
        call, error = "", None
        try:
            array = _checked(array)
            if array.ndim == 0:
                raise ValueError("allgather: a 0-dimensional array has no rows to join; use array.reshape(1)")
            call = f"allgather of rows of shape {array.shape[1:]} {array.dtype.name}"
        except (TypeError, ValueError) as caught:
            error = caught
        self._guard.agree(call, error)
        counts = np.empty(self.size, np.int64)
        comm.Allgather(np.array([array.shape[0]], np.int64), counts)
        shape = (int(counts.sum()), *array.shape[1:])
        with self._guard.together("allgather"):
            dtype = array.dtype.newbyteorder("=")
            target = np.empty(shape, dtype) if out is None else _checked_out(out, array, shape)
        in_place = target.flags.c_contiguous and target.dtype == dtype and not np.may_share_memory(target, array)
        work = (target if in_place else np.empty(shape, dtype)).reshape(-1)
        row = math.prod(array.shape[1:])
        bounds = [0, *(int(bound) * row for bound in np.cumsum(counts))]
        work[bounds[self.rank] : bounds[self.rank + 1]] = array.reshape(-1)
        if self.size > 1:
            ring.all_gather(comm, work, bounds)
        _finish(work, target)
        return target

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
        error = None
        if not (isinstance(root, int) and 0 <= root < self.size):
            error = ValueError(f"scatter: root must be a rank, 0 to {self.size - 1}, not {root!r}")
        self._guard.agree(f"scatter from root {root}", error)
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

    def fail(self, error: Exception) -> None:
        """Take this rank's part in the others' next collective by raising `error` on every rank."""
        self._guard.agree("", error)

    def barrier(self) -> None:
        """Wait until every rank has come here. Collective."""
        self._comm.Barrier()

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

    def _target(self, array: np.ndarray, op: str, out: np.ndarray | None) -> np.ndarray:
        array = _checked(array, op)
        if out is not None:
            return _checked_out(out, array, array.shape)
        if not array.flags.writeable:
            raise ValueError("allreduce: the array is read-only; pass out= for the result")
        return array

    def _reduce(self, comm: MPI.Intracomm, work: np.ndarray, bounds: list[int], op: str) -> None:
        ring.reduce_scatter(comm, work, bounds, OPERATORS[op])
        if op == "mean":
            own = work[bounds[self.rank] : bounds[self.rank + 1]]
            np.divide(own, self.size, out=own)


def _checked(array: object, op: str = "sum") -> np.ndarray:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"only NumPy arrays can be combined, not {type(array).__name__}; wrap it with numpy.asarray")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("a masked array would lose its mask; fill it first with array.filled(value)")
    if array.dtype.kind not in "biufc":
        raise TypeError(f"only boolean, integer, real and complex arrays can be combined, not dtype {array.dtype}")
    if op not in OPERATORS:
        raise ValueError(f"unknown op {op!r}; choose one of {', '.join(OPERATORS)}")
    if op == "mean" and array.dtype.kind in "biu":
        raise TypeError(f"the mean of {array.dtype} does not fit that dtype; convert with array.astype(float) first")
    return array


def _checked_out(out: object, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
    if out.dtype != array.dtype or out.shape != shape:
        raise ValueError(f"out must be {array.dtype} of shape {shape}, but is {out.dtype} of shape {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    return out


def _work_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype in which values travel and are combined: native byte order, float16 as float32."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype.newbyteorder("=")


def _work(array: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return a flat contiguous array with the values of `array`: the memory of `target` itself where that will do."""
    dtype = _work_dtype(target.dtype)
    if target.flags.c_contiguous and dtype == target.dtype and dtype.isnative:
        if target is not array:
            np.copyto(target, array)
        return np.asarray(target).reshape(-1)
    return np.array(array, dtype, order="C").reshape(-1)


def _finish(work: np.ndarray, target: np.ndarray) -> None:
    """Put the combined values where they belong, unless they are there already."""
    if not np.may_share_memory(work, target):
        with np.errstate(over="ignore"):  # a float16 result may be infinite
            np.copyto(target, work.reshape(target.shape), casting="same_kind")
