"""What the kernels of blas.py do with each row of a block, between two matrix products; they check the arguments."""

from libc.stdint cimport int64_t


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "rows.h":
    ctypedef double (*softmax_fn)(Py_ssize_t n, Py_ssize_t K, Py_ssize_t width, void *z, const int64_t *y,
                                  const void *weight) nogil
    ctypedef void (*nearest_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t K, Py_ssize_t width, const void *X,
                                Py_ssize_t stride, const void *points, const void *scores, double *sums,
                                double *least) nogil
    ctypedef void (*score_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t width, int distance, const void *X,
                              Py_ssize_t stride, const void *points, void *scores) nogil
    ctypedef void (*add_outer_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t K, Py_ssize_t width, const void *X,
                                  Py_ssize_t stride, const void *g, void *sum) nogil
    int simd_level()
    softmax_fn softmax_pick(int real_bytes, int level)
    nearest_fn nearest_pick(int real_bytes, int level)
    score_fn score_pick(int real_bytes, int level)
    add_outer_fn add_outer_pick(int real_bytes, int level)

cdef int LEVEL = simd_level()


def softmax_rows(z, Py_ssize_t K, y, weight):
    """Turn the first K scores of each row of z into the weighted softmax loss's derivative; return the loss."""
    cdef softmax_fn loop = softmax_pick(z.itemsize, LEVEL)
    cdef Py_ssize_t n = z.shape[0], width = z.shape[1]
    cdef void *scores = address(z)
    cdef const int64_t *classes = <const int64_t *>address(y)
    cdef const void *weights = address(weight)
    cdef double total
    with nogil:
        total = loop(n, K, width, scores, classes, weights)
    return total


def nearest_rows(X, points, scores, sums, least):
    """Find each row's nearest point, the one of least score, and its squared distance. One of the last two is None:
    add inertia, counts and sums to sums (1 + K + K * d,), or lower least (n,) to the distances."""
    cdef nearest_fn loop = nearest_pick(X.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], stride = X.strides[0] // X.itemsize
    cdef Py_ssize_t K = points.shape[0], width = scores.shape[1]
    cdef const void *rows = address(X)
    cdef const void *near = address(points)
    cdef const void *score = address(scores)
    cdef double *total = <double *>address(sums) if sums is not None else NULL
    cdef double *target = <double *>address(least) if least is not None else NULL
    with nogil:
        loop(n, d, K, width, rows, stride, near, score, total, target)


def score_rows(X, points, bint distance, out):
    """out (n, width) = X @ points, points (d, width) with width a multiple of 16; or the squared distances."""
    cdef score_fn loop = score_pick(X.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], width = points.shape[1], stride = X.strides[0] // X.itemsize
    cdef const void *rows = address(X)
    cdef const void *columns = address(points)
    cdef void *target = address(out)
    with nogil:
        loop(n, d, width, distance, rows, stride, columns, target)


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
