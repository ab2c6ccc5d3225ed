"""Summaries of a Dataset over all ranks, each in one pass: what its columns hold, and aggregates of groups."""

from __future__ import annotations

import math
import pickle
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .data import Dataset
from .engine import Engine
from .prepare import columns_of, summarise
from .preprocess import AGGREGATES, Columns, Counts, Groups, Moments, Quantiles

QUARTILES = {"25%": 0.25, "50%": 0.5, "75%": 0.75}
TOP = 5
SAMPLES = 64  # names of groups that a rank tells for each rank, to share them out evenly


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
    """Return header and rows of a table with one row a group. Collective.

    Each rank gets rows of its own, about as many as the others, so that none holds all groups; the ranks' rows, one
    behind the other, are in the order of the groups' names.

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

    groups = Groups(by, len(where))
    with engine.comm.together("a pass over the data"), engine.timer("read"):
        for block in dataset.blocks():
            add(block, groups)
    groups = _to_owners(engine, groups)
    picks = [(name, aggregate, j) for j, (name, wanted) in enumerate(aggregates.items()) for aggregate in wanted]
    values = {aggregate: groups.get(aggregate) for _, aggregate, _ in picks}
    header = [*by, "rows", *(f"{name}_{aggregate}" for name, aggregate, _ in picks)]
    rows = [
        (*key, int(groups.rows[k]), *(float(values[aggregate][k, j]) for _, aggregate, j in picks))
        for key, k in sorted(groups.number.items())
    ]
    return header, rows


def _to_owners(engine: Engine, groups: Groups) -> Groups:
    """The groups of all ranks whose names lie in this rank's share of the alphabet, merged in rank order."""
    names = sorted(groups.number)
    samples = names[:: max(1, len(names) // (SAMPLES * engine.size))]
    with engine.timer("communicate"):
        known = sorted(name for told in engine.comm.share(samples) for name in told)
    borders = [known[len(known) * rank // engine.size] for rank in range(1, engine.size)] if known else []
    cuts = [0, *(bisect_left(names, border) for border in borders), len(names)]
    parts = [groups.part(names[low:high]) for low, high in pairwise(cuts)]
    parts += [groups.part([])] * (engine.size - len(parts))  # where there is no group at all
    with engine.timer("communicate"):
        sent = [np.frombuffer(pickle.dumps(part, 5), np.uint8) for part in parts]
        received = engine.comm.alltoall(sent)
    whole = Groups(groups.by, groups.count.shape[1])
    for part in received:
        whole.merge(pickle.loads(part.data))
    return whole
