"""Transformers of numbers: scaling, imputation, logarithm, clipping, binning.

Each is a frozen description. `summary` starts what must be learnt in one pass (None for nothing), `fitted` returns the
description with what was learnt, `apply` is a function of a block. Missing values (NaN) are left out when learning and
stay missing, except where they are imputed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .columns import Columns, RowError
from .quantiles import Quantiles
from .summaries import Moments

SCALES = ("standard", "minmax", "robust")
IMPUTATIONS = ("mean", "median", "constant")


@dataclass(frozen=True)
class Scale:
    """``(x - shift) / factor``: columns of like size.

    kind : "standard" (mean 0, standard deviation 1), "minmax" (from 0 to 1), or "robust" (median 0, distance between
        the quartiles 1; the quartiles within the error of `Quantiles`). A constant column is only shifted.
    columns : names, None for all numbers.
    """

    kind: str = "standard"
    columns: tuple[str, ...] | None = None
    shift: tuple[float, ...] = ()
    factor: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in SCALES:
            raise ValueError(f"unknown scaling {self.kind!r}; choose one of {', '.join(SCALES)}")

    def summary(self, first: Columns) -> Moments | Quantiles:
        """What learns from the columns that `first`, a block without rows, describes."""
        d = len(first.find(self.columns))
        return Quantiles(d) if self.kind == "robust" else Moments(d)

    def fitted(self, first: Columns, learnt: Moments | Quantiles) -> Scale:
        """This scaling with shift and factor."""
        if isinstance(learnt, Quantiles):
            low, shift, high = learnt.at([0.25, 0.5, 0.75])
            factor = high - low
        elif self.kind == "standard":
            shift, factor = learnt.mean, np.sqrt(learnt.variance)
            # The spread of a constant is rounding only.
            factor = np.where(factor <= 1e-15 * np.abs(shift) * np.sqrt(np.maximum(learnt.count, 1)), 0.0, factor)
        else:
            shift, factor = learnt.low, learnt.high - learnt.low
        unknown = ~np.isfinite(shift) | ~np.isfinite(factor)
        shift, factor = np.where(unknown, 0.0, shift), np.where(unknown | (factor == 0), 1.0, factor)
        return replace(self, shift=tuple(shift.tolist()), factor=tuple(factor.tolist()))

    def learn(self, columns: Columns, learnt: Moments | Quantiles) -> None:
        """Take in a block."""
        learnt.add(columns.X[:, columns.find(self.columns)])

    def apply(self, columns: Columns) -> Columns:
        """Scale a block."""
        X = _copy(columns)
        where = columns.find(self.columns)
        X[:, where] = (X[:, where] - np.asarray(self.shift)) / np.asarray(self.factor)
        return columns._replace(X=X)


@dataclass(frozen=True)
class Impute:
    """Missing numbers become the column's mean, median (within the error of `Quantiles`), or `constant`."""

    kind: str = "mean"
    constant: float = 0.0
    columns: tuple[str, ...] | None = None
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in IMPUTATIONS:
            raise ValueError(f"unknown imputation {self.kind!r}; choose one of {', '.join(IMPUTATIONS)}")
        if not np.isfinite(self.constant):
            raise ValueError(f"the constant to impute must be finite, not {self.constant}")

    def summary(self, first: Columns) -> Moments | Quantiles | None:
        """What learns from the columns that `first`, a block without rows, describes."""
        d = len(first.find(self.columns))
        if self.kind == "constant":
            return None
        return Moments(d) if self.kind == "mean" else Quantiles(d)

    def fitted(self, first: Columns, learnt: Moments | Quantiles | None) -> Impute:
        """This imputation with its values. Raises ValueError for a column without any number."""
        where = first.find(self.columns)
        if learnt is None:
            values = np.full(len(where), self.constant)
        elif isinstance(learnt, Quantiles):
            values = learnt.at([0.5])[0]
        else:
            values = np.where(learnt.count > 0, learnt.mean, np.nan)
        if np.isnan(values).any():
            name = first.names[where[int(np.argmax(np.isnan(values)))]]
            raise ValueError(f"column {name!r} holds no number to impute from; leave it out or give a constant")
        return replace(self, values=tuple(values.tolist()))

    def learn(self, columns: Columns, learnt: Moments | Quantiles) -> None:
        """Take in a block."""
        learnt.add(columns.X[:, columns.find(self.columns)])

    def apply(self, columns: Columns) -> Columns:
        """Fill a block's gaps."""
        where = columns.find(self.columns)
        part = columns.X[:, where]
        gaps = np.isnan(part)
        if not gaps.any():
            return columns
        X = _copy(columns)
        X[:, where] = np.where(gaps, np.asarray(self.values), part)
        return columns._replace(X=X)


@dataclass(frozen=True)
class Log:
    """``log(1 + x)``, for numbers above -1."""

    columns: tuple[str, ...] | None = None

    def summary(self, first: Columns) -> None:
        """Nothing is to be learnt."""
        first.find(self.columns)

    def fitted(self, first: Columns, learnt: None) -> Log:
        """This."""
        return self

    def apply(self, columns: Columns) -> Columns:
        """Take a block's logarithms. Raises RowError for a number that has none."""
        X = _copy(columns)
        where = columns.find(self.columns)
        bad = np.argwhere(X[:, where] <= -1)
        if len(bad):
            row, j = bad[0]
            value = X[row, where[j]]
            raise RowError(int(row), f"column {columns.names[where[j]]!r} is {value:g}: log(1 + x) needs x above -1")
        X[:, where] = np.log1p(X[:, where])
        return columns._replace(X=X)


@dataclass(frozen=True)
class Clip:
    """Numbers below `low` become `low`, those above `high` become `high`."""

    low: float
    high: float
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"clip needs low <= high, not {self.low} and {self.high}")

    def summary(self, first: Columns) -> None:
        """Nothing is to be learnt."""
        first.find(self.columns)

    def fitted(self, first: Columns, learnt: None) -> Clip:
        """This."""
        return self

    def apply(self, columns: Columns) -> Columns:
        """Clip a block."""
        X = _copy(columns)
        where = columns.find(self.columns)
        X[:, where] = np.clip(X[:, where], self.low, self.high)
        return columns._replace(X=X)


@dataclass(frozen=True)
class Bin:
    """The number of the bin, 0 to n_bins - 1, that x falls into: bins of equal width, or of equally many rows.

    There are fewer bins where edges between them are equal, and one for a constant column.
    """

    n_bins: int
    kind: str = "uniform"
    columns: tuple[str, ...] | None = None
    edges: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.n_bins < 2 or self.kind not in ("uniform", "quantile"):
            raise ValueError(f"binning needs 2 bins or more, uniform or quantile, not {self.n_bins} and {self.kind!r}")

    def summary(self, first: Columns) -> Moments | Quantiles:
        """What learns from the columns that `first`, a block without rows, describes."""
        d = len(first.find(self.columns))
        return Moments(d) if self.kind == "uniform" else Quantiles(d)

    def fitted(self, first: Columns, learnt: Moments | Quantiles) -> Bin:
        """This binning with the edges between bins."""
        shares = np.linspace(0, 1, self.n_bins + 1).tolist()
        if isinstance(learnt, Quantiles):
            # Values that occur often repeat edges, also the outer ones, which are none between bins.
            edges = [np.unique(column)[1:-1] for column in learnt.at(shares).T]
        else:
            ends = zip(learnt.low.tolist(), learnt.high.tolist(), strict=True)
            edges = [np.linspace(low, high, len(shares))[1:-1] if low < high else np.empty(0) for low, high in ends]
        return replace(self, edges=tuple(tuple(column.tolist()) for column in edges))

    def learn(self, columns: Columns, learnt: Moments | Quantiles) -> None:
        """Take in a block."""
        learnt.add(columns.X[:, columns.find(self.columns)])

    def apply(self, columns: Columns) -> Columns:
        """Bin a block."""
        X = _copy(columns)
        for j, edges in zip(columns.find(self.columns), self.edges, strict=True):
            missing = np.isnan(X[:, j])
            X[:, j] = np.where(missing, np.nan, np.searchsorted(edges, X[:, j], side="right"))
        return columns._replace(X=X)


def _copy(columns: Columns) -> np.ndarray:
    """X to be written to: a block may lie in memory that is the caller's."""
    return np.array(columns.X)
