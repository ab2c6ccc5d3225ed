"""Times the all-reduce algorithms: thoroughly for `dpmpi tune`, in some milliseconds when a choice is first needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from .algorithm import Algorithm
from .call import Call
from .group import Group
from .mpi import MPI
from .operators import OPERATORS
from .table import QUICK_MARGIN, TUNED_MARGIN, Samples, Table

SIZES = (8, 1 << 10, 16 << 10, 256 << 10, 2 << 20)
TUNE_SIZES = tuple(1 << k for k in range(3, 27))
BUDGET_SECONDS = 0.03  # for each algorithm at first use
TUNE_SECONDS = 3.0
REPEATS = 15


def measure(group: Group) -> Table:
    """Time the algorithms worth looking at, at a few sizes. Collective; the same table on every rank.

    On one node with shared memory these are that, MPI's own, and the ring: where the cores of a node share no cache,
    large messages that the kernel copies may overtake memory that two cores write in turn.
    """
    candidates = group.candidates(OPERATORS["sum"], np.dtype(np.float32))
    names = ["node", "ring", "native"] if "node" in candidates else candidates
    return Table(_samples(group, names, SIZES, BUDGET_SECONDS), "measured just now", QUICK_MARGIN)


def measure_thoroughly(group: Group) -> Table:
    """Time every algorithm that can run here at many sizes. Collective; the same table on every rank."""
    candidates = group.candidates(OPERATORS["sum"], np.dtype(np.float32))
    return Table(_samples(group, candidates, TUNE_SIZES, TUNE_SECONDS), "measured just now", TUNED_MARGIN)


def _samples(group: Group, names: Sequence[str], sizes: Sequence[int], budget: float) -> dict[str, Samples]:
    samples: dict[str, Samples] = {name: [] for name in names}
    spent = dict.fromkeys(names, 0.0)
    for n_bytes in sizes:
        left = [name for name in names if spent[name] < budget]
        if not left:
            break
        work = np.zeros(n_bytes // 4, np.float32)
        call = Call(OPERATORS["sum"], work.dtype, len(work))
        algorithms = {name: group.prepare(name, call, work) for name in left}
        runs = {name: _checked(group, name, call, algorithm) for name, algorithm in algorithms.items()}
        for name, (seconds, took) in _times(group, runs, budget / len(sizes)).items():
            samples[name].append((n_bytes, seconds))
            spent[name] += took
        for algorithm in algorithms.values():
            algorithm.close()
    return samples


def _checked(group: Group, name: str, call: Call, algorithm: Algorithm) -> Callable[[], None]:
    """Return what runs the algorithm and what goes before it: the agreement on the call, where it needs one."""
    if group.announces(name, call):
        return algorithm.run

    def run() -> None:
        group.guard.agree(str(call))
        algorithm.run()

    return run


def _times(group: Group, runs: dict[str, Callable[[], None]], budget: float) -> dict[str, tuple[float, float]]:
    """Return the seconds of a call of each, and the seconds spent on it; the same on every rank.

    The algorithms take turns, call by call, so that what disturbs the machine disturbs all of them. A call takes as
    long as its slowest rank; the quickest call counts, for whatever else runs can only make it slower.
    """
    first = np.array([_seconds(group, run) for run in runs.values()])
    group.comm.Allreduce(MPI.IN_PLACE, first, MPI.MAX)
    repeats = int(min(REPEATS, max(2, budget / max(first.mean(), 1e-7))))
    times = np.array([[_seconds(group, run) for run in runs.values()] for _ in range(repeats)])
    group.comm.Allreduce(MPI.IN_PLACE, times, MPI.MAX)
    spent = first + times.sum(axis=0)
    return {
        name: (float(seconds), float(took)) for name, seconds, took in zip(runs, times.min(axis=0), spent, strict=True)
    }


def _seconds(group: Group, run: Callable[[], None]) -> float:
    group.comm.Barrier()
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
