"""Summaries of a Dataset over all ranks, each in one pass: what its columns hold, and aggregates of groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .data import Dataset
from .engine import Engine
from .prepare import columns_of, summarise
from .preprocess import AGGREGATES, Columns, Counts, Groups, Moments, Quantiles

QUARTILES = {"25%": 0.25, "50%": 0.5, "75%": 0.75}
TOP = 5


class _Description:
    """Moments and quantiles of the numbers, and counts of the texts."""

    def __init__(self, first: Columns) -> None:
        d = len(first.names)
        self.moments, self.quantiles, self.counts = Moments(d), Quantiles(d), Counts(tuple(first.text), bounded=True)

    def add(self, columns: Columns) -> None:
        self.moments.add(columns.X)
        self.quantiles.add(columns.X)
        self.counts.add(columns.text)

    def merge(self, other: _Description) -> None:
        self.moments.merge(other.moments)
        self.quantiles.merge(other.quantiles)
        self.counts.merge(other.counts)


def describe(engine: Engine, dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return what each column of X holds, by name; the same on every rank. Collective.

    Numbers: count, missing, mean, std (n - 1 in the denominator), min, 25%, 50%, 75% (within the error of
    `preprocess.Quantiles`), max; None where there is no value. Text: count, missing, unique (None for more than
    `preprocess.summaries.MAX_CATEGORIES`, or MAX_CHARACTERS in them) and top, the most frequent ones with their counts.
    `dataset` must hold dense rows. Raises (on every rank) what reading raises.
    """
    first = columns_of(dataset, dataset.empty())
    found: _Description = summarise(
        engine, dataset, lambda block, summary: summary.add(columns_of(dataset, block)), _Description(first)
    )
    moments, quartiles = found.moments, found.quantiles.at(list(QUARTILES.values()))
    with np.errstate(invalid="ignore", divide="ignore"):
        std = np.sqrt(moments.squares / (moments.count - 1))
    told: dict[str, dict[str, Any]] = {}
    for j, name in enumerate(first.names):
        numbers = {
            "mean": moments.mean[j],
            "std": std[j],
            "min": moments.low[j],
            **{label: quartiles[k, j] for k, label in enumerate(QUARTILES)},
            "max": moments.high[j],
        }
        some = moments.count[j] > 0
        told[name] = {"count": int(moments.count[j]), "missing": int(moments.missing[j])} | {
            label: float(value) if some and math.isfinite(value) else None for label, value in numbers.items()
        }
    for name, counts in found.counts.columns.items():
        missing = counts.pop("", 0)
        many = name in found.counts.overflowed
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        told[name] = {
            "count": dataset.n_rows - missing,
            "missing": missing,
            "unique": None if many else len(counts),
            "top": dict(top),
        }
    return told


def group_by(
    engine: Engine, dataset: Dataset, by: Sequence[str], aggregates: Mapping[str, Sequence[str]]
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return header and rows of a table with one row a group, groups in the order of their names. Collective.

    Args:
        dataset: opened with the columns of `by` as text.
        by: the columns whose texts make the groups; a missing text is the group "".
        aggregates: for each column of numbers any of "count", "sum", "mean", "std", "min", "max"; gaps are left out.

    Raises (on every rank): ValueError for an unknown column or aggregate; what reading raises.
    """
    first = columns_of(dataset, dataset.empty())
    with engine.comm.together("group_by"):
        where = first.find(tuple(aggregates))
        for name in by:
            if name not in first.text:
                raise ValueError(f"column {name!r} was not read as text, to group by it")
        for wanted in aggregates.values():
            for aggregate in wanted:
                if aggregate not in AGGREGATES:
                    raise ValueError(f"unknown aggregate {aggregate!r}; choose of {', '.join(AGGREGATES)}")

    def add(block: Any, groups: Groups) -> None:
        columns = columns_of(dataset, block)
        groups.add(np.asarray(columns.X[:, where], np.float64), columns.text)

    groups = summarise(engine, dataset, add, Groups(by, len(where)))
    picks = [(name, aggregate, j) for j, (name, wanted) in enumerate(aggregates.items()) for aggregate in wanted]
    values = {aggregate: groups.get(aggregate) for _, aggregate, _ in picks}
    header = [*by, "rows", *(f"{name}_{aggregate}" for name, aggregate, _ in picks)]
    rows = [
        (*key, int(groups.rows[k]), *(float(values[aggregate][k, j]) for _, aggregate, j in picks))
        for key, k in sorted(groups.number.items())
    ]
    return header, rows
