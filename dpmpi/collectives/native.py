"""The MPI library's own all-reduce: always a candidate."""

from __future__ import annotations

import numpy as np

from .algorithm import Algorithm, Finish
from .mpi import MPI
from .operators import Operator


def supports(operator: Operator, dtype: np.dtype) -> bool:
    """Whether MPI's operator means the same as ours on `dtype`.

    It does not for minimum and maximum of floating numbers, where MPI leaves open what becomes of NaN, nor for
    arithmetic on booleans, which MPI does not have.
    """
    if operator.mpi is None:
        return False
    kinds = {"sum": "iufc", "prod": "iufc", "mean": "fc"}.get(operator.name, "iu")
    return dtype.kind in kinds and dtype != np.float16


class NativeAllreduce(Algorithm):
    """``MPI_Allreduce`` in place on one buffer."""

    def __init__(
        self,
        comm: MPI.Intracomm,
        buffer: np.ndarray,
        operator: Operator,
        finish: Finish | None = None,
    ) -> None:
        if operator.mpi is None:
            raise ValueError(f"MPI has no operator for {operator.name}")
        self._comm, self._buffer, self._op, self._finish = comm, buffer, operator.mpi, finish
        self._request = MPI.REQUEST_NULL

    def start(self) -> None:
        """Begin."""
        self._request = self._comm.Iallreduce(MPI.IN_PLACE, self._buffer, self._op)

    def advance(self) -> bool:
        """Let MPI go on; return whether all is done."""
        if not self._request.Test():
            return False
        self._done()
        return True

    def run(self) -> None:
        """Run from start to end."""
        self._comm.Allreduce(MPI.IN_PLACE, self._buffer, self._op)
        self._done()

    def _done(self) -> None:
        if self._finish is not None:
            self._finish(self._buffer)
