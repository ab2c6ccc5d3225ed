"""A NumPy twin of every compiled kernel, same name and arguments: the tests' oracle, and the text to read first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray


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
    d = X.shape[1]
    out += X @ coef[:d] + (coef[d] if len(coef) > d else 0.0)


def squared(X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array) -> None:
    """Loss (z - y)^2 / 2."""
    _add_loss_gradient("squared", X, y, sample_weight, coef, out)


def logistic(X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array) -> None:
    """Loss log(1 + exp(z)) - y z; y from 0 to 1."""
    _add_loss_gradient("logistic", X, y, sample_weight, coef, out)


def poisson(X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array) -> None:
    """Loss exp(z) - y z."""
    _add_loss_gradient("poisson", X, y, sample_weight, coef, out)


def gamma(X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array) -> None:
    """Loss z + y exp(-z)."""
    _add_loss_gradient("gamma", X, y, sample_weight, coef, out)


def tweedie(X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array, *, power: float = 1.5) -> None:
    """Loss exp((2 - power) z) / (2 - power) - y exp((1 - power) z) / (1 - power)."""
    _add_loss_gradient("tweedie", X, y, sample_weight, coef, out, power=power)


def huber(X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array, *, delta: float = 1.35) -> None:
    """Loss r^2 / 2 for r = z - y within delta, delta (abs(r) - delta / 2) beyond."""
    _add_loss_gradient("huber", X, y, sample_weight, coef, out, delta=delta)


def pinball(X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array, *, quantile: float = 0.5) -> None:
    """Loss quantile r for r = y - z, (quantile - 1) r where r < 0."""
    _add_loss_gradient("pinball", X, y, sample_weight, coef, out, quantile=quantile)


def squared_hinge(X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array) -> None:
    """Loss max(0, 1 - s z)^2, s = 2 y - 1."""
    _add_loss_gradient("squared_hinge", X, y, sample_weight, coef, out)


def loss_value(
    X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array, *, loss: str, **parameter: float
) -> None:
    """The weighted sum of the losses alone."""
    if loss == "softmax":
        both = np.zeros(1 + coef.size)
        softmax(X, y, sample_weight, coef, both)
        out[0] += both[0]
        return
    out[0] += np.sum(_weight(X, sample_weight) * _terms(loss, y, _predict(X, coef), **parameter)[0])


def curvature(
    X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array, *, loss: str, **parameter: float
) -> None:
    """Each row's weighted second derivative of the loss by z."""
    out += _weight(X, sample_weight) * _terms(loss, y, _predict(X, coef), **parameter)[2]


def hessian_vector(
    X: Any,
    y: Array,
    sample_weight: Array | None,
    coef: Array,
    direction: Array,
    out: Array,
    *,
    loss: str,
    **parameter: float,
) -> None:
    """X^T D X direction, D the diagonal of the curvatures, X with a column of ones where there is an intercept."""
    if loss == "softmax":
        d = X.shape[1]
        p = _class_scores(X, coef)[1]
        along = X @ direction[:, :d].T + (direction[:, d] if coef.shape[1] > d else 0)
        curved = p * (along - np.sum(p * along, axis=1, keepdims=True))
        out += _class_products(X, _weight(X, sample_weight)[:, None] * curved, coef)
        return
    h = np.zeros(X.shape[0])
    curvature(X, y, sample_weight, coef, h, loss=loss, **parameter)
    _add_transposed(X, h * _predict(X, direction), out)


def _terms(loss: str, y: Array, z: Array, **parameter: float) -> tuple[Array, Array, Array]:
    """A loss, its derivative by z and its second derivative."""
    e, one = np.exp(-np.abs(z)), np.ones_like(z)
    s, r = 2 * y - 1, z - y
    if loss == "squared":
        return r**2 / 2, r, one
    if loss == "logistic":
        return np.maximum(z, 0) - y * z + np.log1p(e), np.where(z < 0, e, 1) / (1 + e) - y, e / (1 + e) ** 2
    if loss == "poisson":
        return np.exp(z) - y * z, np.exp(z) - y, np.exp(z)
    if loss == "gamma":
        return z + y * np.exp(-z), 1 - y * np.exp(-z), y * np.exp(-z)
    if loss == "tweedie":
        p = parameter.get("power", 1.5)
        a, b = np.exp((2 - p) * z), y * np.exp((1 - p) * z)
        return a / (2 - p) - b / (1 - p), a - b, (2 - p) * a - (1 - p) * b
    if loss == "huber":
        delta = parameter.get("delta", 1.35)
        inside = np.abs(r) <= delta
        return np.where(inside, r**2 / 2, delta * (np.abs(r) - delta / 2)), np.clip(r, -delta, delta), inside * one
    if loss == "pinball":
        slope = np.where(r > 0, parameter.get("quantile", 0.5) - 1, parameter.get("quantile", 0.5))
        return -slope * r, -slope, np.full_like(z, np.nan)
    if loss == "squared_hinge":
        margin = np.maximum(1 - s * z, 0)
        return margin**2, -2 * s * margin, 2 * s**2 * (s * z < 1)
    raise ValueError(f"no loss {loss!r}")


def _predict(X: Any, coef: Array) -> Array:
    z = np.zeros(X.shape[0])
    linear_predictor(X, coef, z)
    return z


def _weight(X: Any, sample_weight: Array | None) -> Array:
    return np.ones(X.shape[0]) if sample_weight is None else sample_weight


def _add_transposed(X: Any, g: Array, out: Array) -> None:
    d = X.shape[1]
    out[:d] += X.T @ g
    out[d:] += np.sum(g)


def _add_loss_gradient(
    name: str, X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array, **parameter: float
) -> None:
    loss, gradient, _ = _terms(name, y, _predict(X, coef), **parameter)
    weight = _weight(X, sample_weight)
    out[0] += np.sum(weight * loss)
    _add_transposed(X, weight * gradient, out[1:])


def moments(X: Array, shift: Array, out: Array) -> None:
    """Power sums about shift, orders 0 to 4, column by column."""
    out += [np.sum((X - shift) ** k, axis=0) for k in range(5)]


def group_count(keys: Array, out: Array) -> None:
    """Rows of each group."""
    np.add.at(out, keys, 1)


def group_sum(keys: Array, values: Array, out: Array) -> None:
    """Sum of each group's values."""
    np.add.at(out, keys, values)


def group_min(keys: Array, values: Array, out: Array) -> None:
    """Least of each group's values."""
    np.minimum.at(out, keys, values)


def group_max(keys: Array, values: Array, out: Array) -> None:
    """Greatest of each group's values."""
    np.maximum.at(out, keys, values)


def group_moments(keys: Array, values: Array, shift: Array, out: Array) -> None:
    """Power sums about shift, orders 0 to 2, group by group."""
    for k in range(3):
        np.add.at(out[k], keys, (values - shift[keys]) ** k)


def gram(X: Any, sample_weight: Array | None, out: Array) -> None:
    """X^T W X."""
    dense = X.toarray() if hasattr(X, "indptr") else X
    out += (dense.T * _weight(X, sample_weight)) @ dense


def covariance(X: Array, shift: Array, out: Array) -> None:
    """Count, sums about shift, and products."""
    centred = X - shift
    out += np.concatenate([[len(X)], centred.sum(axis=0), (centred.T @ centred).ravel()])


def softmax(X: Any, y: Array, sample_weight: Array | None, coef: Array, out: Array) -> None:
    """Loss log(sum_k exp(z_k)) - z_y of K classes and its gradient."""
    rows, weight = np.arange(X.shape[0]), _weight(X, sample_weight)
    z, p = _class_scores(X, coef)
    out[0] += np.sum(weight * (np.log(np.sum(np.exp(z), axis=1)) - z[rows, y]))
    p[rows, y] -= 1
    out[1:] += _class_products(X, weight[:, None] * p, coef)


def _class_scores(X: Any, coef: Array) -> tuple[Array, Array]:
    """The scores less their largest, and their softmax."""
    d = X.shape[1]
    z = X @ coef[:, :d].T + (coef[:, d] if coef.shape[1] > d else 0)
    z = z - np.max(z, axis=1, keepdims=True, initial=-np.inf)
    return z, np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True)


def _class_products(X: Any, g: Array, coef: Array) -> Array:
    return np.hstack([(X.T @ g).T, g.sum(axis=0)[:, None]])[:, : coef.shape[1]].ravel()


def kmeans(X: Array, centers: Array, out: Array) -> None:
    """Inertia, counts and sums of the rows nearest to each centre."""
    K, d = centers.shape
    distances = ((X[:, None, :] - centers) ** 2).sum(axis=2)
    labels = distances.argmin(axis=1) if len(X) else np.zeros(0, int)
    out[0] += distances[np.arange(len(X)), labels].sum()
    np.add.at(out[1 : K + 1], labels, 1)
    np.add.at(out[K + 1 :].reshape(K, d), labels, X)


def nearest_distance(X: Array, points: Array, out: Array) -> None:
    """Least squared distance of each row to the points."""
    np.minimum(out, ((X[:, None, :] - points) ** 2).sum(axis=2).min(axis=1), out=out)


def dense_forward(X: Array, weights: Array, out: Array) -> None:
    """X W + b."""
    out += X @ weights[:-1] + weights[-1]


def dense_backward(X: Array, gradient: Array, out: Array) -> None:
    """X^T gradient, and the sums of the gradient."""
    out += np.vstack([X.T @ gradient, gradient.sum(axis=0)])


def dense_backward_inputs(gradient: Array, weights: Array, out: Array) -> None:
    """gradient W^T."""
    out += gradient @ weights[:-1].T


def column_min(X: Array, out: Array) -> None:
    """Least value of each column."""
    np.minimum(out, np.min(X, axis=0, initial=np.inf), out=out)


def column_max(X: Array, out: Array) -> None:
    """Greatest value of each column."""
    np.maximum(out, np.max(X, axis=0, initial=-np.inf), out=out)


def histogram(x: Array, low: float, high: float, out: Array) -> None:
    """Counts of equal bins."""
    out += np.histogram(x, len(out), (low, high))[0]


def bootstrap_sums(x: Array, first_row: int, seed: int, out: Array) -> None:
    """Rows and sums of each resample, a row's weight being a hash of seed, row and resample."""

    def mix(x: Array) -> Array:
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
        return x ^ (x >> np.uint32(16))

    row = np.uint64(first_row) + np.arange(len(x), dtype=np.uint64)
    low, high = row.astype(np.uint32), (row >> np.uint64(32)).astype(np.uint32)
    high_seed = np.array([seed >> 32], np.uint32) * np.uint32(0x9E3779B9)
    key = mix(mix(low ^ np.uint32(seed & 0xFFFFFFFF)) + high + high_seed)
    resample = mix(np.arange(out.shape[1], dtype=np.uint32) + np.uint32(0x68BC21EB))
    bits = mix(key[:, None] ^ resample).astype(float) / 2**32
    probability = np.cumsum([np.exp(-1.0) / math.factorial(k) for k in range(10)])
    weight = np.searchsorted(probability, bits, side="right")
    out += [weight.sum(axis=0), x @ weight]


def codes(keys: Array, categories: Array) -> Array:
    """The number of each key among the categories, the first of equal ones; each key is one of them."""
    number = {key: k for k, key in reversed(list(enumerate(categories.tolist())))}
    return np.array([number[key] for key in keys.tolist()], np.int64)


def distinct(keys: Array) -> tuple[Array, Array]:
    """The distinct keys, sorted, and the number of each key among them."""
    return np.unique(keys, return_inverse=True)
