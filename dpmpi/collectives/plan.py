"""Plans: a collective set up once and run many times; the all-reduce."""

from __future__ import annotations

import contextlib
import os
import threading

import numpy as np

from .algorithm import Algorithm, AtOnce
from .buffers import store
from .call import Call
from .closing import Closing
from .group import Group
from .shared_memory import NoSharedMemory, SharedMemory


class Plan(Closing):
    """A collective that was set up once; made by the `plan_` methods of `Communicator`.

    Attributes:
        algorithm: the one that runs.

    ``run()`` does all of it. ``start()``, then ``wait()`` or ``test()`` until it returns True, do the same in two
    steps, so that other work may go on in between. Several plans may be under way: all ranks start them in the same
    order, and may wait for them in any. `start` returns when all ranks have come to it and agreed on the call; what is
    done in shared memory alone is then done. Other collectives may run in between if they do on all ranks. Arrays must
    not be touched from `start` to the end. `run`, `start` and `close` are collective. Close a plan, or use it in a
    ``with`` block, when it is needed no more; a closed plan raises RuntimeError, and its arrays in shared memory must
    not be used.
    """

    def __init__(self, group: Group, text: str, algorithm: str) -> None:
        self.algorithm = algorithm
        self._group, self._text = group, text
        self._prepared: Algorithm | None = None
        self._memory: SharedMemory | None = None
        self._announces = False  # whether the algorithm tells the ranks' calls apart itself
        self._started = self._done = False
        self._lock = threading.Lock()  # a progress thread polls too

    def __repr__(self) -> str:
        state = "closed" if self._prepared is None else self.algorithm
        return f"{type(self).__name__}({self._text}, {state})"

    def run(self) -> None:
        """Run from start to end. Collective."""
        algorithm = self._begin()
        algorithm.run()
        self._finish()

    def run_agreed(self) -> None:
        """Run, the ranks having agreed on it just now. Collective."""
        self._load()
        self._open.run()
        self._finish()

    def run_once(self) -> None:
        """Run and close, the ranks having agreed on it just now. Collective."""
        self.run_agreed()
        self.close()

    def start(self) -> None:
        """Begin; the arrays must not be touched until `wait` or `test` says so. Collective."""
        if self._started:
            raise RuntimeError("this plan was started before; wait for it first")
        self._begin().start()
        self._started, self._done = True, False
        self._group.under_way.append(self)
        if self._group.progress is not None:
            self._group.progress.add(self)

    def test(self) -> bool:
        """Go on if messages have come in; return whether the result is there."""
        return self._advance()

    def wait(self) -> None:
        """Wait until the result is there; other started plans go on meanwhile, which other ranks may wait for first."""
        while not self._advance():
            for plan in self._group.under_way:
                if plan is not self:
                    plan.poll()
            os.sched_yield()

    def poll(self) -> bool:
        """Let messages of a started plan go on, without waiting for other ranks; return whether none are left.

        It may be called in another thread than `wait` and `test`.
        """
        if not self._lock.acquire(blocking=False):
            return False  # another thread is at it
        try:
            algorithm = self._prepared
            if algorithm is None or not self._started or isinstance(algorithm, AtOnce):
                return True
            self._done = self._done or algorithm.advance()
            return self._done
        finally:
            self._lock.release()

    def _begin(self) -> Algorithm:
        algorithm = self._open
        self._load()
        if not self._announces:
            self._group.guard.agree(self._text)
        return algorithm

    def _advance(self) -> bool:
        algorithm = self._open
        if not self._started:
            raise RuntimeError("this plan was not started")
        with self._lock:
            if not self._done and not algorithm.advance():
                return False
            self._started = False
        self._group.under_way.remove(self)
        self._finish()
        return True

    def _load(self) -> None:
        """Bring the values to where the algorithm works."""

    def _finish(self) -> None:
        """Bring the result to where it belongs."""

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
        with self._lock:
            self._prepared.close()
            self._prepared = None
        if self._memory is not None:
            self._memory.close()
            self._memory = None


class AllreducePlan(Plan):
    """All-reduce of one array, made by `Communicator.plan_allreduce`; see `Plan`.

    Attributes:
        buffer: the array that is combined in place: in node-shared memory, so that nothing is copied, or the user's.
    """

    def __init__(
        self, group: Group, call: Call, algorithm: str, shape: tuple[int, ...], buffer: np.ndarray | None
    ) -> None:
        super().__init__(group, str(call), algorithm)
        dtype = group.work_dtype(call)
        if buffer is None and algorithm in ("node", "hierarchical") and dtype == call.dtype:
            n_bytes = call.n * dtype.itemsize
            self._memory = shared_by_node(group, n_bytes if algorithm == "node" else group.layout(n_bytes).n_bytes)
        if self._memory is not None:
            buffer = self._memory.own[: call.n * dtype.itemsize].view(dtype).reshape(shape)
        elif buffer is None:
            buffer = np.zeros(shape, call.dtype)
        self.buffer = buffer
        direct = buffer.flags.c_contiguous and dtype == call.dtype
        flat = np.asarray(buffer).reshape(-1) if direct else np.empty(call.n, dtype)
        self._work = None if direct else flat
        self._prepared = group.prepare(algorithm, call, flat, self._memory)
        self._announces = group.announces(algorithm, call)
        if direct and self._announces:
            self.run = self._prepared.run  # type: ignore[method-assign]

    def _load(self) -> None:
        if self._work is not None:
            with np.errstate(over="ignore"):  # float64 that is coded on its way may be infinite as float32
                np.copyto(self._work, self.buffer.reshape(-1), casting="same_kind")

    def _finish(self) -> None:
        if self._work is not None:
            store(self._work, self.buffer)

    def close(self) -> None:
        """Free the plan. Collective; closing twice is allowed."""
        if self._memory is not None:
            self.buffer = np.empty(0, self.buffer.dtype)
        super().close()
        self.run = self._closed  # type: ignore[method-assign]

    def _closed(self) -> None:
        self._open  # noqa: B018  raises


def shared_by_node(group: Group, n_bytes: int) -> SharedMemory | None:
    """Return `n_bytes` of shared memory, or None on all ranks when a node has too little. Collective."""
    memory = None
    with contextlib.suppress(NoSharedMemory):
        memory = SharedMemory(group.topology.local, n_bytes)
    if len(group.topology.sizes) > 1 and not all(group.comm.allgather(memory is not None)) and memory is not None:
        memory.close()
        return None
    return memory
