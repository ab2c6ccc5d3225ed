"""The ranks of one node reduce in shared memory, in native code."""

from __future__ import annotations

import functools

import numpy as np

from ..kernels.node import Team
from .algorithm import AtOnce
from .call import Call
from .guard import Guard
from .shared_memory import SharedMemory


class NodeAllreduce(AtOnce):
    """All-reduce among the ranks of one node: see `kernels/node.h`."""

    def __init__(
        self, team: Team, guard: Guard, call: Call, work: np.ndarray, loop: int, memory: SharedMemory | None
    ) -> None:
        addresses = memory.addresses if memory is not None else [work.ctypes.data]
        code = memoryview(work.dtype.type(0)).format.encode() if call.operator.is_mean else None
        told = functools.partial(guard.tell, str(call))
        plan = team.plan(call.digest, addresses, work, len(work), work.itemsize, loop, code, told)
        self.run, self.close = plan.run, plan.close  # type: ignore[method-assign]
