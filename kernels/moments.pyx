"""Power sums of the columns: see moments_loops.h."""

import numpy as np

from dpmpi.kernels.arguments import CSR, check_out, matrix, row_blocks, vector


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "moments.h":
    ctypedef int (*moments_fn)(Py_ssize_t n, Py_ssize_t d, const void *X, Py_ssize_t stride, const double *shift,
                               double *out) nogil
    int simd_level()
    moments_fn moments_pick(int real_bytes, int level)

cdef int LEVEL = simd_level()


def moments(X, shift, out):
    """Add the count and the first four power sums about `shift` of every column to out, float64 (5, d).

    ``out[k] += sum((X - shift) ** k, axis=0)`` for k from 0 to 4. X is a real (n, d) array, shift (d,). Sums about one
    shift are merged by adding them; sums about different shifts by `statistics.move`. A shift within a few standard
    deviations of the mean (any row will mostly do) keeps all digits; far from it, digits of the higher moments are lost
    as in ``(mean - shift) / deviation``. Raises TypeError or ValueError naming the argument, before out is touched.
    """
    X, dtype = matrix(X)
    if isinstance(X, CSR):
        raise TypeError("X is a sparse matrix; a dense array is accepted")
    n, d = X.shape
    shift = vector(shift, "shift", d, np.dtype(np.float64))
    check_out(out, (5, d), "power sums 0 to 4 of each column")
    fold = 32 // d if 0 < d < 32 and X.dtype == dtype and X.flags.c_contiguous and X.flags.aligned else 1
    if fold > 1 and n >= fold:
        # Short rows fill no vector: several become one long one, and the sums of its parts are added.
        total = np.zeros((5, fold * d))
        run(X[:n // fold * fold].reshape(n // fold, fold * d), np.tile(shift, fold), total)
        out += total.reshape(5, fold, d).sum(axis=1)
        X = X[n // fold * fold:]
    for _, _, rows in row_blocks(X, dtype):
        run(rows, shift, out)


cdef int run(X, shift, out) except -1:
    cdef moments_fn loop = moments_pick(X.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], stride = X.strides[0] // X.itemsize
    cdef const void *data = address(X)
    cdef const double *about = <const double *>address(shift)
    cdef double *target = <double *>address(out)
    cdef int done
    with nogil:
        done = loop(n, d, data, stride, about, target)
    if not done:
        raise MemoryError
    return 0
