"""The plans behind `Communicator.allreduce`, kept for calls of the same kind: up to KEPT small ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from .group import Call, Group
from .plan import AllreducePlan

KEPT = 64
KEPT_BYTES = 256 << 10  # larger arrays are not copied for it: setting up costs them little


class KeptPlans:
    """Plans of a group on buffers of their own.

    A plan is made when all ranks have agreed on its call, and is the last to go when they have run it: so every rank
    keeps the same ones, although arrays may lie differently in the ranks' memory, and calls may fail.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._plans: OrderedDict[Hashable, AllreducePlan] = OrderedDict()

    def run(self, call: Call, algorithm: str, array: np.ndarray, target: np.ndarray) -> None:
        """Combine the ranks' `array` by `algorithm` and leave the result in `target`. Collective."""
        key = call.operator.name, call.operator.function, call.dtype, call.n, call.order, call.wire, algorithm
        plan = self._plans.get(key)
        if plan is None:
            if not self._group.announces(algorithm, call):
                self._group.guard.agree(str(call))
            plan = AllreducePlan(self._group, call, algorithm, (call.n,), np.empty(call.n, call.dtype))
            np.copyto(plan.buffer, array.reshape(-1))
            plan.run_agreed()
            self._plans[key] = plan
            if len(self._plans) > KEPT:
                self._plans.popitem(last=False)[1].close()
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
