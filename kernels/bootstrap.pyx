"""The Poisson bootstrap: see bootstrap_loops.h."""

import numpy as np

from libc.stdint cimport uint64_t

from dpmpi.kernels.arguments import check_out, vector


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "bootstrap.h":
    ctypedef void (*bootstrap_fn)(Py_ssize_t n, const double *x, uint64_t first_row, uint64_t seed,
                                  Py_ssize_t resamples, double *out) nogil
    int simd_level()
    bootstrap_fn bootstrap_pick(int level)

cdef int LEVEL = simd_level()


def bootstrap_sums(x, first_row, seed, out):
    """Add, for each resample of the rows, its number of rows and the sum of their x to out, float64 (2, resamples).

    In each resample a row counts a number of times drawn from the Poisson distribution of mean 1 (Chamandy et al.,
    "Estimating uncertainty for massive data streams", 2012). The draw depends on seed, resample and the row's number in
    the whole data set alone, ``first_row + i`` for x[i]: shards and ranks make no difference. seed and first_row are
    integers from 0 to 2**64 - 1. ``out[1] / out[0]`` are the resampled means.
    """
    x = np.asarray(x)
    x = vector(x, "x", x.size, np.dtype(np.float64))
    cdef uint64_t first = first_row, start = seed
    check_out(out, (2, *np.shape(out)[1:2]), "rows and sums of each resample")
    cdef bootstrap_fn loop = bootstrap_pick(LEVEL)
    cdef Py_ssize_t n = len(x), resamples = out.shape[1]
    cdef const double *values = <const double *>address(x)
    cdef double *target = <double *>address(out)
    with nogil:
        loop(n, values, first, start, resamples, target)
