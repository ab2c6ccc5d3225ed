"""A NumPy twin of every compiled kernel, same name and arguments: the tests' oracle, and the text to read first."""

from __future__ import annotations

from typing import Any

import numpy as np


def sum_into(x: np.ndarray, out: np.ndarray) -> None:
    """``out += x`` element by element; for bool, logical or."""
    np.add(out, x, out=out)


def prod_into(x: np.ndarray, out: np.ndarray) -> None:
    """``out *= x`` element by element; for bool, logical and."""
    np.multiply(out, x, out=out)


def min_into(x: np.ndarray, out: np.ndarray) -> None:
    """``out = min(out, x)`` element by element; NaN wins, complex numbers compare by real part, then imaginary."""
    np.minimum(out, x, out=out)


def max_into(x: np.ndarray, out: np.ndarray) -> None:
    """``out = max(out, x)`` element by element; NaN wins, complex numbers compare by real part, then imaginary."""
    np.maximum(out, x, out=out)


def linear_predictor(X: Any, coef: np.ndarray, out: np.ndarray) -> None:
    """``out += X @ coef``, plus the intercept where coef has one entry more than X has columns."""
    out += _predict(X, coef)


def squared(X: Any, y: np.ndarray, sample_weight: np.ndarray | None, coef: np.ndarray, out: np.ndarray) -> None:
    """Loss (z - y)^2 / 2."""
    z = _predict(X, coef)
    _add_loss_gradient(X, sample_weight, (z - y) ** 2 / 2, z - y, out)


def logistic(X: Any, y: np.ndarray, sample_weight: np.ndarray | None, coef: np.ndarray, out: np.ndarray) -> None:
    """Loss log(1 + exp(z)) - y z; y from 0 to 1."""
    z = _predict(X, coef)
    e = np.exp(-np.abs(z))
    _add_loss_gradient(
        X, sample_weight, np.maximum(z, 0) - y * z + np.log1p(e), np.where(z < 0, e, 1) / (1 + e) - y, out
    )


def _predict(X: Any, coef: np.ndarray) -> np.ndarray:
    d = X.shape[1]
    return X @ coef[:d] + (coef[d] if len(coef) > d else 0.0)


def _add_loss_gradient(
    X: Any, sample_weight: np.ndarray | None, loss: np.ndarray, gradient: np.ndarray, out: np.ndarray
) -> None:
    """Add the weighted sum of the losses, and of the rows' gradients with respect to coef."""
    d = X.shape[1]
    weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    out[0] += np.sum(weight * loss)
    out[1 : d + 1] += X.T @ (weight * gradient)
    out[d + 1 :] += np.sum(weight * gradient)
