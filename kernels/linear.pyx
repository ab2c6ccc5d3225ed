"""Loss and gradient of linear models in one pass over the rows: see linear_loops.h.

Conventions: X (n, d) is a float32 or float64 array or CSR matrix (any object with shape, indptr, indices and data).
float16 is computed in float32, integers and bool in float64. Rows of unit inner stride are read where they lie; every
other layout is converted some rows at a time. y (n,) and sample_weight (n,) or None have any real dtype. coef is (d,)
or, with the intercept last, (d + 1,). The gradients are with respect to coef.
"""

import numpy as np

from dpmpi.kernels.arguments import CSR, check_out, coefficients, matrix, row_blocks, vector


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "linear.h":
    enum:
        LINEAR_OK, LINEAR_BAD_VALUE, LINEAR_BAD_INDEX, LINEAR_NO_MEMORY
        LOSS_squared, LOSS_logistic
    ctypedef struct linear_problem:
        Py_ssize_t n, d
        const void *X
        Py_ssize_t stride
        const void *indptr
        const void *indices
        const void *data
        Py_ssize_t nnz
        int index_bytes
        const void *y
        const void *weight
        const double *coef
        double constant, parameter
    ctypedef int (*linear_fn)(const linear_problem *, int loss, double *out) nogil
    int simd_level()
    linear_fn linear_pick(int level, int real_bytes, int gradient)

cdef int LEVEL = simd_level()


def squared(X, y, sample_weight, coef, out):
    """Squared loss (z - y)^2 / 2 of the linear predictor z = X coef.

    Parameters: see the module. out, float64 (1 + len(coef),): the weighted sum of the losses is added to ``out[0]``, its
    gradient to ``out[1:]``. float32 is summed in float32 within a fixed block of rows, in float64 across blocks. Raises
    TypeError or ValueError that names the argument, before `out` is touched; y must be finite, weights not negative.
    """
    add_loss_gradient(LOSS_squared, X, y, sample_weight, coef, out, "finite")


def logistic(X, y, sample_weight, coef, out):
    """Logistic loss log(1 + exp(z)) - y z of the linear predictor z = X coef, for y from 0 to 1.

    Parameters, `out` and errors as for `squared`. No margin overflows.
    """
    add_loss_gradient(LOSS_logistic, X, y, sample_weight, coef, out, "from 0 to 1")


def linear_predictor(X, coef, out):
    """``out[i] += X[i] @ coef``, with the intercept where coef has one; out is float64 (n,).

    float32 rows are multiplied in float32 (CSR: in float64). Errors as for `squared`.
    """
    X, dtype = matrix(X)
    coef, intercept = coefficients(coef, X.shape[1])
    check_out(out, (X.shape[0],), "one for each row of X")
    if isinstance(X, CSR):
        total = np.zeros(X.shape[0])  # nothing may be added before the last index is checked
        run(linear_pick(LEVEL, dtype.itemsize, 0), 0, X, None, None, coef, intercept, total, "")
        out += total
    else:
        for start, stop, rows in row_blocks(X, dtype):
            run(linear_pick(LEVEL, dtype.itemsize, 0), 0, rows, None, None, coef, intercept, out[start:stop], "")


cdef int add_loss_gradient(int loss, X, y, sample_weight, coef, out, accepted) except -1:
    X, dtype = matrix(X)
    n, d = X.shape
    y = vector(y, "y", n, dtype)
    if sample_weight is not None:
        sample_weight = vector(sample_weight, "sample_weight", n, dtype)
    coef, intercept = coefficients(coef, d)
    check_out(out, (1 + len(coef),), "the loss and its gradient")
    total = np.zeros(d + 2)  # the loops find values they do not accept on the way: out gets the whole or nothing
    cdef linear_fn loop = linear_pick(LEVEL, dtype.itemsize, 1)
    if isinstance(X, CSR):
        run(loop, loss, X, y, sample_weight, coef, intercept, total, accepted)
    else:
        for start, stop, rows in row_blocks(X, dtype):
            run(loop, loss, rows, y[start:stop], None if sample_weight is None else sample_weight[start:stop], coef,
                intercept, total, accepted)
    out += total[:len(out)]
    return 0


cdef int run(linear_fn loop, int loss, X, y, weight, coef, bint intercept, out, accepted) except -1:
    cdef linear_problem problem
    cdef double *target = <double *>address(out)
    cdef int status
    problem.n, problem.d = X.shape
    if isinstance(X, CSR):
        problem.X = NULL
        problem.indptr = address(X.indptr)
        problem.indices = address(X.indices)
        problem.data = address(X.data)
        problem.nnz = X.indptr[problem.n]
        problem.index_bytes = X.indices.itemsize
    else:
        problem.X = address(X)
        problem.stride = X.strides[0] // X.itemsize
    problem.y = NULL if y is None else address(y)
    problem.weight = NULL if weight is None else address(weight)
    problem.coef = <double *>address(coef)
    problem.constant = problem.coef[problem.d] if intercept else 0
    problem.parameter = 0
    with nogil:
        status = loop(&problem, loss, target)
    if status == LINEAR_BAD_VALUE:
        raise ValueError(f"y must be {accepted} and sample_weight neither negative nor NaN")
    if status == LINEAR_BAD_INDEX:
        raise ValueError(f"X.indptr must not decrease and X.indices must be from 0 to {problem.d - 1}")
    if status == LINEAR_NO_MEMORY:
        raise MemoryError
    return 0
