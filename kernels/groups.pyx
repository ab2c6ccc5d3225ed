"""Sums by key. A key is a group's number, from 0 to the number of groups - 1; see `statistics.codes` for other keys.

Conventions: keys (n,) has any integer dtype, values (n,) any real one (computed in float32 or float64, summed in
float64). Nothing is added to `out` when a key is out of range. The loops are bound by the random access to `out`.
"""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint64_t

from dpmpi.kernels.arguments import check_out, integers, real_dtype, vector


cdef extern from "buffer.h":
    void *address(array) except NULL

ctypedef fused key_t:
    int32_t
    int64_t

ctypedef fused real_t:
    float
    double

cdef enum Op:
    COUNT, SUM, MIN, MAX, MOMENTS


def group_count(keys, out):
    """Add the number of rows of each group to out, float64 (groups,)."""
    check_out(out, np.shape(out)[:1], "one for each group")
    total = np.zeros(len(out))
    add(COUNT, keys, None, None, total)
    out += total


def group_sum(keys, values, out):
    """Add the sum of each group's values to out, float64 (groups,)."""
    check_out(out, np.shape(out)[:1], "one for each group")
    total = np.zeros(len(out))
    add(SUM, keys, values, None, total)
    out += total


def group_min(keys, values, out):
    """Lower out, float64 (groups,), to the least of each group's values; start it at infinity. NaN wins."""
    check_out(out, np.shape(out)[:1], "one for each group")
    total = np.full(len(out), np.inf)
    add(MIN, keys, values, None, total)
    np.minimum(out, total, out=out)


def group_max(keys, values, out):
    """Raise out, float64 (groups,), to the greatest of each group's values; start it at -infinity. NaN wins."""
    check_out(out, np.shape(out)[:1], "one for each group")
    total = np.full(len(out), -np.inf)
    add(MAX, keys, values, None, total)
    np.maximum(out, total, out=out)


def group_moments(keys, values, shift, out):
    """Add count, sum of (value - shift) and sum of its squares to out, float64 (3, groups); shift is (groups,).

    `statistics.mean_variance` makes means and variances of the sums. Any value near a group's own is a good shift.
    """
    check_out(out, (3, *np.shape(out)[1:2]), "count, sum and sum of squares of each group")
    shift = vector(shift, "shift", out.shape[1], np.dtype(np.float64))
    total = np.zeros(out.shape)
    add(MOMENTS, keys, values, shift, total)
    out += total


cdef int add(Op op, keys, values, shift, out) except -1:
    keys = integers(keys, "keys")
    cdef Py_ssize_t n = len(keys), groups = out.shape[out.ndim - 1]
    dtype = real_dtype(np.asarray(values).dtype, "values") if values is not None else np.dtype(np.float64)
    values = vector(values, "values", n, dtype) if values is not None else np.zeros(1)
    cdef const void *key = address(keys)
    cdef const void *value = address(values)
    cdef const double *about = <const double *>address(shift) if shift is not None else NULL
    cdef double *target = <double *>address(out)
    cdef bint small = keys.itemsize == 4, single = values.itemsize == 4
    cdef Py_ssize_t bad
    with nogil:
        if small and single:
            bad = loop(op, <const int32_t *>key, <const float *>value, n, groups, about, target)
        elif small:
            bad = loop(op, <const int32_t *>key, <const double *>value, n, groups, about, target)
        elif single:
            bad = loop(op, <const int64_t *>key, <const float *>value, n, groups, about, target)
        else:
            bad = loop(op, <const int64_t *>key, <const double *>value, n, groups, about, target)
    if bad >= 0:
        raise ValueError(f"keys[{bad}] is {keys[bad]}; from 0 to {groups - 1} is accepted, as out has {groups} groups")
    return 0


cdef Py_ssize_t loop(Op op, const key_t *keys, const real_t *values, Py_ssize_t n, Py_ssize_t groups,
                     const double *shift, double *out) noexcept nogil:
    """Return the first row whose key is out of range, or -1."""
    cdef Py_ssize_t i
    cdef int64_t k
    cdef double v
    for i in range(n):
        k = keys[i]
        if <uint64_t>k >= <uint64_t>groups:
            return i
        if op == COUNT:
            out[k] += 1
        elif op == SUM:
            out[k] += values[i]
        elif op == MIN:
            v = values[i]
            if not out[k] <= v:
                out[k] = v if out[k] == out[k] else out[k]
        elif op == MAX:
            v = values[i]
            if not out[k] >= v:
                out[k] = v if out[k] == out[k] else out[k]
        else:
            v = values[i] - shift[k]
            out[k] += 1
            out[groups + k] += v
            out[2 * groups + k] += v * v
    return -1
