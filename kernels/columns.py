"""Statistics of columns and samples that NumPy's own loops do well, a block of rows at a time; sums that merge."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .arguments import CSR, check_out, matrix, real_dtype, row_blocks

ROWS = 1 << 15  # items taken at a time: what NumPy makes of them stays in the cache

# The quantile sketch tells magnitudes from 2**-EXPONENT to 2**EXPONENT apart; smaller are 0, greater are the greatest.
EXPONENT = 64


def column_min(X: Any, out: np.ndarray) -> None:
    """Lower out, float64 (d,), to each column's least value; start it at infinity. NaN wins. X (n, d) is dense."""
    _extremes(X, out, np.minimum)


def column_max(X: Any, out: np.ndarray) -> None:
    """Raise out, float64 (d,), to each column's greatest value; start it at -infinity. NaN wins. X (n, d) is dense."""
    _extremes(X, out, np.maximum)


def _extremes(X: Any, out: np.ndarray, ufunc: np.ufunc) -> None:
    X, dtype = matrix(X)
    if isinstance(X, CSR):
        raise TypeError("X is a sparse matrix; a dense array is accepted")
    d = X.shape[1]
    check_out(out, (d,), "one for each column of X")
    for _, _, rows in row_blocks(X, dtype):
        fold = max(1, 512 // max(d, 1)) if rows.flags.c_contiguous else 1
        whole = len(rows) // fold * fold
        # Short rows fill no vector register: several are taken as one.
        long = ufunc.reduce(rows[:whole].reshape(-1, fold * d), axis=0, initial=None) if whole and d else None
        if long is not None:
            ufunc(out, ufunc.reduce(long.reshape(fold, d), axis=0), out=out)
        if whole < len(rows):
            ufunc(out, ufunc.reduce(rows[whole:], axis=0), out=out)


def histogram(x: Any, low: float, high: float, out: np.ndarray) -> None:
    """Add to out, float64 (bins,), how many values of x (any shape) lie in each of its equal bins from low to high.

    As ``numpy.histogram(x, bins, (low, high))``: a bin includes its lower edge, the last one both; values outside and
    NaN are not counted.
    """
    bins = np.shape(out)[0] if np.ndim(out) == 1 else 0
    check_out(out, (bins,), "one for each bin")
    if not (bins and math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"low is {low}, high {high}, bins {bins}; finite, low < high and 1 or more bins are accepted")
    edges = np.linspace(low, high, bins + 1)
    for values in _blocks(x):
        values = values.astype(np.float64, copy=False)  # comparing in float32 would round the edges
        values = values[(values >= low) & (values <= high)]
        index = ((values - low) * (bins / (high - low))).astype(np.intp)
        np.minimum(index, bins - 1, out=index)
        index -= values < edges[index]  # where rounding came out beside an edge
        index += (values >= edges[index + 1]) & (index < bins - 1)
        out += np.bincount(index, minlength=bins)


def quantile_sketch(x: Any, out: np.ndarray, *, relative_error: float = 0.01) -> None:
    """Add the values of x (any shape) to a sketch from which `sketch_quantile` reads any quantile.

    The sketch counts values in bins that grow by the ratio (1 + relative_error) / (1 - relative_error), so that a
    quantile is found within relative_error of its value; sketches merge by adding (DDSketch: Masson, Rim and Lee, VLDB
    2019, here with a fixed set of bins). out is float64 (sketch_size(relative_error),). Magnitudes below 2**-64 count
    as 0, above 2**64 as 2**64. NaN raises ValueError before out is touched.
    """
    size = sketch_size(relative_error)
    check_out(out, (size,), f"a sketch for relative_error {relative_error}")
    half, scale = size // 2, 1 / math.log((1 + relative_error) / (1 - relative_error))
    total = np.zeros(size)
    for values in _blocks(x):
        if np.isnan(values).any():
            raise ValueError("x holds NaN")
        magnitude = np.abs(values, dtype=np.float64)
        with np.errstate(divide="ignore"):
            index = np.ceil(np.clip(np.log(magnitude) * scale, -half - 1, half) + EXPONENT * math.log(2) * scale)
        index = np.clip(index, 0, half).astype(np.intp)
        index[magnitude < 2.0**-EXPONENT] = 0
        total += np.bincount(half + np.where(values < 0, -index, index), minlength=size)
    out += total


def sketch_size(relative_error: float) -> int:
    """How many numbers a sketch of that error holds."""
    if not 0 < relative_error < 1:
        raise ValueError(f"relative_error is {relative_error}; greater than 0 and less than 1 is accepted")
    ratio = (1 + relative_error) / (1 - relative_error)
    return 2 * math.ceil(2 * EXPONENT * math.log(2) / math.log(ratio)) + 1


def sketch_quantile(sketch: np.ndarray, q: float, *, relative_error: float = 0.01) -> float:
    """The value of rank ``floor(q * (n - 1))`` among a sketch's n, within relative_error of it; NaN if n = 0."""
    if not 0 <= q <= 1:
        raise ValueError(f"q is {q}; from 0 to 1 is accepted")
    n, half = sketch.sum(), sketch_size(relative_error) // 2
    if n == 0:
        return math.nan
    index = int(np.searchsorted(np.cumsum(sketch), math.floor(q * (n - 1)), side="right")) - half
    if index == 0:
        return 0.0
    ratio = (1 + relative_error) / (1 - relative_error)
    value = 2.0**-EXPONENT * ratio ** abs(index) * 2 / (1 + ratio)  # the middle of the bin by relative error
    return math.copysign(value, index)


def _blocks(x: Any) -> Iterator[np.ndarray]:
    x = np.asarray(x)
    dtype = real_dtype(x.dtype, "x")
    for start in range(0, x.size, ROWS):
        if x.flags.c_contiguous:
            yield np.asarray(x.reshape(-1)[start : start + ROWS], dtype=dtype)
        else:
            yield np.asarray(x.flat[start : start + ROWS], dtype=dtype)
