"""Moments of columns within groups of rows, the groups named by text columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dpmpi.kernels.statistics import distinct

from .columns import Text

Key = tuple[str, ...]


class Groups:
    """For each group and column: count, sum, mean, sum of squared deviations, least, greatest; gaps left out.

    Blocks and ranks are merged by Chan's update (see `Moments`). `rows` counts the rows of a group.
    """

    def __init__(self, by: Sequence[str], d: int) -> None:
        self.by = tuple(by)
        self.number: dict[Key, int] = {}
        self.rows = np.zeros(0)
        shape = (0, d)
        self.count, self.sum, self.mean, self.squares = (np.zeros(shape) for _ in range(4))
        self.low, self.high = np.zeros(shape), np.zeros(shape)

    def add(self, X: np.ndarray, text: Mapping[str, Text]) -> None:
        """Take in a block: X (n, d) with NaN for gaps, and the texts that name the groups."""
        if not len(X):
            return
        keys, group = _keys([text[name] for name in self.by])
        block = Groups(self.by, X.shape[1])
        block.number = {key: k for k, key in enumerate(keys)}
        n = len(keys)
        block.rows = np.bincount(group, minlength=n).astype(np.float64)
        order = np.argsort(group, kind="stable")
        starts = np.searchsorted(group[order], np.arange(n))
        there = ~np.isnan(X[order])
        values = np.where(there, X[order], 0.0)
        block.count = np.add.reduceat(there, starts, axis=0, dtype=np.float64)
        block.sum = np.add.reduceat(values, starts, axis=0, dtype=np.float64)
        block.mean = block.sum / np.maximum(block.count, 1.0)
        deviation = np.where(there, values - block.mean[group[order]], 0.0)
        block.squares = np.add.reduceat(deviation**2, starts, axis=0)
        block.low = np.minimum.reduceat(np.where(there, values, np.inf), starts, axis=0)
        block.high = np.maximum.reduceat(np.where(there, values, -np.inf), starts, axis=0)
        self.merge(block)

    def merge(self, other: Groups) -> None:
        """Take in what other rows gave."""
        at = np.array([self.number.setdefault(key, len(self.number)) for key in other.number], np.intp)
        more = len(self.number) - len(self.rows)
        d = self.count.shape[1]
        self.rows = np.concatenate([self.rows, np.zeros(more)])
        for name, fill in (("count", 0), ("sum", 0), ("mean", 0), ("squares", 0), ("low", np.inf), ("high", -np.inf)):
            setattr(self, name, np.concatenate([getattr(self, name), np.full((more, d), float(fill))]))
        count = self.count[at]
        total = count + other.count
        share = other.count / np.maximum(total, 1.0)
        delta = other.mean - self.mean[at]
        self.squares[at] += other.squares + delta**2 * count * share
        self.mean[at] += delta * share
        self.count[at] = total
        self.sum[at] += other.sum
        self.rows[at] += other.rows
        self.low[at] = np.minimum(self.low[at], other.low)
        self.high[at] = np.maximum(self.high[at], other.high)

    def get(self, aggregate: str) -> np.ndarray:
        """One aggregate of every group and column (groups, d), groups in the order of `number`; NaN for no value.

        `aggregate`: "count", "sum", "mean", "std" (n - 1 in the denominator, as pandas), "min" or "max".
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            found = {
                "count": self.count,
                "sum": self.sum,
                "mean": np.where(self.count > 0, self.mean, np.nan),
                "std": np.where(self.count > 1, np.sqrt(self.squares / (self.count - 1)), np.nan),
                "min": np.where(self.count > 0, self.low, np.nan),
                "max": np.where(self.count > 0, self.high, np.nan),
            }
        return found[aggregate]


AGGREGATES = ("count", "sum", "mean", "std", "min", "max")


def _keys(columns: Sequence[Text]) -> tuple[list[Key], np.ndarray]:
    """The groups of a block, and the number of each row's group among them."""
    group = np.zeros(len(columns[0].codes), np.int64)
    keys: list[Key] = [()]
    for codes, values in columns:
        # Numbered anew with each column: the product of all columns' counts may pass 2^63.
        present, group = distinct(group * (len(values) + 1) + codes + 1)
        texts = ("", *values)
        before, code = np.divmod(present, len(texts))
        keys = [(*keys[k], texts[c]) for k, c in zip(before.tolist(), code.tolist(), strict=True)]
    return keys, group
