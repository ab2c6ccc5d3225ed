"""Engine: scatter rows, run functions on every rank's shard, reduce what kernels add up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from .collectives import Communicator
from .data import Dataset

IDENTITIES: dict[str, Callable[[np.dtype], Any]] = {
    "sum": lambda dtype: 0,
    "prod": lambda dtype: 1,
    "min": lambda dtype: _extreme(dtype, largest=True),
    "max": lambda dtype: _extreme(dtype, largest=False),
}


class Engine:
    """The ranks of a job, each with a shard of the rows, and one combined answer.

    Args:
        comm: a `Communicator`, which stays the caller's; or an mpi4py communicator or None (MPI.COMM_WORLD), for
            which the engine makes a Communicator of its own and closes it.

    Attributes:
        comm: the Communicator.
        rank, size: this rank's number, and how many there are.
        seconds: wall-clock seconds this rank spent so far in "read", "compute" and "communicate".

    Use it in a ``with`` block, or call `close`.
    """

    def __init__(self, comm: Any = None) -> None:
        self._owns = not isinstance(comm, Communicator)
        self.comm: Communicator = Communicator(comm) if self._owns else comm
        self.rank = self.comm.rank
        self.size = self.comm.size
        self.seconds = {"read": 0.0, "compute": 0.0, "communicate": 0.0}

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._owns:
            self.comm.__exit__(kind, error, traceback)

    def close(self) -> None:
        """Close the communicator if it is the engine's own. Collective."""
        if self._owns:
            self.comm.close()

    @contextmanager
    def timer(self, name: str) -> Iterator[None]:
        """Add the wall-clock time of the body to ``seconds[name]``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def scatter(self, *arrays: Any, root: int = 0) -> tuple[Any, ...]:
        """Give every rank its block of the rows of root's arrays; see `Communicator.scatter`. Collective."""
        with self.timer("communicate"):
            return self.comm.scatter(*arrays, root=root)

    def map(self, function: Callable[..., Any], shards: Any, *params: Any) -> Any:
        """Return ``function(*shards, *params)`` of this rank's shards. Nothing is communicated.

        `shards` is one array or a tuple of arrays aligned by rows.
        """
        with self.timer("compute"):
            return function(*_aligned(shards), *params)

    def reduce(
        self, kernel: Callable[..., None], shards: Any, *params: Any, out: np.ndarray, op: str = "sum"
    ) -> np.ndarray:
        """Run `kernel` on every rank's shards and combine what they wrote, on every rank. Collective.

        Args:
            kernel: called as ``kernel(*shards, *params, out)``; combines its rows' part into `out` and returns None.
                Compiled by Cython or Numba, or plain Python.
            shards: one array, or a tuple of arrays (or None) with the same number of rows; also zero rows. Or a
                `dpmpi.data.Dataset`: the kernel is called once for each of its blocks (X, y, sample_weight), while
                the next one is read.
            params: passed on as they are; the same on every rank.
            out: array of any numeric dtype and shape, overwritten: it is set to the identity of `op` before the
                kernel runs and holds the combined result at the end.
            op: "sum", "prod", "min" or "max".

        Returns:
            `out`.

        Raises (on every rank): what the kernel raised on any rank; ValueError or TypeError for bad arguments.
        """
        try:
            if op not in IDENTITIES:
                raise ValueError(f"reduce: unknown op {op!r}; choose one of {', '.join(IDENTITIES)}")
            if not isinstance(out, np.ndarray):
                raise TypeError(f"reduce: out must be a NumPy array, not {type(out).__name__}")
            out[...] = IDENTITIES[op](out.dtype)
            for first, block in self._blocks(shards):
                try:
                    returned = self.map(kernel, block, *params, out)
                except ValueError as error:
                    if first is None:
                        raise
                    raise ValueError(f"{error} (counted from row {first} of {shards.source})") from error
                if returned is not None:
                    raise TypeError("reduce: the kernel returned a value; it must put its result into out")
        except Exception as error:
            self.comm.fail(error)
        with self.timer("communicate"):
            return self.comm.allreduce(out, op)

    def _blocks(self, shards: Any) -> Iterator[tuple[int | None, Any]]:
        """Yield what is in memory as it is, with None; a Dataset block by block, with the global number of its first
        row. Waiting for a block counts as reading."""
        if not isinstance(shards, Dataset):
            yield None, shards
            return
        blocks, first = shards.blocks(), shards.start
        while True:
            with self.timer("read"):
                block = next(blocks, None)
            if block is None:
                return
            yield first, block
            first += block[0].shape[0]


def _aligned(shards: Any) -> tuple[Any, ...]:
    arrays = shards if isinstance(shards, tuple) else (shards,)
    counts = {array.shape[0] for array in arrays if array is not None}
    if len(counts) > 1:
        raise ValueError(f"the shards must have the same number of rows, but have {sorted(counts)}")
    return arrays


def _extreme(dtype: np.dtype, largest: bool) -> Any:
    if dtype.kind == "b":
        return largest
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return limits.max if largest else limits.min
    infinity = np.inf if largest else -np.inf
    return complex(infinity, infinity) if dtype.kind == "c" else infinity
