"""Memory that the ranks of a node share: an MPI-3 window, a part for each rank."""

from __future__ import annotations

import os

import numpy as np

from .mpi import MPI

PAGE = 4096
FOLDER = "/dev/shm"  # where MPICH and Open MPI keep windows on Linux
RESERVE = 1 << 20  # bytes of that file system left alone


class NoSharedMemory(RuntimeError):
    """The shared-memory file system is too small for what was asked."""


class SharedMemory:
    """`n_bytes` of shared memory for this rank of `local`, zeroed. Collective to make and to close.

    Attributes:
        addresses: where each rank's part begins, in this process.
        own: this rank's part, uint8 (n_bytes,).

    Raises (on every rank of `local`): NoSharedMemory before anything is written; a file system that is too small would
    otherwise show as a SIGBUS at the first write.
    """

    def __init__(self, local: MPI.Intracomm, n_bytes: int) -> None:
        part = -(-max(n_bytes, 1) // PAGE) * PAGE
        free, needed = local.allreduce(free_bytes(), MPI.MIN), local.allreduce(part)
        if needed + RESERVE > free:
            raise NoSharedMemory(
                f"{local.size} ranks need {needed >> 20} MiB of shared memory on this node, but {FOLDER} "
                f"has {free >> 20} MiB free; enlarge it (in a container: --shm-size)"
            )
        self._window = MPI.Win.Allocate_shared(part, 1, comm=local)
        self._segments = [self._window.Shared_query(rank)[0] for rank in range(local.size)]
        self.addresses = [segment.address for segment in self._segments]
        self.own = self.part(local.rank)[:n_bytes]
        self.own[:] = 0  # touched first by its owner: on its NUMA domain
        local.Barrier()

    def part(self, rank: int) -> np.ndarray:
        """Return the part of a rank of the node, uint8."""
        return np.asarray(self._segments[rank]).view(np.uint8)

    def close(self) -> None:
        """Free the window. Arrays that look into it must not be used any more."""
        self.own = np.empty(0, np.uint8)
        self._window.Free()


def free_bytes() -> int:
    """Return how many bytes the shared-memory file system still has; a large number where it is not to be found."""
    try:
        status = os.statvfs(FOLDER)
    except OSError:
        return 1 << 62
    return status.f_bavail * status.f_frsize
