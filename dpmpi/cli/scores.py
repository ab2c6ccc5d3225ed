"""What ``dpmpi predict`` says of a row, and how it is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..training.fit import FitResult


def output_columns(classifier: bool) -> tuple[str, ...]:
    """The names of what `predict_rows` returns."""
    return ("prediction", "probability") if classifier else ("prediction",)


def predict_rows(X: Any, result: FitResult) -> np.ndarray:
    """Return (n, 1) predictions, or (n, 2) labels and probabilities, of the rows of X."""
    columns = [result.predict(X)]
    if result.classes is not None:
        columns.append(result.predict_proba(X))
    return np.column_stack(columns)


def csv_lines(predictions: np.ndarray) -> bytes:
    """The rows as lines of CSV, every digit."""
    return "".join(",".join(f"{value:.17g}" for value in row) + "\n" for row in predictions.tolist()).encode()


def json_lines(predictions: np.ndarray, names: tuple[str, ...]) -> bytes:
    """The rows as JSON objects, one a line, every digit."""
    rows = (", ".join(f'"{n}": {v:.17g}' for n, v in zip(names, row, strict=True)) for row in predictions.tolist())
    return "".join("{" + row + "}\n" for row in rows).encode()
