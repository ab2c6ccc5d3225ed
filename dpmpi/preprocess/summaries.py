"""What columns hold, learnt in one pass: blocks are added, the ranks' summaries merged in rank order.

Conventions: X is (n, d) float64 or float32, NaN where a value is missing; everything is kept per column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dpmpi.kernels import column_max, column_min, moments

from .columns import Text

MAX_CATEGORIES = 100_000
MAX_CHARACTERS = 1 << 24  # of a column's different texts together


class Moments:
    """Count, mean, sum of squared deviations, least and greatest of each column, missing values left out.

    Blocks and ranks are merged by Chan's update, never by a naive sum of squares. Source: T. F. Chan, G. H. Golub,
    R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", COMPSTAT 1982.

    A mean is kept as `shift` + `offset`, the first a number near it: far from zero, differences of means would lose
    their digits.
    """

    def __init__(self, d: int) -> None:
        self.count = np.zeros(d)
        self.missing = np.zeros(d)
        self.shift = np.zeros(d)
        self.offset = np.zeros(d)
        self.squares = np.zeros(d)
        self.low = np.full(d, np.inf)
        self.high = np.full(d, -np.inf)

    def add(self, X: np.ndarray) -> None:
        """Take in a block of rows."""
        if not len(X):
            return
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers above 1e154 the squares are infinite
            self._add(np.asarray(X, np.float64))

    def _add(self, X: np.ndarray) -> None:
        other = Moments(X.shape[1])
        column_min(X, other.low)
        if np.isnan(other.low).any():
            other = _moments_with_gaps(X)
        else:
            column_max(X, other.high)
            shift, sums = np.where(self.count > 0, self.mean, X[0]), np.zeros((5, X.shape[1]))
            moments(X, shift, sums)
            other.count += len(X)
            other.shift, other.offset = shift, sums[1] / len(X)
            other.squares = np.maximum(sums[2] - sums[1] ** 2 / len(X), 0.0)
        self.merge(other)

    def merge(self, other: Moments) -> None:
        """Take in what other rows gave."""
        total = self.count + other.count
        share = other.count / np.maximum(total, 1.0)
        new = self.count == 0
        with np.errstate(over="ignore", invalid="ignore"):
            delta = np.where(new, other.offset, (other.shift - self.shift) + (other.offset - self.offset))
            self.squares = self.squares + other.squares + delta**2 * self.count * share
            self.offset = self.offset + delta * share
        self.shift = np.where(new, other.shift, self.shift)
        self.count = total
        self.missing = self.missing + other.missing
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)

    @property
    def mean(self) -> np.ndarray:
        """The mean (d,), 0 where nothing was seen."""
        return self.shift + self.offset

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
    found.low = np.where(there, X, np.inf).min(axis=0)
    found.high = np.where(there, X, -np.inf).max(axis=0)
    found.shift = np.where(found.count > 0, found.low, 0.0)  # the mean of a constant is the constant, to the last bit
    shifted = np.where(there, X - found.shift, 0.0)
    found.offset = shifted.sum(axis=0) / np.maximum(found.count, 1.0)
    deviation = np.where(there, shifted - found.offset, 0.0)
    found.squares = np.einsum("ij,ij->j", deviation, deviation)
    return found


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
