"""A plain NumPy twin of every compiled kernel, same name and arguments: the tests' oracle, and what to read first."""

from __future__ import annotations

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
