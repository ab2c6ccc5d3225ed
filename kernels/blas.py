"""Kernels that are matrix products: BLAS, called a block of rows at a time so that the block stays in the cache.

The products go through NumPy's matmul, which releases the GIL; one thread a rank is the launcher's OMP_NUM_THREADS.
Conventions as in linear.pyx: X (n, d) real and dense (`gram` takes CSR too); float32 blocks are multiplied in float32
and added up in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .arguments import CSR, check_out, matrix, row_blocks, vector
from .rows import (
    ROWS_TOGETHER,
    add_nearest,
    add_outer_rows,
    cluster_rows,
    lower_to_nearest,
    score_rows,
)

BLOCK_BYTES = 256 << 10
# Up to so many classes or points, and numbers in them, own loops (skinny_loops.h) are faster than BLAS.
FEW, SMALL = 48, 32 << 10


def _blocks(X: Any, columns: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (start, stop, rows), the rows with `columns` more fitting into BLOCK_BYTES; 64 to 4096 of them."""
    X, dtype = _dense(X)
    size = int(np.clip(BLOCK_BYTES // ((X.shape[1] + columns + 1) * dtype.itemsize) // 64 * 64, 64, 4096))
    for start, stop, rows in row_blocks(X, dtype):
        for i in range(0, stop - start, size):
            block = rows[i : i + size]
            yield start + i, start + i + len(block), block


def _dense(X: Any) -> tuple[np.ndarray, np.dtype]:
    X, dtype = matrix(X)
    if isinstance(X, CSR):
        raise TypeError("X is a sparse matrix; a dense array is accepted")
    return X, dtype


def _shape(X: Any) -> tuple[int, int, np.dtype]:
    X, dtype = matrix(X)
    return (*X.shape, dtype)


def gram(X: Any, sample_weight: Any, out: np.ndarray) -> None:
    """Add X^T W X, W the diagonal of the weights (None: ones), to out, float64 (d, d); X may be CSR.

    With the weights of `curvature` this is the Hessian of a loss, for Newton steps.
    """
    n, d, dtype = _shape(X)
    check_out(out, (d, d), "the Gram matrix")
    if sample_weight is not None:
        sample_weight = vector(sample_weight, "sample_weight", n, dtype)
    if hasattr(X, "indptr"):
        weighted = X if sample_weight is None else X.multiply(sample_weight[:, None]).tocsr()
        out += (X.T.astype(np.float64) @ weighted).toarray()
        return
    total = np.zeros_like(out)
    for start, stop, rows in _blocks(X, d):
        total += rows.T @ (rows if sample_weight is None else rows * sample_weight[start:stop, None])
    out += total


def covariance(X: Any, shift: Any, out: np.ndarray) -> None:
    """Add the count, the sums of X - shift and of its products to out, float64 (1 + d + d * d,).

    Sums about one shift are merged by adding them; `statistics.covariance_matrix` finishes. The shift (d,) is as for
    `moments`.
    """
    _, d, dtype = _shape(X)
    shift = vector(shift, "shift", d, np.dtype(np.float64))
    check_out(out, (1 + d + d * d,), "count, sums and products")
    near = shift.astype(dtype)
    far = (shift - near).astype(dtype)  # what the shift loses in float32
    for _, _, rows in _blocks(X, d):
        centred = rows - near
        centred -= far
        out[0] += len(rows)
        out[1 : d + 1] += centred.sum(axis=0)
        out[d + 1 :] += (centred.T @ centred).ravel()


def _few(K: int, d: int) -> bool:
    return K <= FEW and K * d <= SMALL


def padded_columns(points: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The points (K, d) as columns, padded with zeros to a multiple of 16, whole vectors for the compiled loops."""
    K, d = points.shape
    columns = _aligned((d, -(-K // 16) * 16), dtype)
    columns[:, :K] = points.T
    return columns


def _columns(points: np.ndarray, dtype: np.dtype, padded: bool) -> np.ndarray:
    return padded_columns(points, dtype) if padded else np.ascontiguousarray(points.T, dtype=dtype)


def scored_blocks(
    X: np.ndarray, dtype: np.dtype, points: np.ndarray, constants: np.ndarray
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Yield (start, stop, rows, scores): products with the points (K, d) plus the constants (K, 1), in `dtype`.

    The scores have K columns or more, the others of zeros.
    """
    few = _few(*points.shape)
    columns, constant = _columns(points, dtype, few), _columns(constants, dtype, few)[0]
    for start, stop, rows in _blocks(X, columns.shape[1]):
        yield start, stop, rows, _scores(rows, columns, constant, few)


def add_block_products(rows: np.ndarray, z: np.ndarray, out: np.ndarray) -> None:
    """``out += z[:, :K].T @ rows`` for out (K, d), float64, and scores z of `scored_blocks`."""
    if _few(*out.shape):
        total = np.zeros(out.shape, rows.dtype)
        add_outer_rows(rows, z, total)
        out += total
    else:
        out += z.T @ rows


def _scores(rows: np.ndarray, columns: np.ndarray, constant: np.ndarray, few: bool) -> np.ndarray:
    z = np.empty((len(rows), columns.shape[1]), rows.dtype)
    if few:
        score_rows(rows, columns, constant, z)
    else:
        np.matmul(rows, columns, out=z)
        z += constant
    return z


def kmeans(X: Any, centers: Any, out: np.ndarray) -> None:
    """Assign each row to its nearest centre: add the inertia, the counts and the sums of the rows of each centre.

    centers is (K, d), out float64 (1 + K + K * d,): the sum of the squared distances, then counts, then sums. The
    nearest is found by ``|c|^2 / 2 - x c`` about the mean of the centres, its distance from the differences. Of equal
    ones the first is taken.
    """
    _, d, dtype = _shape(X)
    centers = _points(centers, "centers", d)
    K = len(centers)
    check_out(out, (1 + K + K * d,), "inertia, counts and sums")
    counts = np.zeros(K, np.int64)
    room = _aligned((K, 2, -(-d // 16) * 16), dtype)  # beside each centre its sums
    room[:, 0, :d] = centers
    if _few(K, d):
        columns, constant = _score_columns(centers, dtype)
        scores = _aligned((ROWS_TOGETHER, columns.shape[1]), dtype)
        for _, _, rows in row_blocks(_dense(X)[0], dtype):
            cluster_rows(rows, room, columns, constant, scores, counts, out)
    else:
        for _, _, rows, _, scores in _scored(X, centers):
            add_nearest(rows, room, scores, counts, out)


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros that start at a cache line, so that no vector of theirs lies in two."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def nearest_distance(X: Any, points: Any, out: np.ndarray) -> None:
    """Lower out[i], float64 (n,), to the least squared distance of row i to any of `points` (m, d).

    Start out at infinity; ranks that hold parts of the points are merged by the least. Computed as in `kmeans`.
    """
    n, d, _ = _shape(X)
    points = _points(points, "points", d)
    check_out(out, (n,), "one for each row of X")
    for first in range(0, len(points), 512):
        for start, stop, rows, near, scores in _scored(X, points[first : first + 512]):
            lower_to_nearest(rows, near, scores, out[start:stop])


def _points(points: Any, name: str, d: int) -> np.ndarray:
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != d or len(points) == 0 or points.dtype.kind not in "fiub":
        raise ValueError(f"{name} has shape {points.shape} of {points.dtype}; real (1 or more, {d}) is accepted")
    return np.asarray(points, dtype=np.float64)


def _score_columns(points: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Columns and constants of which the scores are made that are least where the points are nearest."""
    origin = points.mean(axis=0)  # about the mean: a far origin would cost digits
    moved = points - origin
    constant = np.sum(moved**2, axis=1, keepdims=True) / 2 + moved @ origin[:, None]
    columns, row = _columns(-moved, dtype, True), _columns(constant, dtype, True)[0]
    row[len(points) :] = np.inf  # no row is nearest to the padding
    return columns, row


def _scored(X: Any, points: np.ndarray) -> Iterator[tuple[int, int, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (start, stop, rows, points, scores), the scores least where the points are nearest."""
    dtype = matrix(X)[1]
    K, d = points.shape
    near, few = np.ascontiguousarray(points, dtype=dtype), _few(K, d)
    columns, constant = _score_columns(points, dtype)
    for start, stop, rows in _blocks(X, columns.shape[1]):
        yield start, stop, rows, near, _scores(rows, columns, constant, few)


def dense_forward(X: Any, weights: Any, out: np.ndarray) -> None:
    """Add a dense layer's outputs X W + b to out, float64 (n, m); weights is (d + 1, m), b its last row."""
    n, d, dtype = _shape(X)
    weights = _layer(weights, d, dtype)
    check_out(out, (n, weights.shape[1]), "one row for each row of X")
    for start, stop, rows in _blocks(X, weights.shape[1]):
        out[start:stop] += rows @ weights[:d]
        out[start:stop] += weights[d]


def dense_backward(X: Any, gradient: Any, out: np.ndarray) -> None:
    """Add the loss's gradient with respect to a dense layer's weights to out, float64 (d + 1, m), b's last.

    X are the layer's inputs, gradient (n, m) the loss's derivative by its outputs.
    """
    n, d, dtype = _shape(X)
    rows_of, m, _ = _shape(gradient)
    if rows_of != n:
        raise ValueError(f"gradient has {rows_of} rows; {n} are accepted, one for each row of X")
    check_out(out, (d + 1, m), "the layer's weights, the constants last")
    for start, stop, rows in _blocks(X, m):
        g = np.asarray(gradient[start:stop], dtype=dtype)
        out[:d] += rows.T @ g
        out[d] += g.sum(axis=0)


def dense_backward_inputs(gradient: Any, weights: Any, out: np.ndarray) -> None:
    """Add the loss's gradient with respect to a dense layer's inputs to out, float64 (n, d)."""
    n, m, dtype = _shape(gradient)
    weights = _layer(weights, np.shape(weights)[0] - 1, dtype)
    if weights.shape[1] != m:
        raise ValueError(f"gradient has {m} columns; {weights.shape[1]} are accepted, one for each of the weights'")
    check_out(out, (n, len(weights) - 1), "one row for each row of gradient")
    for start, stop, rows in _blocks(gradient, len(weights)):
        out[start:stop] += rows @ weights[:-1].T


def _layer(weights: Any, d: int, dtype: np.dtype) -> np.ndarray:
    weights = np.asarray(weights)
    if weights.ndim != 2 or len(weights) != d + 1 or weights.dtype.kind not in "fiub":
        raise ValueError(f"weights has shape {weights.shape} of {weights.dtype}; real ({d + 1}, outputs) is accepted")
    return np.ascontiguousarray(weights, dtype=dtype)
