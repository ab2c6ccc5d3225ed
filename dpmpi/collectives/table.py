"""Tables of measured times: made by `measure`, read by `choose`, saved by `dpmpi tune`.

A table holds the seconds of each algorithm at a few sizes, float32 sums. Between them time is taken to grow linearly,
above the largest in proportion. The fitted cost ``latency + bytes / bandwidth`` is shown beside it by `explain`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .group import Group
from .mpi import MPI, library_name

# By how much another algorithm must be faster than the one that the rule names: more than times vary by in a few
# milliseconds, or in a thorough look.
QUICK_MARGIN = 1.5
TUNED_MARGIN = 1.1

Samples = list[tuple[int, float]]


@dataclass(frozen=True)
class Table:
    """Measured seconds of each algorithm.

    Attributes:
        samples: for each algorithm (bytes, seconds), sizes ascending.
        origin: "measured just now", or the file it was read from.
        margin: how many times as fast as the rule's choice another algorithm must be to be taken.
    """

    samples: dict[str, Samples]
    origin: str
    margin: float = TUNED_MARGIN

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

    def choose(self, n_bytes: int, candidates: Sequence[str], default: str) -> str:
        """Return the candidate with the least time if it is faster than `default` by the margin, else `default`."""
        best = min(candidates, key=lambda name: self.seconds(name, n_bytes))
        faster = self.seconds(best, n_bytes) * self.margin < self.seconds(default, n_bytes)
        return best if faster else default


def cache_path() -> str:
    """Return the file with the tables of `dpmpi tune`."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(folder, "dpmpi", "tuning.json")


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


def _saved() -> dict[str, dict[str, Samples]]:
    import json

    with open(cache_path()) as file:
        return dict(json.load(file))
