"""Which algorithm at which size: from times measured here, by `dpmpi tune` or in a few milliseconds at first use.

A table holds the seconds of each algorithm at a few sizes, float32 sums. Between them time is taken to grow linearly,
above the largest in proportion. The fitted cost ``latency + bytes / bandwidth`` is shown beside it by `explain`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..kernels import node
from .buffers import work_dtype
from .group import Call, Group
from .mpi import MPI, library_name
from .operators import OPERATORS

SIZES = (8, 1 << 10, 16 << 10, 256 << 10, 2 << 20)
TUNE_SIZES = tuple(1 << k for k in range(3, 27))
CHOICES_KEPT = 1024
BUDGET_SECONDS = 0.03  # for one algorithm at first use; `dpmpi tune` takes TUNE_SECONDS
TUNE_SECONDS = 3.0

# By how much MPI's own must be faster to be taken: more than times vary by in a few milliseconds, or a thorough look.
QUICK_MARGIN = 1.5
TUNED_MARGIN = 1.1

Samples = list[tuple[int, float]]


@dataclass(frozen=True)
class Table:
    """Measured seconds of each algorithm.

    Attributes:
        samples: for each algorithm (bytes, seconds), sizes ascending.
        origin: "measured just now", or the file it was read from.
        native_margin: how many times as fast MPI's own must be to be taken.
    """

    samples: dict[str, Samples]
    origin: str
    native_margin: float = TUNED_MARGIN

    def seconds(self, algorithm: str, n_bytes: int) -> float:
        """Return the time to expect from the measured ones; infinity for an algorithm that was not measured."""
        samples = self.samples.get(algorithm)
        if not samples:
            return float("inf")
        sizes, times = zip(*samples, strict=True)
        if n_bytes > sizes[-1]:
            return float(times[-1] * n_bytes / sizes[-1])
        return float(np.interp(n_bytes, sizes, times))

    def cost(self, algorithm: str) -> tuple[float, float]:
        """Return the fitted latency (s) and time per byte (s), the relative errors' squares at their least."""
        sizes, times = (np.array(column, float) for column in zip(*self.samples[algorithm], strict=True))
        design = np.stack([1 / times, sizes / times], axis=1)
        (latency, per_byte), *_ = np.linalg.lstsq(design, np.ones(len(times)), rcond=None)
        return max(float(latency), 0.0), max(float(per_byte), 0.0)

    def choose(self, n_bytes: int, candidates: Sequence[str]) -> str:
        """Return the candidate with the least time; MPI's own only if it is faster by the margin."""

        def rated(name: str) -> float:
            return self.seconds(name, n_bytes) * (self.native_margin if name == "native" else 1.0)

        return min(candidates, key=rated)


def explain(table: Table, n_bytes: int, candidates: Sequence[str]) -> str:
    """Say in words which algorithm runs at this size, and why."""
    chosen = table.choose(n_bytes, candidates)
    lines = [
        f"all-reduce of {n_bytes} bytes: {chosen} ({table.origin})",
        f"  {'algorithm':<20}{'expected us':>12}{'fitted us':>12}{'latency us':>12}{'GB/s':>8}",
    ]
    for name in candidates:
        if not table.samples.get(name):
            lines.append(f"  {name:<20}{'not measured':>12}")
            continue
        latency, per_byte = table.cost(name)
        rate = f"{1e-9 / per_byte:.2f}" if per_byte else "-"
        lines.append(
            f"  {name:<20}{1e6 * table.seconds(name, n_bytes):>12.1f}{1e6 * (latency + per_byte * n_bytes):>12.1f}"
            f"{1e6 * latency:>12.1f}{rate:>8}{'  <-' if name == chosen else ''}"
        )
    return "\n".join(lines)


class Chooser:
    """Chooses the algorithm for each all-reduce of a group; measures when it is first asked.

    Attributes:
        team: the ranks of the group's one node, once it is known that arrays below `team.high` bytes are theirs: it may
            then be asked first. None before, and where there are several nodes.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._table: Table | None = None
        self._chosen: dict[tuple[str, bool, np.dtype, int], str] = {}
        self.team: node.Team | None = None

    def choose(self, call: Call) -> str:
        """Return the algorithm for `call`. Collective at the first call, to which all ranks must come together."""
        table = self._known(call)
        key = call.operator.name, call.operator.commutative, call.dtype, call.n
        if key not in self._chosen:
            if len(self._chosen) >= CHOICES_KEPT:
                self._chosen.clear()
            dtype = work_dtype(call.dtype)
            self._chosen[key] = table.choose(call.n * dtype.itemsize, self._group.candidates(call.operator, dtype))
        return self._chosen[key]

    def explain(self, call: Call) -> str:
        """Say in words which algorithm runs, and why. Collective at the first call."""
        dtype = work_dtype(call.dtype)
        candidates = self._group.candidates(call.operator, dtype)
        return explain(self._known(call), call.n * dtype.itemsize, candidates)

    def tune(self) -> None:
        """Measure every algorithm thoroughly. Collective."""
        candidates = self._group.candidates(OPERATORS["sum"], np.dtype(np.float32))
        self._use(measure(self._group, TUNE_SIZES, TUNE_SECONDS, candidates))

    def save(self) -> str:
        """Save the table in use, on the calling rank; return the file."""
        if self._table is None:
            raise RuntimeError("nothing was measured yet")
        return save(self._group, self._table)

    def _known(self, call: Call) -> Table:
        if self._table is None:
            self._group.guard.agree(str(call))
            return self._use(load(self._group) or measure(self._group))
        return self._table

    def _use(self, table: Table) -> Table:
        self._table = table
        self._chosen.clear()
        group = self._group
        if len(group.topology.sizes) == 1 and group.team is not None:
            rivals = ("node", "ring", "native")
            slower = [n for n, _ in table.samples.get("node", []) if table.choose(n, rivals) != "node"]
            group.team.high = min(slower, default=1 << 62)
            self.team = group.team
        return table


def measure(
    group: Group, sizes: Sequence[int] = SIZES, budget: float = BUDGET_SECONDS, names: Sequence[str] = ()
) -> Table:
    """Time the algorithms `names` (default: the ones to choose from here). Collective; the same table on every rank."""
    names = names or contenders(group)
    samples: dict[str, Samples] = {name: [] for name in names}
    spent = dict.fromkeys(names, 0.0)
    for n_bytes in sizes:  # all algorithms at one size in turn: the machine may change its speed
        for name in names:
            if spent[name] < budget:
                seconds, took = _time(group, name, n_bytes, (budget - spent[name]) / len(sizes))
                samples[name].append((n_bytes, seconds))
                spent[name] += took
    thorough = budget >= TUNE_SECONDS
    return Table(samples, "measured just now", TUNED_MARGIN if thorough else QUICK_MARGIN)


def contenders(group: Group) -> list[str]:
    """Return the algorithms worth measuring here.

    On one node with shared memory, that, MPI's own, and the ring: where the cores of a node share no cache, large
    messages that the kernel copies may overtake memory that two cores write in turn.
    """
    candidates = group.candidates(OPERATORS["sum"], np.dtype(np.float32))
    return ["node", "ring", "native"] if "node" in candidates else candidates


def _time(group: Group, name: str, n_bytes: int, budget: float) -> tuple[float, float]:
    """Return the seconds of a call, and the seconds spent; the same on every rank.

    A call takes as long as its slowest rank; of several the lower quartile counts, which other work on the machine
    disturbs least.
    """
    work = np.zeros(n_bytes // 4, np.float32)
    algorithm = group.prepare(name, Call(OPERATORS["sum"], work.dtype, len(work)), work)
    begin = time.perf_counter()
    algorithm.run()
    first = group.comm.allreduce(time.perf_counter() - begin, MPI.MAX)
    times = np.empty(int(min(15, max(2, budget / max(first, 1e-7)))))
    for i in range(len(times)):
        group.comm.Barrier()
        begin_call = time.perf_counter()
        algorithm.run()
        times[i] = time.perf_counter() - begin_call
    algorithm.close()
    group.comm.Allreduce(MPI.IN_PLACE, times, MPI.MAX)
    spent = group.comm.allreduce(time.perf_counter() - begin, MPI.MAX)
    return float(np.quantile(times, 0.25)), spent


# Saved tables


def cache_path() -> str:
    """Return the file with the tables of `dpmpi tune`."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(folder, "dpmpi", "tuning.json")


def _saved() -> dict[str, dict[str, Samples]]:
    import json

    with open(cache_path()) as file:
        return dict(json.load(file))


def fingerprint(group: Group) -> str:
    """Return what a table depends on, in words."""
    level = MPI.Query_thread()
    sizes = ",".join(map(str, group.topology.sizes))
    return f"{library_name()}; thread level {level}; ranks {sizes}; {os.uname().machine}, {os.cpu_count()} CPUs"


def load(group: Group) -> Table | None:
    """Return the saved table for this fingerprint, or None. Collective; rank 0 reads."""
    samples = None
    if group.comm.rank == 0:
        try:
            saved = _saved()[fingerprint(group)]
            samples = {name: [(int(n), float(t)) for n, t in rows] for name, rows in saved.items()}
        except (OSError, KeyError, ValueError, TypeError, AttributeError):
            samples = None  # none saved, or not by this version: it is measured anew
    samples = group.comm.bcast(samples)
    return None if samples is None else Table(samples, f"read from {cache_path()}")


def save(group: Group, table: Table) -> str:
    """Add `table` to the saved ones, on the calling rank; return the file."""
    import json

    path = cache_path()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        tables = _saved()
    except (OSError, ValueError):
        tables = {}
    tables[fingerprint(group)] = table.samples
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w") as file:
        json.dump(tables, file, indent=1)
    os.replace(temporary, path)
    return path
