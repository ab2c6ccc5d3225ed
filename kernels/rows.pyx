"""What the kernels of blas.py do with each row of a block, between two matrix products; they check the arguments."""


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "rows.h":
    ctypedef void (*nearest_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t K, Py_ssize_t width, const void *X,
                                Py_ssize_t stride, const void *points, const void *scores,
                                void *out) nogil
    ctypedef void (*cluster_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t K, Py_ssize_t width, const void *X,
                                Py_ssize_t stride, const void *points, const void *columns, const void *constant,
                                Py_ssize_t block, void *scores, void *sums, double *out) nogil
    ctypedef void (*score_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t width, const void *X, Py_ssize_t stride,
                              const void *points, const void *constant, void *scores) nogil
    ctypedef void (*add_outer_fn)(Py_ssize_t n, Py_ssize_t d, Py_ssize_t K, Py_ssize_t width, const void *X,
                                  Py_ssize_t stride, const void *g, void *sum) nogil
    int simd_level()
    nearest_fn add_nearest_pick(int real_bytes, int level)
    nearest_fn lower_to_nearest_pick(int real_bytes, int level)
    cluster_fn cluster_pick(int real_bytes, int level)
    score_fn score_pick(int real_bytes, int level)
    add_outer_fn add_outer_pick(int real_bytes, int level)

cdef int LEVEL = simd_level()


def add_nearest(X, points, scores, out):
    """Add each row to its nearest point, the one of least score: out (1 + K + K * d,), of X's dtype, is the sum of the
    squared distances, the counts, and the sums of the rows."""
    run_nearest(add_nearest_pick(X.itemsize, LEVEL), X, points, scores, out)


def lower_to_nearest(X, points, scores, out):
    """Lower out (n,), float64, to each row's squared distance to its nearest point, the one of least score."""
    run_nearest(lower_to_nearest_pick(X.itemsize, LEVEL), X, points, scores, out)


cdef int run_nearest(nearest_fn loop, X, points, scores, out) except -1:
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], stride = X.strides[0] // X.itemsize
    cdef Py_ssize_t K = points.shape[0], width = scores.shape[1]
    cdef const void *rows = address(X)
    cdef const void *near = address(points)
    cdef const void *score = address(scores)
    cdef void *target = address(out)
    with nogil:
        loop(n, d, K, width, rows, stride, near, score, target)
    return 0


def cluster_rows(X, points, columns, constant, scores, sums, out):
    """Add each row to its nearest point as add_nearest does, out float64; the scores, of columns and constant as in
    score_rows, are formed for as many rows at a time as `scores` has; `sums`, of X's dtype, is of zeros."""
    cdef cluster_fn loop = cluster_pick(X.itemsize, LEVEL)
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], stride = X.strides[0] // X.itemsize
    cdef Py_ssize_t K = points.shape[0], width = scores.shape[1], block = scores.shape[0]
    cdef const void *rows = address(X)
    cdef const void *near = address(points)
    cdef const void *lanes = address(columns)
    cdef const void *start = address(constant)
    cdef void *room = address(scores)
    cdef void *part = address(sums)
    cdef double *target = <double *>address(out)
    with nogil:
        loop(n, d, K, width, rows, stride, near, lanes, start, block, room, part, target)


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
