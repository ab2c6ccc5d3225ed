"""How good predictions are, over the rows of all ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .data import Dataset
from .engine import Engine
from .models import MODELS
from .training.fit import FitResult


def evaluate(engine: Engine, result: FitResult, X: Any, y: np.ndarray | None = None) -> dict[str, float | None]:
    """Return the metrics of `result` on the ranks' rows X (n, d) and targets y (n,). Collective.

    X may be a `dpmpi.data.Dataset` with targets, of which only linear predictor and target are kept, 16 bytes a row.
    For a classifier: accuracy, auc (None when only one class occurs) and log_loss; y holds the model's labels.
    For regression: rmse and r2 (None when y is constant).

    Raises (on every rank): ValueError when a label is not one of the model's, or there are no rows or no targets; what
        reading X raises.
    """
    with engine.comm.together("evaluate"):
        if (X.target if isinstance(X, Dataset) else y) is None:
            raise ValueError("y is missing: the metrics need the rows' targets")
        z, y = _predict(engine, result, X, y)
        if result.classes is not None:
            unknown = ~np.isin(y, result.classes)
            if unknown.any():
                first, second = result.classes
                raise ValueError(f"y holds the label {y[unknown][0]:g}, but the model knows {first:g} and {second:g}")
    if result.classes is None:
        return _regression(engine, y, MODELS[result.model].mean(z))
    positive = y == result.classes[1]
    sums = _total(engine, _classification_sums, (positive, z), 3)
    return {
        "accuracy": sums[1] / sums[0],
        "auc": _auc(engine, z[positive], z[~positive]),
        "log_loss": sums[2] / sums[0],
    }


def _predict(engine: Engine, result: FitResult, X: Any, y: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Linear predictor and targets of this rank's rows, float64 (n,)."""
    if not isinstance(X, Dataset):
        return engine.map(result.linear_predictor, X), np.asarray(y, np.float64)
    pairs = [(engine.map(result.linear_predictor, block.X), block.y) for block in X.blocks()]
    if not pairs:
        return np.zeros(0), np.zeros(0)
    return np.concatenate([z for z, _ in pairs]), np.concatenate([y for _, y in pairs])


def _regression(engine: Engine, y: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    n, total = _total(engine, _count_and_sum, y, 2)
    squares = _total(engine, _squares, (y, predicted), 2, total / n)
    residual, around_mean = squares
    # Around its rounded mean a constant deviates too: the ends tell.
    ends = np.array([y.max(initial=-np.inf), -y.min(initial=np.inf)])
    high, low = engine.comm.allreduce(ends, op="max") * (1, -1)
    constant = high == low or around_mean == 0
    return {"rmse": (residual / n) ** 0.5, "r2": None if constant else 1.0 - residual / around_mean}


def _total(engine: Engine, kernel: Callable[..., None], shards: Any, length: int, *params: Any) -> list[float]:
    sums = engine.reduce(kernel, shards, *params, out=np.zeros(length)).tolist()
    return list(sums)


def _classification_sums(positive: np.ndarray, z: np.ndarray, out: np.ndarray) -> None:
    margin = np.where(positive, z, -z)
    out[0] += len(z)
    out[1] += np.count_nonzero((z > 0) == positive)
    out[2] += np.logaddexp(0.0, -margin).sum()


def _count_and_sum(y: np.ndarray, out: np.ndarray) -> None:
    out[0] += len(y)
    out[1] += y.sum()


def _squares(y: np.ndarray, predicted: np.ndarray, mean: float, out: np.ndarray) -> None:
    out[0] += np.square(y - predicted).sum()
    out[1] += np.square(y - mean).sum()


def _auc(engine: Engine, positives: np.ndarray, negatives: np.ndarray) -> float | None:
    """Return the share of (positive, negative) pairs that z puts in the right order, ties counting half.

    Exact, and no rank holds more than two shards: every rank's negatives travel once around the ring. Source: J. A.
    Hanley, B. J. McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
    Radiology 143 (1982) 29-36.
    """
    visiting = np.sort(negatives)
    twice_won = 0
    for step in range(engine.size):
        if step > 0:
            visiting = engine.comm.rotate(visiting)
        twice_won += int(np.searchsorted(visiting, positives, "left").sum(dtype=np.int64))
        twice_won += int(np.searchsorted(visiting, positives, "right").sum(dtype=np.int64))
    counts = np.array([twice_won, len(positives), len(negatives)], np.float64)
    won, n_positive, n_negative = engine.comm.allreduce(counts).tolist()
    pairs = n_positive * n_negative
    return won / (2.0 * pairs) if pairs else None
