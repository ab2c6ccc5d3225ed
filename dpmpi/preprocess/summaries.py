"""What columns hold, learnt in one pass: blocks are added, the ranks' summaries merged in rank order.

Conventions: X is (n, d) float64 or float32, NaN where a value is missing; everything is kept per column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dpmpi.kernels import column_max, column_min, moments

from .columns import Text

SKETCH_SIZE = 2048
MAX_CATEGORIES = 100_000
MAX_CHARACTERS = 1 << 24  # of a column's different texts together


class Moments:
    """Count, mean, sum of squared deviations, least and greatest of each column, missing values left out.

    Blocks and ranks are merged by Chan's update, never by a naive sum of squares. Source: T. F. Chan, G. H. Golub,
    R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", COMPSTAT 1982.
    """

    def __init__(self, d: int) -> None:
        self.count = np.zeros(d)
        self.missing = np.zeros(d)
        self.mean = np.zeros(d)
        self.squares = np.zeros(d)
        self.low = np.full(d, np.inf)
        self.high = np.full(d, -np.inf)

    def add(self, X: np.ndarray) -> None:
        """Take in a block of rows."""
        if not len(X):
            return
        X = np.asarray(X, np.float64)
        other = Moments(X.shape[1])
        column_min(X, other.low)
        if np.isnan(other.low).any():
            other = _moments_with_gaps(X)
        else:
            column_max(X, other.high)
            shift, sums = np.where(self.count > 0, self.mean, X[0]), np.zeros((5, X.shape[1]))
            moments(X, shift, sums)
            other.count += len(X)
            other.mean = shift + sums[1] / len(X)
            other.squares = np.maximum(sums[2] - sums[1] ** 2 / len(X), 0.0)
        self.merge(other)

    def merge(self, other: Moments) -> None:
        """Take in what other rows gave."""
        total = self.count + other.count
        share = other.count / np.maximum(total, 1.0)
        delta = other.mean - self.mean
        self.squares = self.squares + other.squares + delta**2 * self.count * share
        self.mean = self.mean + delta * share
        self.count = total
        self.missing = self.missing + other.missing
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)

    @property
    def variance(self) -> np.ndarray:
        """Mean squared deviation (d,), 0 where nothing was seen."""
        return self.squares / np.maximum(self.count, 1.0)


def _moments_with_gaps(X: np.ndarray) -> Moments:
    """The moments of rows where some values are missing."""
    found = Moments(X.shape[1])
    there = ~np.isnan(X)
    found.count = there.sum(axis=0).astype(np.float64)
    found.missing = len(X) - found.count
    found.mean = np.where(there, X, 0.0).sum(axis=0) / np.maximum(found.count, 1.0)
    deviation = np.where(there, X - found.mean, 0.0)
    found.squares = np.einsum("ij,ij->j", deviation, deviation)
    found.low = np.where(there, X, np.inf).min(axis=0)
    found.high = np.where(there, X, -np.inf).max(axis=0)
    return found


class Quantiles:
    """Approximate quantiles of each column: weighted points in levels, merged in pairs like a binary counter.

    A level keeps up to 2 * SKETCH_SIZE points of each column; a fuller one becomes points of the next, each standing
    for twice as many rows. With n rows seen, a rank is off by at most ``n * levels / (2 * SKETCH_SIZE)``, levels being
    about ``log2(n / SKETCH_SIZE)``: below 0.5 % of n for a billion rows. Exact up to 2 * SKETCH_SIZE rows. No random
    choice is made: the same rows in the same blocks give the same points. Source: J. I. Munro, M. S. Paterson,
    "Selection and sorting with limited storage", Theoretical Computer Science 12 (1980) 315-323.
    """

    def __init__(self, d: int) -> None:
        self.columns: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(d)]

    def add(self, X: np.ndarray) -> None:
        """Take in a block of rows."""
        runs = np.array(X.T, np.float64, order="C")
        runs.sort(axis=1)  # missing values come last
        for parts, values in zip(self.columns, runs, strict=True):
            if len(values) and np.isnan(values[-1]):
                values = values[: np.searchsorted(values, np.nan)]
            if len(values):
                run = [(1, values)]
                _compress(run)
                parts.extend(run)
                _compress(parts)

    def merge(self, other: Quantiles) -> None:
        """Take in what other rows gave."""
        for mine, others in zip(self.columns, other.columns, strict=True):
            mine.extend(others)
            _compress(mine)

    def at(self, shares: Sequence[float]) -> np.ndarray:
        """The quantiles (len(shares), d), interpolated as `numpy.quantile` does; NaN where nothing was seen."""
        out = np.full((len(shares), len(self.columns)), np.nan)
        for j, parts in enumerate(self.columns):
            if parts:
                values = np.concatenate([points for _, points in parts])
                weights = np.concatenate([np.full(len(points), weight, np.float64) for weight, points in parts])
                order = np.argsort(values, kind="stable")
                values, ends = values[order], np.cumsum(weights[order])
                # A point stands for the rows up to its end; the middle of those rows is its place among all.
                places = ends - (weights[order] + 1) / 2
                out[:, j] = np.interp(np.asarray(shares) * (ends[-1] - 1), places, values)
        return out


def _compress(parts: list[tuple[int, np.ndarray]]) -> None:
    """Merge parts of equal weight until what is left of each weight is short."""
    while True:
        by_weight: dict[int, list[np.ndarray]] = {}
        for weight, points in parts:
            by_weight.setdefault(weight, []).append(points)
        parts[:] = []
        again = False
        for weight, runs in sorted(by_weight.items()):
            points = runs[0] if len(runs) == 1 else np.sort(np.concatenate(runs))
            if len(points) > 2 * SKETCH_SIZE:
                # Of each two neighbours one stays, alternately the lower and the upper, so that errors cancel.
                even = len(points) // 2 * 2
                kept = points[:even:2].copy()
                kept[1::2] = points[3:even:4]
                parts.append((2 * weight, kept))
                if even < len(points):
                    parts.append((weight, points[even:]))
                again = True
            else:
                parts.append((weight, points))
        if not again:
            return


class Counts:
    """How often each text occurs in each column; ``""`` counts missing ones.

    A column with more than MAX_CATEGORIES different texts, or more than MAX_CHARACTERS in them, is a ValueError, or
    where `bounded`, its name comes into `overflowed` and only missing ones are still counted.
    """

    def __init__(self, names: Sequence[str], bounded: bool = False) -> None:
        self.columns: dict[str, dict[str, int]] = {name: {} for name in names}
        self.bounded = bounded
        self.overflowed: set[str] = set()
        self._characters = dict.fromkeys(names, 0)

    def add(self, text: Mapping[str, Text]) -> None:
        """Take in a block of rows."""
        for name in self.columns:
            codes, values = text[name]
            per_value = np.bincount(codes + 1, minlength=len(values) + 1).tolist()
            self._add(name, zip(("", *values), per_value, strict=True))

    def merge(self, other: Counts) -> None:
        """Take in what other rows gave."""
        for name, counts in other.columns.items():
            if name in other.overflowed:
                self._overflow(name)
            self._add(name, counts.items())

    def _add(self, name: str, more: Iterable[tuple[str, int]]) -> None:
        counts = self.columns[name]
        for value, count in more:
            if count and (not value or name not in self.overflowed):
                if value not in counts:
                    self._characters[name] += len(value)
                counts[value] = counts.get(value, 0) + count
        if len(counts) - ("" in counts) > MAX_CATEGORIES or self._characters[name] > MAX_CHARACTERS:
            if not self.bounded:
                raise ValueError(
                    f"column {name!r} has more than {MAX_CATEGORIES} different texts, or more than {MAX_CHARACTERS} "
                    "characters in them: too many categories; hash it"
                )
            self._overflow(name)

    def _overflow(self, name: str) -> None:
        """Forget the texts of a column, but for how many are missing."""
        self.overflowed.add(name)
        self.columns[name] = {"": self.columns[name].get("", 0)}
        self._characters[name] = 0
