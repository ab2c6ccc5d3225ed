"""Many small arrays travel as few large ones: fused in a fixed order, each bucket sent as soon as it is full."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from .closing import Closing
from .plan import AllreducePlan

# A look at the messages costs some microseconds, and TCP's work is cheaper for many bytes at a time; a piece on its way
# between nodes takes longer than this on most networks.
POLL_SECONDS = 300e-6


class Bucket(Closing):
    """All-reduce of a fixed list of arrays, made by `Communicator.bucket`.

    The arrays fill buckets in the order given, one dtype a bucket. ``start(i)`` says that array i is ready, in any
    order; a bucket is sent when all of its arrays are, and buckets in their order, the same on every rank. So the
    gradient of one layer travels while that of the next is computed. ``wait()`` puts the results back.
    """

    def __init__(
        self, arrays: Sequence[np.ndarray], bucket_bytes: int, plan: Callable[[int, np.dtype], AllreducePlan]
    ) -> None:
        self._arrays = list(arrays)
        self._members = fill([(array.dtype, array.nbytes) for array in self._arrays], bucket_bytes)
        self._plans: list[AllreducePlan] = []
        self._place: dict[int, tuple[int, slice]] = {}
        for number, members in enumerate(self._members):
            low = 0
            for i in members:
                self._place[i] = number, slice(low, low + self._arrays[i].size)
                low += self._arrays[i].size
            self._plans.append(plan(low, self._arrays[members[0]].dtype))
        self._begin()

    def _begin(self) -> None:
        self._missing = [set(members) for members in self._members]
        self._sent = 0
        self._polled = 0.0

    @property
    def n_buckets(self) -> int:
        """How many buckets the arrays fill."""
        return len(self._plans)

    def start(self, i: int) -> None:
        """Array `i` is ready: take its values. Every array must be started once before `wait`."""
        if i not in self._place:
            raise IndexError(f"bucket: there is no array {i}, only 0 to {len(self._arrays) - 1}")
        number, where = self._place[i]
        if i not in self._missing[number]:
            raise RuntimeError(f"bucket: array {i} was started before; wait first")
        self._plans[number].buffer[where] = self._arrays[i].reshape(-1)
        self._missing[number].remove(i)
        while self._sent < len(self._plans) and not self._missing[self._sent]:
            self._plans[self._sent].start()
            self._sent += 1
        self.poll()

    def poll(self) -> None:
        """Let the buckets that are under way go on; call it often in a long computation: mostly it does nothing."""
        now = time.perf_counter()
        if now - self._polled < POLL_SECONDS:
            return
        self._polled = now
        for plan in self._plans[: self._sent]:
            plan.poll()

    def wait(self) -> None:
        """Wait for all buckets and put the results into the arrays. Collective."""
        late = sorted(i for missing in self._missing for i in missing)
        if late:
            raise RuntimeError(f"bucket: arrays {late} were not started")
        for plan in self._plans:
            plan.wait()
        for i, (number, where) in self._place.items():
            self._arrays[i][...] = self._plans[number].buffer[where].reshape(self._arrays[i].shape)
        self._begin()

    def run(self) -> None:
        """Start all arrays and wait. Collective."""
        for i in range(len(self._arrays)):
            self.start(i)
        self.wait()

    def close(self) -> None:
        """Free the plans. Collective."""
        for plan in self._plans:
            plan.close()


def fill(arrays: Sequence[tuple[np.dtype, int]], bucket_bytes: int) -> list[list[int]]:
    """Return the array numbers in each bucket, for arrays of given (dtype, bytes).

    A bucket holds arrays of one dtype, in their order, up to `bucket_bytes`; a larger array has one of its own.
    """
    buckets: list[list[int]] = []
    open_buckets: dict[np.dtype, tuple[int, int]] = {}  # bucket number and bytes in it
    for i, (dtype, n_bytes) in enumerate(arrays):
        number, held = open_buckets.get(dtype, (-1, bucket_bytes))
        if number < 0 or held + n_bytes > bucket_bytes:
            number, held = len(buckets), 0
            buckets.append([])
        buckets[number].append(i)
        open_buckets[dtype] = number, held + n_bytes
    return buckets
