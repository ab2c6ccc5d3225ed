"""The rows of a fit: checked, counted and sampled, whether they are in memory or streamed from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Block, Dataset
from ..engine import Engine

# What the standardised coordinates are estimated from, over all ranks: a spread is needed, not an exact value.
SAMPLE_ROWS = 1 << 16
SAMPLE_BYTES = 32 << 20  # of a dense sample
CHECK_ROWS = 1 << 14  # rows looked at together for NaN and infinity


class LabelError(ValueError):
    """The target of a classifier does not have two classes."""


@dataclass(frozen=True)
class TrainingRows:
    """What a fit needs to know of its rows.

    Attributes:
        shards: what `Engine.reduce` takes: arrays (X, y, sample_weight) or a Dataset of such blocks. For a classifier
            y is 1.0 where the target is ``classes[1]``, else 0.0.
        sample: some rows of this rank's X; those of all ranks together do not depend on the number of ranks.
        n_rows, first_row: rows of all ranks, and the global number of this rank's first.
        n_columns, dtype: of X.
        total_weight: sum of the weights of all ranks; without weights, n_rows.
        classes: the two labels in ascending order, or None for regression.
    """

    shards: Any
    sample: Any
    n_rows: int
    first_row: int
    n_columns: int
    dtype: np.dtype
    total_weight: float
    classes: np.ndarray | None


def find_rows(
    engine: Engine, X: Any, y: Any, sample_weight: Any, classifier: bool, classes: np.ndarray | None = None
) -> TrainingRows:
    """Check arrays, or a Dataset, which is loaded where it fits. Collective; raises as `dpmpi.fit`.

    `classes` are a classifier's two labels where they are known; else they are found in y.
    """
    if isinstance(X, Dataset) and X.fits:
        table = X.load()
        X, y, sample_weight = table.X, table.y, table.sample_weight
    if isinstance(X, Dataset):
        return _survey(engine, X, classifier, classes)
    return _check_arrays(engine, X, y, sample_weight, classifier, classes)


def _check_arrays(
    engine: Engine, X: Any, y: Any, sample_weight: Any, classifier: bool, classes: np.ndarray | None
) -> TrainingRows:
    with engine.comm.together("checking the shapes"):
        if y is None:
            raise ValueError("y is missing: give the targets")
        X, y, sample_weight = _check_shapes(X, y, sample_weight)
    n_rows, first_row = _agree_on_shape(engine, X)
    with engine.comm.together("checking the data"), engine.timer("compute"):
        _check_finite(X, first_row, "X")
        _check_finite(y[:, None], first_row, "y")
        if sample_weight is not None:
            _check_weights(sample_weight, first_row)
    if classifier:
        classes = _agree_on_classes(engine, _few(y), classes)
        y = (y == classes[1]).astype(X.dtype)
    total = _total_weight(engine, n_rows, None if sample_weight is None else sample_weight.sum(dtype=np.float64))
    sample = X[_sampled(first_row, n_rows, X)]
    return TrainingRows((X, y, sample_weight), sample, n_rows, first_row, X.shape[1], X.dtype, total, classes)


def _survey(engine: Engine, dataset: Dataset, classifier: bool, classes: np.ndarray | None) -> TrainingRows:
    """Pass once over a Dataset's rows, which its reader has checked, to learn what a fit must know. Collective."""
    labels = np.zeros(0)
    weight: float | None = None
    samples = []
    row = dataset.start
    with engine.comm.together("the first pass over the data"), engine.timer("read"):
        empty = dataset.empty()
        if empty.y is None:
            raise ValueError(f"{dataset.source}: name the column to fit with target")
        if empty.sample_weight is not None:
            weight = 0.0
        for X, y, sample_weight in dataset.blocks():
            if classifier:
                labels = _few(np.concatenate([labels, np.asarray(y)]))
            if weight is not None and sample_weight is not None:
                weight += float(sample_weight.sum(dtype=np.float64))
            samples.append(X[_sampled(row, dataset.n_rows, X)].copy())
            row += X.shape[0]
    total = _total_weight(engine, dataset.n_rows, weight)
    shards = dataset
    if classifier:
        classes = _agree_on_classes(engine, labels, classes)
        positive = classes[1]
        if tuple(classes) != (0, 1):  # else y is what it should be
            shards = dataset.map(lambda block: _binary(block, positive))
    sample = _stack([empty.X, *samples])
    width = sample.shape[1]
    return TrainingRows(shards.holding(), sample, dataset.n_rows, dataset.start, width, sample.dtype, total, classes)


def _binary(block: Block, positive: float) -> Block:
    return block._replace(y=np.equal(np.asarray(block.y), positive).astype(block.X.dtype))


def _stack(parts: list[Any]) -> Any:
    if hasattr(parts[0], "indptr"):
        from scipy import sparse

        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


def _sampled(first_row: int, n_rows: int, X: Any) -> slice:
    """The rows of the sample among those of X: every step-th counted over all ranks, whatever their number."""
    rows = SAMPLE_ROWS if hasattr(X, "indptr") else min(SAMPLE_ROWS, max(1024, SAMPLE_BYTES // (8 * X.shape[1] + 1)))
    step = max(1, n_rows // rows)
    return slice(-first_row % step, None, step)


def _total_weight(engine: Engine, n_rows: int, weight: float | None) -> float:
    if weight is None:
        return float(n_rows)
    total = float(engine.comm.allreduce(np.array([weight]))[0])
    if total == 0:
        raise ValueError("sample_weight: all weights are zero")
    return total


def _check_shapes(X: Any, y: Any, sample_weight: Any) -> tuple[Any, np.ndarray, np.ndarray | None]:
    X = X.tocsr() if hasattr(X, "tocsr") else np.asarray(X)
    if X.ndim != 2:
        raise ValueError(f"X must have two dimensions, rows and columns, not shape {X.shape}")
    if X.dtype.kind not in "biuf":
        raise TypeError(f"X must be numbers, not dtype {X.dtype}")
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    y = _vector(y, "y", X.shape[0])
    if sample_weight is not None:
        sample_weight = _vector(sample_weight, "sample_weight", X.shape[0]).astype(X.dtype, copy=False)
    return X, y, sample_weight


def _vector(values: Any, name: str, n: int) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 1 or values.shape[0] != n:
        raise ValueError(f"{name} must have one value for each of the {n} rows of X, but has shape {values.shape}")
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be numbers, not dtype {values.dtype}")
    return values.astype(np.float64, copy=False)


def _agree_on_shape(engine: Engine, X: Any) -> tuple[int, int]:
    shapes = engine.comm.share((X.shape, X.dtype.name))
    kinds = {(shape[1], dtype) for shape, dtype in shapes}
    if len(kinds) > 1:
        told = "; ".join(f"rank {rank}: {s[1]} columns of {dtype}" for rank, (s, dtype) in enumerate(shapes))
        raise ValueError(f"X must have the same columns and dtype on every rank, but has {told}")
    rows = [shape[0] for shape, _ in shapes]
    if sum(rows) == 0:
        raise ValueError("X has no rows on any rank")
    return sum(rows), sum(rows[: engine.rank])


def _check_finite(X: Any, first_row: int, name: str) -> None:
    sparse = hasattr(X, "indptr")
    values = X.data[:, None] if sparse else X
    for low in range(0, values.shape[0], CHECK_ROWS):
        bad = ~np.isfinite(values[low : low + CHECK_ROWS])
        if bad.any():
            row, column = np.argwhere(bad)[0]
            row += low
            value = values[row, column]
            if sparse:
                row, column = np.searchsorted(X.indptr, row, "right") - 1, X.indices[row]
            where = f"row {first_row + row}" + (f", column {column}" if name == "X" else "")
            raise ValueError(f"{name} is {value} at {where} (counted from 0 over all ranks); remove or replace it")


def _check_weights(sample_weight: np.ndarray, first_row: int) -> None:
    bad = ~(np.isfinite(sample_weight) & (sample_weight >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"sample_weight is {sample_weight[row]} at row {first_row + row}; weights are 0 or more")


def _few(labels: np.ndarray) -> np.ndarray:
    """The different labels in ascending order; three are enough to see that there are too many."""
    return np.unique(labels)[:3]


def _agree_on_classes(engine: Engine, labels: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    labels = _few(np.concatenate(engine.comm.share(labels)))
    if known is not None:
        strange = labels[~np.isin(labels, known)]
        if len(strange):
            raise LabelError(
                f"the target holds the label {strange[0]:g}, but the model knows {known[0]:g}, {known[1]:g}"
            )
        return known
    if len(labels) != 2:
        more = " or more" if len(labels) > 2 else ""
        raise LabelError(
            f"a logistic model needs exactly two classes in y, but found {len(labels)}{more}: "
            f"{', '.join(f'{label:g}' for label in labels)}"
        )
    return labels
