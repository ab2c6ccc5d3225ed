"""What the kernels of blas.py do with each row of a block, between two matrix products; they check the arguments."""

from libc.stdint cimport int64_t


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "rows.h":
    enum:
        TOGETHER
    ctypedef void (*lower_to_nearest_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t K, Py_ssize_t width, const void *X,
                                         Py_ssize_t stride, const void *points, const void *scores, void *out) nogil
    ctypedef void (*add_nearest_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t K, Py_ssize_t width, const void *X,
                                    Py_ssize_t stride, void *points, Py_ssize_t wide, const void *scores,
                                    int64_t *counts, double *out) nogil
    ctypedef void (*cluster_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t K, Py_ssize_t width, const void *X,
                                Py_ssize_t stride, void *points, Py_ssize_t wide, const void *columns,
                                const void *constant, void *scores, int64_t *counts, double *out) nogil
    ctypedef void (*score_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t width, const void *X, Py_ssize_t stride,
                              const void *points, const void *constant, void *scores) nogil
    ctypedef void (*add_outer_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t K, Py_ssize_t width, const void *X,
                                  Py_ssize_t stride, const void *g, void *sum) nogil
    int simd_level()
    add_nearest_fn add_nearest_pick(int real_bytes, int level)
    lower_to_nearest_fn lower_to_nearest_pick(int real_bytes, int level)
    cluster_fn cluster_pick(int real_bytes, int level)
    score_fn score_pick(int real_bytes, int level)
    add_outer_fn add_outer_pick(int real_bytes, int level)

cdef int LEVEL = simd_level()


ROWS_TOGETHER = TOGETHER  # whose scores `cluster_rows` holds


def add_nearest(X, points, scores, counts, out):
    """Add each row to its nearest point, the one of least score: out (1 + K + K * d,), float64, is the sum of the
    squared distances, the counts, and the sums of the rows.

    points (K, 2, width >= d) has X's dtype: the points, and room of zeros for sums. counts (K,) are zeros, int64.
    """
    cdef add_nearest_fn loop = add_nearest_pick(X.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], stride = X.strides[0] // X.itemsize
    cdef Py_ssize_t K = points.shape[0], width = scores.shape[1], wide = points.shape[2]
    cdef const void *rows = address(X)
    cdef void *near = address(points)
    cdef const void *score = address(scores)
    cdef int64_t *count = <int64_t *>address(counts)
    cdef double *target = <double *>address(out)
    with nogil:
        loop(n, d, K, width, rows, stride, near, wide, score, count, target)


def lower_to_nearest(X, points, scores, out):
    """Lower out (n,), float64, to each row's squared distance to its nearest point, the one of least score."""
    cdef lower_to_nearest_fn loop = lower_to_nearest_pick(X.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], stride = X.strides[0] // X.itemsize
    cdef Py_ssize_t K = points.shape[0], width = scores.shape[1]
    cdef const void *rows = address(X)
    cdef const void *near = address(points)
    cdef const void *score = address(scores)
    cdef void *target = address(out)
    with nogil:
        loop(n, d, K, width, rows, stride, near, score, target)


def cluster_rows(X, points, columns, constant, scores, counts, out):
    """As add_nearest; the scores, of columns and constant as in score_rows, are formed in `scores`, which is room for
    ROWS_TOGETHER rows of them."""
    cdef cluster_fn loop = cluster_pick(X.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], stride = X.strides[0] // X.itemsize
    cdef Py_ssize_t K = points.shape[0], width = scores.shape[1], wide = points.shape[2]
    cdef const void *rows = address(X)
    cdef void *near = address(points)
    cdef const void *lanes = address(columns)
    cdef const void *start = address(constant)
    cdef void *room = address(scores)
    cdef int64_t *count = <int64_t *>address(counts)
    cdef double *target = <double *>address(out)
    with nogil:
        loop(n, d, K, width, rows, stride, near, wide, lanes, start, room, count, target)


def score_rows(X, points, constant, out):
    """out (n, width) = X @ points + constant, points (d, width) with width a multiple of 16."""
    cdef score_fn loop = score_pick(X.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], width = points.shape[1], stride = X.strides[0] // X.itemsize
    cdef const void *rows = address(X)
    cdef const void *columns = address(points)
    cdef const void *start = address(constant)
    cdef void *target = address(out)
    with nogil:
        loop(n, d, width, rows, stride, columns, start, target)


def add_outer_rows(X, g, out):
    """out (K, d) += g[:, :K].T @ X."""
    cdef add_outer_fn loop = add_outer_pick(X.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], stride = X.strides[0] // X.itemsize
    cdef Py_ssize_t K = out.shape[0], width = g.shape[1]
    cdef const void *rows = address(X)
    cdef const void *weights = address(g)
    cdef void *target = address(out)
    with nogil:
        loop(n, d, K, width, rows, stride, weights, target)
