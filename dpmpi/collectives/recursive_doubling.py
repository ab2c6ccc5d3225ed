"""Recursive doubling: in step s each rank exchanges all it has with the rank whose number differs in bit s.

::

    rank        0      1      2      3
    step 1      0+1    0+1    2+3    2+3         pairs
    step 2      all    all    all    all         pairs of pairs

With P ranks and N bytes: log2 P steps, N log2 P bytes sent by each rank: for messages whose latency outweighs their
size. When P is not a power of two, the ranks of the first few pairs fold into one before, and are told the result
behind. Each message says which call it belongs to (a digest of the call, and whether a mismatch is known), and is
looked at before it is received, so that calls that differ are found out by all ranks, and nothing is written behind a
buffer. The ranks' order is kept: the operator need not be commutative.

Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of collective communication operations in MPICH",
International Journal of High Performance Computing Applications 19 (2005) 49-66.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from ..kernels import reduce
from .algorithm import AtOnce, Finish
from .call import Call
from .guard import Guard
from .mpi import MPI, wait_for

_TAG = 6
_HEADER = 16  # bytes: digest of the call, whether a mismatch is known


class Exchange:
    """Exchanges on `comm`; its ranks make the same calls in the same order."""

    def __init__(self, comm: MPI.Comm) -> None:
        self._comm = comm
        self._core = 1 << (comm.size.bit_length() - 1)  # the largest power of two
        self._folded = comm.size - self._core  # so many pairs fold

    def run(self, digest: int, data: np.ndarray, loop: int, same: bool = True) -> bool:
        """Combine the ranks' 1-D contiguous `data` in place by the loop at address `loop`.

        Returns whether all ranks announced the same digest and size; if not, `data` is left as it was. A rank that
        already knows that they do not says so by `same`.
        """
        rank, folded = self._comm.rank, self._folded
        n_bytes = data.nbytes
        mine, theirs = np.empty(_HEADER + n_bytes, np.uint8), np.empty(_HEADER + n_bytes, np.uint8)
        head = mine[:_HEADER].view(np.uint64)
        own, other = mine[_HEADER:].view(data.dtype), theirs[_HEADER:].view(data.dtype)
        own[:] = data

        def send(dest: int) -> MPI.Request:
            head[:] = digest, not same
            return self._comm.Isend(mine, dest, _TAG)

        def receive(source: int) -> bool:
            """Receive into `theirs`; tell whether it fits this rank's call."""
            message = self._comm.Improbe(source, _TAG, status)
            while message is None:
                os.sched_yield()
                message = self._comm.Improbe(source, _TAG, status)
            count = status.Get_count(MPI.BYTE)
            if count != len(theirs):
                message.Recv(np.empty(count, np.uint8))
                return False
            message.Recv(theirs)
            return bool((theirs[:_HEADER].view(np.uint64) == (digest, 0)).all())

        status = MPI.Status()
        if rank < 2 * folded and rank % 2:
            wait_for(send(rank - 1))
            same = receive(rank - 1)
            if same:
                data[:] = other
            return same
        if rank < 2 * folded:
            same = receive(rank + 1) and same
            if same:
                reduce.combine(loop, other, own)
        position = rank // 2 if rank < 2 * folded else rank - folded
        distance = 1
        while distance < self._core:
            partner = position ^ distance
            partner_rank = 2 * partner if partner < folded else partner + folded
            sent = send(partner_rank)
            fits = receive(partner_rank)
            wait_for(sent)
            same = same and fits
            if same and n_bytes:
                if partner < position:  # lower ranks stand to the left of the operator
                    reduce.combine(loop, own, other)
                    own[:] = other
                else:
                    reduce.combine(loop, other, own)
            distance *= 2
        if rank < 2 * folded:
            wait_for(send(rank + 1))
        if same:
            data[:] = own
        return same

    def agree(self, digest: int) -> bool:
        """Return, on every rank alike, whether all ranks announced the same digest."""
        return self.run(digest, _NOTHING, 0)


_NOTHING = np.empty(0, np.uint8)


class DoublingAllreduce(AtOnce):
    """All-reduce by recursive doubling: by ``exchange`` of an `Exchange`, or what takes its place."""

    def __init__(
        self,
        exchange: Callable[[int, np.ndarray, int], bool],
        guard: Guard,
        call: Call,
        work: np.ndarray,
        loop: int,
        finish: Finish | None,
    ) -> None:
        self._exchange, self._guard = exchange, guard
        self._call, self._work, self._loop, self._finish = call, work, loop, finish

    def run(self) -> None:
        """Run from start to end."""
        if not self._exchange(self._call.digest, self._work, self._loop):
            self._guard.tell(str(self._call))
        if self._finish is not None:
            self._finish(self._work)
