"""What every kernel accepts: arguments checked, and brought into the form that the compiled loops read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np

# Rows converted at a time where the loops cannot read X as it lies: a multiple of every block of rows in the loops, so
# that the same rows are summed together whatever the layout.
ROWS_CONVERTED = 2048


class CSR(NamedTuple):
    """The arrays of a CSR matrix, contiguous, index arrays of one dtype (int32 or int64)."""

    shape: tuple[int, int]
    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray


def real_dtype(dtype: np.dtype, name: str) -> np.dtype:
    """The dtype to compute in: float32 for float16 and float32, float64 for float64, integers and bool."""
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)
    if dtype.kind in "iub":
        return np.dtype(np.float64)
    raise TypeError(f"{name} has dtype {dtype}; float16, float32, float64, integers and bool are accepted")


def matrix(X: Any, name: str = "X") -> tuple[np.ndarray | CSR, np.dtype]:
    """X as a 2-D array or `CSR`, and the dtype to compute in; a dense X is not converted yet (see `row_blocks`)."""
    if hasattr(X, "indptr"):
        if getattr(X, "format", "csr") != "csr":
            raise TypeError(f"{name} is a sparse matrix in {X.format} format; csr is accepted: use {name}.tocsr()")
        dtype = real_dtype(X.data.dtype, name)
        return csr(X, dtype, name), dtype
    X = np.asarray(X)
    dtype = real_dtype(X.dtype, name)
    if X.ndim != 2:
        raise ValueError(f"{name} has shape {X.shape}; a 2-D array (rows, columns) is accepted")
    return X, dtype


def csr(X: Any, dtype: np.dtype, name: str) -> CSR:
    """The arrays of X, checked as far as costs nothing; the loops check each index before they use it."""
    n, d = X.shape
    indices = np.ascontiguousarray(X.indices, dtype=X.indices.dtype.newbyteorder("="))
    if indices.dtype not in (np.int32, np.int64):
        raise TypeError(f"{name}.indices has dtype {indices.dtype}; int32 and int64 are accepted")
    if X.indptr.dtype.kind != "i" or X.indptr.shape != (n + 1,):
        raise ValueError(f"{name}.indptr must be {n + 1} integers; it has shape {X.indptr.shape} of {X.indptr.dtype}")
    if X.indptr[0] < 0 or X.indptr[-1] > min(len(indices), len(X.data)):
        raise ValueError(
            f"{name}.indptr runs from {X.indptr[0]} to {X.indptr[-1]}; there are {len(indices)} indices "
            f"and {len(X.data)} values"
        )
    indptr = np.ascontiguousarray(X.indptr, dtype=indices.dtype)
    return CSR((n, d), indptr, indices, np.ascontiguousarray(X.data, dtype=dtype))


def refuse_csr(X: CSR) -> NoReturn:
    """Raise ValueError that names what the loops met: row pointers that decrease, or a column index out of range."""
    falls = np.flatnonzero(np.diff(X.indptr) < 0)
    if len(falls):
        row = falls[0]
        raise ValueError(f"X.indptr must not decrease; row {row} runs from {X.indptr[row]} to {X.indptr[row + 1]}")
    outside = (X.indices < 0) | (X.indices >= X.shape[1])
    outside[: X.indptr[0]] = outside[X.indptr[-1] :] = False
    entry = int(np.argmax(outside))
    row = int(np.searchsorted(X.indptr, entry, side="right")) - 1
    raise ValueError(
        f"X.indices[{entry}] is {X.indices[entry]}, in row {row}; X.indices must be from 0 to {X.shape[1] - 1}"
    )


def refuse_rows(y: np.ndarray, y_accepted: str, y_is_good: np.ndarray, weight: np.ndarray | None) -> NoReturn:
    """Raise ValueError that names the first row whose weight, or else y, is not accepted; y is `y_accepted`."""
    if weight is not None and not (weight >= 0).all():
        row = int(np.argmin(weight >= 0))
        raise ValueError(f"sample_weight[{row}] is {weight[row]}; sample_weight must be neither negative nor NaN")
    row = int(np.argmin(y_is_good))
    raise ValueError(f"y[{row}] is {y[row]}; y must be {y_accepted}")


def row_blocks(X: np.ndarray, dtype: np.dtype) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (start, stop, rows): rows of `dtype` and unit inner stride, the whole of X at once where it lies so."""
    n, d = X.shape
    row, item = X.strides
    whole_rows = item == dtype.itemsize and row >= d * item and row % item == 0
    if X.dtype == dtype and X.flags.aligned and (X.flags.c_contiguous or whole_rows):
        yield 0, n, X
    else:
        for start in range(0, n, ROWS_CONVERTED):
            rows = np.require(X[start : start + ROWS_CONVERTED], dtype=dtype, requirements=["C", "A"])
            yield start, start + len(rows), rows


def vector(values: Any, name: str, n: int, dtype: np.dtype) -> np.ndarray:
    """`values` as n contiguous items of dtype, converted from any real dtype."""
    values = np.asarray(values)
    real_dtype(values.dtype, name)
    if values.shape != (n,):
        raise ValueError(f"{name} has shape {values.shape}; ({n},) is accepted, one value for each row of X")
    return np.require(values, dtype=dtype, requirements=["C", "A"])


def integers(values: Any, name: str, n: int | None = None) -> np.ndarray:
    """`values` as contiguous int32 or int64, one-dimensional, of n items where n is given."""
    values = np.asarray(values)
    if values.dtype.kind not in "iub" or values.dtype == np.uint64:
        raise TypeError(f"{name} has dtype {values.dtype}; integers up to 64 bits with a sign are accepted")
    if values.ndim != 1 or n not in (None, len(values)):
        raise ValueError(f"{name} has shape {values.shape}; ({'n' if n is None else n},) is accepted")
    return np.require(values, dtype=np.int32 if values.dtype == np.int32 else np.int64, requirements=["C", "A"])


def one_dimensional(values: Any, name: str) -> np.ndarray:
    """`values` as an array (n,) of whatever dtype."""
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(f"{name} has shape {values.shape}; (n,) is accepted")
    return values


def coefficients(coef: Any, d: int) -> tuple[np.ndarray, bool]:
    """coef as contiguous float64, and whether its last entry is an intercept."""
    coef = np.asarray(coef)
    real_dtype(coef.dtype, "coef")
    if coef.shape not in ((d,), (d + 1,)):
        raise ValueError(
            f"coef has shape {coef.shape}; ({d},) or, with the intercept last, ({d + 1},) is accepted for {d} columns"
        )
    return np.require(coef, dtype=np.float64, requirements=["C", "A"]), len(coef) == d + 1


def check_out(out: Any, shape: tuple[int, ...], what: str) -> None:
    """Raise unless `out` is a writable C-contiguous float64 array of `shape`."""
    if not isinstance(out, np.ndarray) or out.dtype != np.float64 or not out.dtype.isnative:
        raise TypeError(f"out must be a float64 array, {what}; it is {getattr(out, 'dtype', type(out).__name__)}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; {shape} is accepted, {what}")
    if not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
        raise ValueError("out must be contiguous and writable")
