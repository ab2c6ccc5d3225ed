"""Moments of columns within groups of rows, the groups named by text columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dpmpi.kernels.statistics import distinct

from .columns import Text

Key = tuple[str, ...]
_KEPT = {
    "rows": 0.0, "count": 0.0, "sum": 0.0, "shift": 0.0, "offset": 0.0, "squares": 0.0, "low": np.inf, "high": -np.inf,
}  # fmt: skip


class Groups:
    """For each group and column: count, sum, mean, sum of squared deviations, least, greatest; gaps left out.

    Blocks and ranks are merged by Chan's update, means are `shift` + `offset` (see `Moments`). `rows` counts the rows
    of a group.
    """

    def __init__(self, by: Sequence[str], d: int) -> None:
        self.by = tuple(by)
        self.number: dict[Key, int] = {}
        self.rows = np.zeros(0)
        shape = (0, d)
        self.count, self.sum, self.shift, self.offset, self.squares = (np.zeros(shape) for _ in range(5))
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
        block.low = np.minimum.reduceat(np.where(there, values, np.inf), starts, axis=0)
        block.high = np.maximum.reduceat(np.where(there, values, -np.inf), starts, axis=0)
        block.shift = np.where(block.count > 0, block.low, 0.0)
        group = group[order]
        shifted = np.where(there, values - block.shift[group], 0.0)
        block.offset = np.add.reduceat(shifted, starts, axis=0) / np.maximum(block.count, 1.0)
        deviation = np.where(there, shifted - block.offset[group], 0.0)
        block.squares = np.add.reduceat(deviation**2, starts, axis=0)
        self.merge(block)

    def merge(self, other: Groups) -> None:
        """Take in what other rows gave."""
        at = np.array([self.number.setdefault(key, len(self.number)) for key in other.number], np.intp)
        self._grow()
        rows, count, total, shift, offset, squares, low, high = other.exactly()
        old = self.count[at]
        share = count / np.maximum(old + count, 1.0)
        delta = np.where(old == 0, offset, (shift - self.shift[at]) + (offset - self.offset[at]))
        self.squares[at] += squares + delta**2 * old * share
        self.offset[at] += delta * share
        self.shift[at] = np.where(old == 0, shift, self.shift[at])
        self.count[at] += count
        self.sum[at] += total
        self.rows[at] += rows
        self.low[at] = np.minimum(self.low[at], low)
        self.high[at] = np.maximum(self.high[at], high)

    def exactly(self) -> list[np.ndarray]:
        """What is kept, in the order of `_KEPT`, of the groups there are: the arrays may have room for more."""
        return [getattr(self, name)[: len(self.number)] for name in _KEPT]

    def _grow(self) -> None:
        """Make room for the groups in `number`, twice as much as before at least: groups come a few with each block."""
        more = len(self.number) - len(self.rows)
        if more > 0:
            more = max(more, len(self.rows))
            for name, fill in _KEPT.items():
                kept = getattr(self, name)
                setattr(self, name, np.concatenate([kept, np.full((more, *kept.shape[1:]), fill)]))

    def part(self, keys: Sequence[Key]) -> Groups:
        """The groups of these keys, in this order."""
        found = Groups(self.by, self.count.shape[1])
        found.number = {key: k for k, key in enumerate(keys)}
        at = np.array([self.number[key] for key in keys], np.intp)
        for name, kept in zip(_KEPT, self.exactly(), strict=True):
            setattr(found, name, kept[at])
        return found

    def get(self, aggregate: str) -> np.ndarray:
        """One aggregate of every group and column (groups, d), groups in the order of `number`; NaN for no value.

        `aggregate`: "count", "sum", "mean", "std" (n - 1 in the denominator, as pandas), "min" or "max".
        """
        _, count, total, shift, offset, squares, low, high = self.exactly()
        with np.errstate(invalid="ignore", divide="ignore"):
            found = {
                "count": count,
                "sum": total,
                "mean": np.where(count > 0, shift + offset, np.nan),
                "std": np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan),
                "min": np.where(count > 0, low, np.nan),
                "max": np.where(count > 0, high, np.nan),
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
