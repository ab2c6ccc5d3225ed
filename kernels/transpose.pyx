# cython: language_level=3
"""Columns to rows: see transpose_loops.h; in NumPy it is ``np.stack(columns, axis=1)`` and ``np.isfinite``."""

import numpy as np

from libc.stdlib cimport free, malloc

cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "transpose.h":
    ctypedef int (*join_columns_fn)(Py_ssize_t n, Py_ssize_t d, const void *const *columns, void *out) nogil
    int simd_level()
    join_columns_fn join_columns_pick(int real_bytes, int level)
    ctypedef int (*all_finite_fn)(Py_ssize_t n, const void *numbers) nogil
    all_finite_fn all_finite_pick(int real_bytes, int level)

cdef int LEVEL = simd_level()


def join_columns(columns, out):
    """Make the columns those of `out` and return whether every number is finite. The GIL is released.

    `columns` is a sequence of d contiguous arrays (n,); `out` is (n, d), C-contiguous, of the same dtype, float32 or
    float64. Raises TypeError or ValueError before `out` is touched.
    """
    if out.dtype not in (np.float32, np.float64) or not out.dtype.isnative:
        raise TypeError(f"out is {out.dtype}; float32 or float64 is accepted")
    if out.ndim != 2 or out.shape[1] != len(columns) or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(f"out has the shape {out.shape}; a C-contiguous (n, {len(columns)}) array is accepted")
    for column in columns:
        if column.dtype != out.dtype or column.shape != out.shape[:1] or not column.flags.c_contiguous:
            raise ValueError(
                f"a column is {column.dtype} {column.shape}; contiguous {out.dtype} {out.shape[:1]} is accepted"
            )
    cdef Py_ssize_t n = out.shape[0], d = out.shape[1], j
    if n == 0 or d == 0:
        return True
    cdef join_columns_fn loop = join_columns_pick(out.itemsize, LEVEL)
    cdef const void **starts = <const void **>malloc(d * sizeof(void *))
    cdef void *target
    cdef bint finite
    if starts == NULL:
        raise MemoryError
    try:
        for j in range(d):
            starts[j] = address(columns[j])
        target = address(out)
        with nogil:
            finite = loop(n, d, starts, target)
    finally:
        free(starts)
    return finite


def all_finite(X):
    """Whether every number of X, a C-contiguous array of float32 or float64, is finite. The GIL is released.

    Raises TypeError or ValueError for another array.
    """
    if X.dtype not in (np.float32, np.float64) or not X.dtype.isnative:
        raise TypeError(f"X is {X.dtype}; float32 or float64 is accepted")
    if not X.flags.c_contiguous:
        raise ValueError("X is not C-contiguous")
    cdef all_finite_fn loop = all_finite_pick(X.itemsize, LEVEL)
    cdef Py_ssize_t n = X.size
    cdef const void *numbers = address(X)
    cdef bint finite
    with nogil:
        finite = loop(n, numbers)
    return finite
