"""Standardised coordinates for the parameters of a linear predictor.

``z = x @ coef + intercept`` is the same number as ``((x - mean) / scale) @ u + b`` with ``u = scale * coef`` and
``b = intercept + mean @ coef``. Solvers walk in (u, b), where columns of any unit are alike and do not pull at the
intercept; the data stay as they are, also sparse, and the objective is the same function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_AT_ONCE = 1 << 16  # numbers of a temporary array


def column_sums(X: Any, out: np.ndarray) -> None:
    """Kernel: add the column sums of X (n, d), dense or CSR, to ``out[:d]`` and n to ``out[d]``, in float64."""
    out[:-1] += np.asarray(X.sum(axis=0, dtype=np.float64)).reshape(-1)
    out[-1] += X.shape[0]


@np.errstate(over="ignore", invalid="ignore")
def column_squares(X: Any, mean: np.ndarray, out: np.ndarray) -> None:
    """Kernel: add the sums over rows of ``(x - mean)**2`` to `out` (d,), for X (n, d) dense or CSR; may be infinite."""
    if hasattr(X, "indptr"):
        stored = X.data.astype(np.float64)
        deviation = stored - mean[X.indices]
        # A row that stores nothing in a column has the value 0 there.
        out += X.shape[0] * mean**2
        out += np.bincount(X.indices, deviation**2 - mean[X.indices] ** 2, minlength=len(mean))
    else:
        step = max(1, _AT_ONCE // max(1, X.shape[1]))
        for low in range(0, X.shape[0], step):  # so that no copy of X is made
            out += np.square(X[low : low + step] - mean).sum(axis=0)


@dataclass(frozen=True)
class Coordinates:
    """The change between parameters ``(coef, intercept)`` and standardised ones ``(u, b)``: a preconditioner.

    Attributes:
        mean: (d,) what is subtracted from each column; zeros when there is no intercept.
        scale: (d,) what each column is divided by, positive; its spread, or more under a penalty.
        intercept: whether the parameters have an intercept, as their last entry.
    """

    mean: np.ndarray
    scale: np.ndarray
    intercept: bool

    @classmethod
    def from_sums(cls, mean: np.ndarray, squares: np.ndarray, n: float, penalty: float, intercept: bool) -> Coordinates:
        """Make them from column means and sums of squared deviations over `n` rows.

        The objective's curvature along a column is about its variance plus `penalty`, the l2 penalty in units of the
        loss's second derivative; `scale` is its root, so that all columns curve alike. 1 for a column without either.
        """
        variance = squares / max(n, 1.0)
        variance[variance <= 1e-24 * mean**2] = 0.0  # a constant column, but for rounding
        scale = np.sqrt(variance + penalty)
        scale[scale == 0.0] = 1.0
        return cls(mean, scale, intercept)

    def parameters(self, x: np.ndarray) -> np.ndarray:
        """Return coef, with the intercept behind it if there is one, for standardised parameters `x`."""
        if not self.intercept:
            return x / self.scale
        coef = x[:-1] / self.scale
        return np.append(coef, x[-1] - self.mean @ coef)

    def standardised(self, parameters: np.ndarray) -> np.ndarray:
        """Return the standardised parameters for coef, with the intercept behind it if there is one."""
        if not self.intercept:
            return parameters * self.scale
        return np.append(parameters[:-1] * self.scale, parameters[-1] + self.mean @ parameters[:-1])

    def gradient(self, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient with respect to the standardised parameters, given that for coef and intercept."""
        if not self.intercept:
            return gradient / self.scale
        return np.append((gradient[:-1] - self.mean * gradient[-1]) / self.scale, gradient[-1])
