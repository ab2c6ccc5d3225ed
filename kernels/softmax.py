"""The softmax loss of K classes: with its gradient, alone, and its Hessian times a direction; X dense or CSR.

y (n,) are integers from 0 to K - 1. coef is (K, d) or, with the intercepts in the last column, (K, d + 1). Dense blocks
are multiplied in X's dtype and added up in float64, CSR rows multiplied in float64. TypeError or ValueError names the
argument and is raised before `out` is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .arguments import CSR, check_out, integers, matrix, refuse_rows, vector
from .blas import add_block_products, padded_columns, scored_blocks
from .classes import add_outer_csr_rows, score_csr_rows, softmax_curve_rows, softmax_rows

CSR_ROWS = 1024  # whose scores are held at a time


def softmax(X: Any, y: Any, sample_weight: Any, coef: Any, out: np.ndarray) -> None:
    """Softmax loss log(sum_k exp(z_k)) - z_y for K classes, and its gradient.

    out is float64 (1 + coef.size,): the weighted loss, then its gradient in coef's order. No z overflows.
    """
    p = _problem(X, y, sample_weight, coef)
    check_out(out, (1 + p.coef.size,), "the loss and its gradient")
    total, gradient = 0.0, _Products(p)
    for start, stop, rows, z in _scored(p, p.coef):
        total += softmax_rows(z, p.K, p.y[start:stop], p.weight[start:stop])  # z becomes the loss's derivative by z
        gradient.add(rows, z)
    out[0] += total
    out[1:] += gradient.in_order()


def softmax_value(X: Any, y: Any, sample_weight: Any, coef: Any, out: np.ndarray) -> None:
    """Add the weighted softmax loss alone to ``out[0]``, out being float64 (1,)."""
    p = _problem(X, y, sample_weight, coef)
    check_out(out, (1,), "the loss")
    out[0] += sum(
        softmax_rows(z, p.K, p.y[start:stop], p.weight[start:stop]) for start, stop, _, z in _scored(p, p.coef)
    )


def softmax_hessian_vector(X: Any, y: Any, sample_weight: Any, coef: Any, direction: Any, out: np.ndarray) -> None:
    """Add the softmax loss's Hessian at coef times `direction`, shaped like coef, to out, float64 (coef.size,)."""
    p = _problem(X, y, sample_weight, coef)
    direction = np.asarray(direction)
    if direction.shape != p.coef.shape or direction.dtype.kind not in "fiub":
        raise ValueError(
            f"direction has shape {direction.shape} of {direction.dtype}; real {p.coef.shape} is accepted, as coef"
        )
    check_out(out, (p.coef.size,), "one for each coefficient")
    product = _Products(p)
    for (start, stop, rows, z), (_, _, _, along) in zip(_scored(p, p.coef), _scored(p, direction), strict=True):
        softmax_curve_rows(z, p.K, along, p.weight[start:stop])
        product.add(rows, z)
    out += product.in_order()


class _Problem(NamedTuple):
    """The arguments, checked."""

    X: Any
    dtype: np.dtype
    y: np.ndarray
    weight: np.ndarray
    coef: np.ndarray
    K: int
    d: int


def _problem(X: Any, y: Any, sample_weight: Any, coef: Any) -> _Problem:
    X, dtype = matrix(X)
    n, d = X.shape
    coef = np.asarray(coef)
    if coef.ndim != 2 or coef.shape[1] not in (d, d + 1) or coef.dtype.kind not in "fiub":
        raise ValueError(
            f"coef has shape {coef.shape} of {coef.dtype}; real (classes, {d}) or, with the intercepts last, "
            f"(classes, {d + 1}) is accepted"
        )
    y = integers(y, "y", n)
    in_range = (y >= 0) & (y < len(coef))
    if not in_range.all():
        refuse_rows(y, f"a class from 0 to {len(coef) - 1}", in_range, None)
    weight = vector(np.ones(n) if sample_weight is None else sample_weight, "sample_weight", n, dtype)
    if not (weight >= 0).all():
        refuse_rows(y, "", np.ones(n, bool), weight)
    return _Problem(X, dtype, y.astype(np.int64, copy=False), weight, coef, len(coef), d)


def _scored(p: _Problem, coef: np.ndarray) -> Iterator[tuple[int, int, Any, np.ndarray]]:
    """Yield (start, stop, rows, scores), the scores (stop - start, K or more) of X's dtype."""
    constants = coef[:, p.d :] if coef.shape[1] > p.d else np.zeros((p.K, 1))
    if not isinstance(p.X, CSR):
        yield from scored_blocks(p.X, p.dtype, coef[:, : p.d], constants)
        return
    columns = padded_columns(coef[:, : p.d], np.dtype(np.float64))
    constant = padded_columns(constants, np.dtype(np.float64))[0]
    n = p.X.shape[0]
    for start in range(0, n, CSR_ROWS):
        stop = min(start + CSR_ROWS, n)
        rows = CSR((stop - start, p.d), p.X.indptr[start : stop + 1], p.X.indices, p.X.data)
        z = np.empty((stop - start, columns.shape[1]), p.dtype)
        score_csr_rows(rows, columns, constant, z)
        yield start, stop, rows, z


class _Products:
    """The sums over the rows of their derivatives by z, z^T X and z^T 1."""

    def __init__(self, p: _Problem) -> None:
        self.p = p
        self.slopes, self.constants = np.zeros((p.K, p.d)), np.zeros(p.K)
        self.columns = padded_columns(self.slopes, np.dtype(np.float64)) if isinstance(p.X, CSR) else None

    def add(self, rows: Any, z: np.ndarray) -> None:
        """Add a block of rows and their z."""
        if self.columns is None:
            add_block_products(rows, z, self.slopes)
        else:
            add_outer_csr_rows(rows, z, self.columns)
        self.constants += z[:, : self.p.K].sum(axis=0)

    def in_order(self) -> np.ndarray:
        """The sums in coef's order."""
        slopes = self.slopes if self.columns is None else self.columns[:, : self.p.K].T
        return np.hstack([slopes, self.constants[:, None]])[:, : self.p.coef.shape[1]].ravel()
