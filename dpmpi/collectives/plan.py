"""Plans: an all-reduce set up once and run many times."""

from __future__ import annotations

import contextlib
from types import TracebackType

import numpy as np

from .buffers import store
from .group import Algorithm, AtOnce, Call, Group
from .shared_memory import NoSharedMemory, SharedMemory


class AllreducePlan:
    """All-reduce of one array, made by `Communicator.plan_allreduce`.

    Attributes:
        buffer: the array that is combined in place: in node-shared memory, so that nothing is copied, or the user's.
        algorithm: the one that runs.
        run: call it to combine the ranks' buffers. Collective.

    ``start()``, then ``wait()`` or ``test()`` until it returns True, do the same in two steps, so that other work may
    go on in between; several plans may be under way. Close a plan, or use it in a ``with`` block, when it is needed no
    more; a closed plan raises RuntimeError. `buffer` in shared memory must not be used after that.
    """

    def __init__(
        self, group: Group, call: Call, algorithm: str, shape: tuple[int, ...], buffer: np.ndarray | None
    ) -> None:
        self.algorithm = algorithm
        self._group, self._call = group, call
        self._memory: SharedMemory | None = None
        dtype = group.work_dtype(call)
        in_memory = buffer is None and algorithm in ("node", "hierarchical") and dtype == call.dtype
        if in_memory:
            n_bytes = call.n * call.dtype.itemsize
            self._memory = _shared(group, n_bytes if algorithm == "node" else group.layout(n_bytes).n_bytes)
        if self._memory is not None:
            buffer = self._memory.own[: call.n * call.dtype.itemsize].view(call.dtype).reshape(shape)
        elif buffer is None:
            buffer = np.zeros(shape, call.dtype)
        self.buffer = buffer
        direct = buffer.flags.c_contiguous and dtype == call.dtype
        flat = np.asarray(buffer).reshape(-1) if direct else np.empty(call.n, dtype)
        self._work = None if direct else flat
        self._prepared: Algorithm | None = group.prepare(algorithm, call, flat, self._memory)
        self._started = self._done = False
        if direct and group.announces(algorithm, call):
            self.run = self._prepared.run  # type: ignore[method-assign]

    def __repr__(self) -> str:
        state = "closed" if self._prepared is None else self.algorithm
        return f"AllreducePlan({self._call}, {state})"

    def run(self) -> None:
        """Combine the ranks' buffers in place. Collective."""
        algorithm = self._begin()
        algorithm.run()
        self._finish()

    def start(self) -> None:
        """Begin to combine the buffers, which must not be touched until `wait` or `test` says so. Collective."""
        if self._started:
            raise RuntimeError("this plan was started before; wait for it first")
        self._begin().start()
        self._started, self._done = True, False

    def test(self) -> bool:
        """Go on if messages have come in; return whether the result is there."""
        return self._advance(wait=False)

    def wait(self) -> None:
        """Wait until the result is there."""
        self._advance(wait=True)

    def poll(self) -> None:
        """Let messages of a started plan go on, without waiting for other ranks."""
        algorithm = self._open
        if self._started and not self._done and not isinstance(algorithm, AtOnce):
            self._done = algorithm.advance(wait=False)

    def _begin(self) -> Algorithm:
        algorithm = self._open
        if not self._group.announces(self.algorithm, self._call):
            self._group.guard.agree(str(self._call))
        if self._work is not None:
            with np.errstate(over="ignore"):  # float64 that is coded on its way may be infinite as float32
                np.copyto(self._work, self.buffer.reshape(-1), casting="same_kind")
        return algorithm

    def _advance(self, wait: bool) -> bool:
        algorithm = self._open
        if not self._started:
            raise RuntimeError("this plan was not started")
        if not self._done and not algorithm.advance(wait):
            return False
        self._started = False
        self._finish()
        return True

    def _finish(self) -> None:
        if self._work is not None:
            store(self._work, self.buffer)

    @property
    def _open(self) -> Algorithm:
        if self._prepared is None:
            raise RuntimeError("this plan is closed")
        return self._prepared

    def close(self) -> None:
        """Free the plan. Collective; closing twice is allowed."""
        if self._prepared is None:
            return
        if self._started:
            self.wait()
        self._prepared.close()
        self._prepared = None
        self.run = self._closed  # type: ignore[method-assign]
        if self._memory is not None:
            self.buffer = np.empty(0, self._call.dtype)
            self._memory.close()
            self._memory = None

    def _closed(self) -> None:
        self._open  # noqa: B018  raises

    def __enter__(self) -> AllreducePlan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()


def _shared(group: Group, n_bytes: int) -> SharedMemory | None:
    """Return shared memory for a plan's buffer, or None on all ranks when a node has too little."""
    memory = None
    with contextlib.suppress(NoSharedMemory):
        memory = SharedMemory(group.topology.local, n_bytes)
    if len(group.topology.sizes) > 1 and not all(group.comm.allgather(memory is not None)) and memory is not None:
        memory.close()
        return None
    return memory
