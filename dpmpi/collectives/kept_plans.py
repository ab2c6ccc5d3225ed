"""The plans behind `Communicator.allreduce`, kept for calls of the same kind where setting up would cost more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from .call import Call
from .group import Group
from .operators import Op
from .plan import AllreducePlan

# Up to so many bytes copying an array costs less than setting the algorithm up; others have next to nothing to set up.
KEPT_BYTES = {"recursive_doubling": 64 << 10, "native": 64 << 10, "ring": 64 << 10, "hierarchical": 4 << 20}
KEPT, TOTAL_BYTES = 64, 16 << 20
KNOWN = 1024


class KeptPlans:
    """Plans of a group on buffers of their own.

    A plan is made when all ranks have agreed on its call, and is the last to go when they have run it: so every rank
    keeps the same ones, although arrays may lie differently in the ranks' memory, and calls may fail.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._plans: OrderedDict[Hashable, AllreducePlan] = OrderedDict()
        self._bytes = 0
        self._known: dict[tuple[str, np.dtype, int], Hashable] = {}

    def takes(self, call: Call, algorithm: str) -> bool:
        """Whether a plan is kept for `call`. What a coded call loses is not for the next one, so it has none."""
        return (
            call.wire is None
            and call.operator.function is None
            and call.n * call.dtype.itemsize <= KEPT_BYTES.get(algorithm, -1)
        )

    def run_again(self, array: np.ndarray, op: Op) -> bool:
        """Combine `array` in place by the plan of a call `known` to be such; False where there is none. Collective."""
        if not isinstance(op, str) or type(array) is not np.ndarray:
            return False
        key = self._known.get((op, array.dtype, array.size))
        plan = self._plans.get(key)
        flags = array.flags
        if plan is None or not (flags.c_contiguous and flags.writeable):
            return False
        flat = array.reshape(-1)
        plan.buffer[:] = flat
        plan.run()
        self._plans.move_to_end(key)
        flat[:] = plan.buffer
        return True

    def know(self, op: Op, call: Call, algorithm: str) -> None:
        """Let `run_again` take arrays like this call's."""
        if isinstance(op, str) and call.order == "fixed":
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[op, call.dtype, call.n] = str(call), algorithm

    def forget(self) -> None:
        """Say that other algorithms may be chosen from now on."""
        self._known.clear()

    def run(self, call: Call, algorithm: str, array: np.ndarray, target: np.ndarray) -> None:
        """Combine the ranks' `array` by `algorithm` and leave the result in `target`. Collective."""
        key = str(call), algorithm  # what the ranks agree on, so not the byte order of this one's array
        plan = self._plans.get(key)
        if plan is None:
            if not self._group.announces(algorithm, call):
                self._group.guard.agree(str(call))
            plan = AllreducePlan(
                self._group, call, algorithm, (call.n,), np.empty(call.n, call.dtype.newbyteorder("="))
            )
            np.copyto(plan.buffer, array.reshape(-1))
            plan.run_agreed()
            self._plans[key] = plan
            self._bytes += plan.buffer.nbytes
            while len(self._plans) > KEPT or self._bytes > TOTAL_BYTES:
                _, oldest = self._plans.popitem(last=False)
                self._bytes -= oldest.buffer.nbytes
                oldest.close()
        else:
            np.copyto(plan.buffer, array.reshape(-1))
            plan.run()
            self._plans.move_to_end(key)
        np.copyto(target, plan.buffer.reshape(target.shape))

    def close(self) -> None:
        """Free the plans."""
        for plan in self._plans.values():
            plan.close()
        self._plans.clear()
