"""The plans behind `Communicator.allreduce`, kept for calls of the same kind where setting up would cost more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from .call import Call
from .group import Group
from .plan import AllreducePlan

# Up to so many bytes copying an array costs less than setting the algorithm up; others have next to nothing to set up.
KEPT_BYTES = {"ring": 64 << 10, "hierarchical": 4 << 20}
KEPT, TOTAL_BYTES = 64, 16 << 20


class KeptPlans:
    """Plans of a group on buffers of their own.

    A plan is made when all ranks have agreed on its call, and is the last to go when they have run it: so every rank
    keeps the same ones, although arrays may lie differently in the ranks' memory, and calls may fail.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._plans: OrderedDict[Hashable, AllreducePlan] = OrderedDict()
        self._bytes = 0

    def takes(self, call: Call, algorithm: str) -> bool:
        """Whether a plan is kept for `call`. What a coded call loses is not for the next one, so it has none."""
        return (
            call.wire is None
            and call.operator.function is None
            and call.n * call.dtype.itemsize <= KEPT_BYTES.get(algorithm, -1)
        )

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
