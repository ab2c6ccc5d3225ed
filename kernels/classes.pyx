"""What the kernels of softmax.py do with each row of a block; they check the arguments."""

from libc.stdint cimport int64_t

from dpmpi.kernels.arguments import refuse_csr


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "classes.h":
    ctypedef double (*softmax_fn)(Py_ssize_t n, Py_ssize_t K, Py_ssize_t width, void *z, const int64_t *y,
                                  const void *weight) nogil
    ctypedef void (*softmax_curve_fn)(Py_ssize_t n, Py_ssize_t K, Py_ssize_t width, void *z, const void *along,
                                      const void *weight) nogil
    ctypedef int (*csr_scores_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t width, const void *indptr,
                                  const void *indices, const void *data, Py_ssize_t nnz, const double *columns,
                                  const double *constant, void *scores) nogil
    ctypedef void (*csr_outer_fn)(Py_ssize_t n, Py_ssize_t width, const void *indptr, const void *indices,
                                  const void *data, const void *g, double *sum) nogil
    int simd_level()
    softmax_fn softmax_pick(int real_bytes, int level)
    softmax_curve_fn softmax_curve_pick(int real_bytes, int level)
    csr_scores_fn csr_scores_pick(int real_bytes, int index_bytes, int level)
    csr_outer_fn csr_outer_pick(int real_bytes, int index_bytes, int level)

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


def softmax_curve_rows(z, Py_ssize_t K, along, weight):
    """Turn the first K scores of each row of z into the weighted loss's second derivative along a direction."""
    cdef softmax_curve_fn loop = softmax_curve_pick(z.itemsize, LEVEL)
    cdef Py_ssize_t n = z.shape[0], width = z.shape[1]
    cdef void *scores = address(z)
    cdef const void *directions = address(along)
    cdef const void *weights = address(weight)
    with nogil:
        loop(n, K, width, scores, directions, weights)


def score_csr_rows(X, columns, constant, out):
    """out (n, width) = X @ columns + constant for a CSR X; columns (d, width), float64, width a multiple of 8."""
    cdef csr_scores_fn loop = csr_scores_pick(X.data.itemsize, X.indices.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], width = columns.shape[1]
    cdef Py_ssize_t nnz = min(len(X.indices), len(X.data))
    cdef const void *indptr = address(X.indptr)
    cdef const void *indices = address(X.indices)
    cdef const void *data = address(X.data)
    cdef const double *slopes = <const double *>address(columns)
    cdef const double *start = <const double *>address(constant)
    cdef void *scores = address(out)
    cdef int valid
    with nogil:
        valid = loop(n, d, width, indptr, indices, data, nnz, slopes, start, scores)
    if not valid:
        refuse_csr(X)


def add_outer_csr_rows(X, g, out):
    """out (d, width), float64, += X.T @ g for a CSR X that score_csr_rows has checked."""
    cdef csr_outer_fn loop = csr_outer_pick(X.data.itemsize, X.indices.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], width = g.shape[1]
    cdef const void *indptr = address(X.indptr)
    cdef const void *indices = address(X.indices)
    cdef const void *data = address(X.data)
    cdef const void *weights = address(g)
    cdef double *target = <double *>address(out)
    with nogil:
        loop(n, width, indptr, indices, data, weights, target)
