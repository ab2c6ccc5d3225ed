"""Generalised linear models: a prediction is a function of the linear predictor ``z = X @ coef + intercept``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..kernels import logistic, squared


@dataclass(frozen=True)
class Model:
    """One kind of model.

    Attributes:
        name: what the user calls it.
        loss: the kernel ``loss(X, y, sample_weight, coef, out)`` of `dpmpi.kernels`.
        mean: the expected target for a linear predictor ``z``: for a classifier, the second class's probability.
        classifier: whether the target has two classes; the kernel sees them as 0 and 1.
        curvature: the largest second derivative of the loss with respect to z.
    """

    name: str
    loss: Callable[..., None]
    mean: Callable[[np.ndarray], np.ndarray]
    classifier: bool
    curvature: float


def _identity(z: np.ndarray) -> np.ndarray:
    return z


def _expit(z: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(z))  # never overflows
    return np.where(z >= 0, 1.0, e) / (1.0 + e)


MODELS = {
    model.name: model
    for model in (
        Model("linear", squared, _identity, classifier=False, curvature=1.0),
        Model("logistic", logistic, _expit, classifier=True, curvature=0.25),
    )
}
