"""Approximate quantiles of columns in one pass and bounded memory, with a bound on the error.

    rows, later on some of them      sorted; K of them, evenly spaced, kept       two runs become one, as in a counter
    buffer (d, B)                ->  level 0: a run (d, K) in place of B rows ->  level 1: a run (d, K) for 2 B rows ...

Columns go in step: each level holds one run of all of them, so that NumPy sorts many values at a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dpmpi.kernels.random_bits import mix

SKETCH_SIZE = 2048  # K: points of a run
_BUFFER_ROWS = 8 * SKETCH_SIZE  # B; longer ones leave the cache while they are sorted
_BUFFER_VALUES = 1 << 21  # of many columns fewer rows are kept, but never below 2 K
_ALL_ROWS = (
    20  # all of the first 2**20 rows are looked at, of the next as many one in two, of the next 2**21 one in four
)
_AT_ONCE = 512  # rows that are transposed while they are in the cache
_PAD = 16  # columns of the buffer would meet in the cache if they lay a power of two apart


class Run(NamedTuple):
    """K points (d, K) of each column in ascending order, which stand for `rows` (d,) values, each for as many."""

    points: np.ndarray
    rows: np.ndarray


class Quantiles:
    """Approximate quantiles of the columns of X (n, d), missing values (NaN) left out.

    Up to 2 * SKETCH_SIZE rows are exact. A rank's first 2**20 rows are all looked at. Of those behind, one of each w
    neighbours is picked, where w is a power of two that grows with the number of rows so far; the rank of a quantile is
    then off at random, with a standard deviation below 0.045 % of the n rows, whatever their order. The rest of the
    error is bounded: each reduction to K points adds at most half of what a point then stands for, together
    ``n * (1 + log2(runs)) / (2 * SKETCH_SIZE)``, where runs are one for 16384 rows looked at (4096 at least where there
    are many columns), and one more for each rank. That is 0.21 % of ten million rows on one rank, 0.24 % of a billion.

    The same rows in the same order on the same number of ranks, however cut into blocks, give the same points.
    Sources: J. I. Munro, M. S. Paterson, "Selection and sorting with limited storage", Theoretical Computer Science 12
    (1980) 315-323; Z. Karnin, K. Lang, E. Liberty, "Optimal quantile approximation in streams", FOCS 2016 (picking).
    """

    def __init__(self, d: int) -> None:
        self._d = d
        self._buffer = np.empty((d, 0))  # made when it is needed
        self._buffer_rows = min(_BUFFER_ROWS, max(2 * SKETCH_SIZE, _BUFFER_VALUES // max(1, d)))
        self._filled = 0  # rows in the buffer
        self._weight = 1  # how many rows each of them stands for
        self._seen = 0  # rows taken in by `add`
        self._levels: list[Run | None] = []

    def add(self, X: np.ndarray) -> None:
        """Take in a block of rows."""
        while len(X):
            bits = max(0, self._seen.bit_length() - _ALL_ROWS)
            some = X[: (1 << (_ALL_ROWS + bits)) - self._seen]  # the rows of which as many are picked
            if self._weight != 1 << bits:
                self._reduce()
                self._weight = 1 << bits
            self._keep(some[_picked(self._seen, len(some), bits)] if bits else some)
            self._seen += len(some)
            X = X[len(some) :]

    def merge(self, other: Quantiles) -> None:
        """Take in what other rows gave."""
        for level, run in enumerate(other._levels):
            if run is not None:
                self._put(run, level)
        for sketch in (self, other):
            if sketch._weight > 1:
                sketch._reduce()
        self._weight = 1
        self._keep(other._buffer[:, : other._filled].T)
        self._seen += other._seen

    def at(self, shares: Sequence[float]) -> np.ndarray:
        """The quantiles (len(shares), d), interpolated as `numpy.quantile` does; NaN where nothing was seen."""
        out = np.full((len(shares), self._d), np.nan)
        runs = [run for run in self._levels if run is not None]
        for j, kept in enumerate(self._buffer[:, : self._filled]):
            kept = kept[~np.isnan(kept)]
            seen = [run for run in runs if run.rows[j]]
            values = np.concatenate([kept, *(run.points[j] for run in seen)])
            if not len(values):
                continue
            each = np.array([self._weight, *(run.rows[j] / SKETCH_SIZE for run in seen)])
            weights = np.repeat(each, [len(kept), *(SKETCH_SIZE for _ in seen)])
            order = np.argsort(values, kind="stable")
            values, ends = values[order], np.cumsum(weights[order])
            # A point stands for the rows up to its end; the middle of those rows is its place among all.
            places = ends - (weights[order] + 1) / 2
            out[:, j] = np.interp(np.asarray(shares) * (ends[-1] - 1), places, values)
        return out

    def __getstate__(self) -> dict[str, Any]:
        """What travels between ranks: a long buffer as a run, and of a short one what is in it."""
        if self._filled > 2 * SKETCH_SIZE:
            self._reduce()
        return vars(self) | {"_buffer": self._buffer[:, : self._filled].copy()}

    def _keep(self, X: np.ndarray) -> None:
        """Put rows into the buffer; a full one becomes a run."""
        if self._buffer.shape[1] < self._buffer_rows:
            before = self._buffer[:, : self._filled]
            self._buffer = np.empty((self._d, self._buffer_rows + _PAD))[:, : self._buffer_rows]
            self._buffer[:, : self._filled] = before
        while len(X):
            taken = X[: min(_AT_ONCE, self._buffer_rows - self._filled)]
            self._buffer[:, self._filled : self._filled + len(taken)] = taken.T
            self._filled += len(taken)
            X = X[len(taken) :]
            if self._filled == self._buffer_rows:
                self._reduce()

    def _reduce(self) -> None:
        """Make a run of the rows in the buffer."""
        if not self._filled:
            return
        values = self._buffer[:, : self._filled]
        values.sort(axis=1)  # missing values come last
        rows = np.count_nonzero(~np.isnan(values), axis=1)
        points = values[:, _evenly(self._filled)]
        for j in np.flatnonzero(rows < self._filled):
            points[j] = values[j, _evenly(rows[j])] if rows[j] else np.nan
        self._filled = 0
        self._put(Run(points, np.multiply(rows, float(self._weight))), 0)

    def _put(self, run: Run, level: int) -> None:
        """Put a run in its level, merging it upwards while there is one already."""
        self._levels += [None] * (level + 1 - len(self._levels))
        there = self._levels[level]
        if there is None:
            self._levels[level] = run
        else:
            self._levels[level] = None
            self._put(_merge(there, run), level + 1)


def _picked(first: int, n: int, bits: int) -> np.ndarray:
    """Of the n rows from number `first` on, counted from 0, those that are picked: one of each 2**bits neighbours."""
    groups = np.arange(first >> bits, ((first + n - 1) >> bits) + 1)
    rows = (groups << bits) + (mix(groups) >> np.uint64(64 - bits)).astype(np.int64) - first
    return rows[(rows >= 0) & (rows < n)]


def _evenly(n: int) -> np.ndarray:
    """K of n places in order: ``(i + 1/2) n / K``; between two, alternately the lower and the upper."""
    odd = np.arange(1, 2 * SKETCH_SIZE, 2)
    lower, upper = -(-odd * n // (2 * SKETCH_SIZE)) - 1, odd * n // (2 * SKETCH_SIZE)
    return np.where(odd & 2, upper, lower)


def _merge(a: Run, b: Run) -> Run:
    both, rows = np.concatenate([a.points, b.points], axis=1), a.rows + b.rows
    differ = np.flatnonzero(a.rows != b.rows)
    weighed = [_choose(both[j], np.repeat([a.rows[j], b.rows[j]], SKETCH_SIZE)) for j in differ]
    both.sort(axis=1)
    points = both[:, _evenly(2 * SKETCH_SIZE)]
    if len(differ):
        points[differ] = weighed
    return Run(points, rows)


def _choose(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """K of points with weights, evenly spaced among the rows that they stand for."""
    order = np.argsort(points, kind="stable")
    ends = np.cumsum(weights[order])
    places = (np.arange(SKETCH_SIZE) + 0.5) / SKETCH_SIZE * ends[-1]
    return points[order[np.searchsorted(ends, places)]]
