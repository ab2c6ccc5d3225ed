"""Fits preprocessing pipelines over the ranks and applies them to a Dataset as it streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from .data import BadRow, Block, DataError, Dataset, Frame
from .engine import Engine
from .preprocess import Columns, Folded, Pipeline, RowError, Step, Text, fold_scaling


class Summary(Protocol):
    """What a pass over the rows learns; see `preprocess.summaries`."""

    def merge(self, other: Any) -> None:
        """Take in what other rows gave."""
        ...


S = TypeVar("S", bound=Summary)


def fit_pipeline(engine: Engine, dataset: Dataset, steps: Sequence[Step]) -> Pipeline:
    """Fit `steps` one after the other on the rows of all ranks, each that learns in one pass. Collective.

    `dataset` must be opened with ``missing=True`` for imputation, and with `text` naming the columns to encode.

    Raises (on every rank): DataError naming the row that a step cannot take; ValueError for a column that is not there
        or is of the wrong kind.
    """
    first = columns_of(dataset, dataset.empty())
    fitted: list[Step] = []
    for step in steps:
        done = Pipeline(tuple(fitted))
        with engine.comm.together(f"starting {type(step).__name__}"):
            before = done.apply(first)
            learnt = step.summary(before)
        if learnt is not None:
            learnt = summarise(engine, dataset.map(_applied(dataset, done.apply)), step.learn, learnt)  # type: ignore[attr-defined]
        with engine.comm.together(f"fitting {type(step).__name__}"):
            fitted.append(step.fitted(before, learnt))
    return Pipeline(tuple(fitted), first.names, tuple(first.text))


def summarise(engine: Engine, dataset: Dataset, add: Callable[[Any, S], None], summary: S) -> S:
    """Pass over all rows with ``add(block, summary)`` and merge the ranks' summaries in rank order. Collective."""
    with engine.comm.together("a pass over the data"), engine.timer("read"):
        for block in dataset.blocks():
            add(block, summary)
    parts = engine.comm.share(summary)
    # Every rank merges the same parts in the same order: the same bits everywhere.
    whole = parts[0]
    with engine.comm.together("merging what the ranks learnt"):
        for part in parts[1:]:
            whole.merge(part)
    return whole


def apply_pipeline(dataset: Dataset, pipeline: Pipeline) -> Dataset:
    """The same rows with X made by `pipeline`, block by block as they are read; nothing is communicated."""
    finish = _applied(dataset, pipeline.finish)

    def transform(block: Any) -> Block:
        return Block(finish(block), block.y, block.sample_weight)

    names = pipeline.apply(columns_of(dataset, dataset.empty())).names
    return dataset.map(transform, columns=names)


def apply_unscaled(dataset: Dataset, pipeline: Pipeline) -> tuple[Dataset, Folded]:
    """As `apply_pipeline`, but a scaling at the end is left to ``dpmpi.fit(..., scaling=folded.scaling)`` where it can.

    The rows are then not copied to be scaled; where digits would be lost, `folded` says so and nothing is left out.
    """
    folded = fold_scaling(pipeline, columns_of(dataset, dataset.empty()))
    return apply_pipeline(dataset, folded.pipeline), folded


def _applied(dataset: Dataset, function: Callable[[Columns], Any]) -> Callable[[Any], Any]:
    def apply(block: Any) -> Any:
        try:
            return function(columns_of(dataset, block))
        except RowError as error:
            raise BadRow.at(error.row, error.reason) from None

    return apply


def columns_of(dataset: Dataset, block: Block | Frame) -> Columns:
    """A block of a Dataset as transformers see it; columns without names are called by their numbers.

    Raises DataError for sparse rows: scaled or filled in, they would be dense.
    """
    if not isinstance(block.X, np.ndarray):
        raise DataError(
            f"{dataset.source}: its rows are sparse; preprocessing and describe take dense rows: fit them as they are, "
            "or write them as a dense array"
        )
    names = dataset.columns or tuple(map(str, range(block.X.shape[1])))
    text = block.text if isinstance(block, Frame) else {}
    return Columns(names, block.X, {name: Text(*cells) for name, cells in text.items()})
