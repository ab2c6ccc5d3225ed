"""Losses of linear models, with their derivatives, in one pass over the rows: see linear_loops.h and losses.h.

Conventions: X (n, d) is a float32 or float64 array or CSR matrix (any object with shape, indptr, indices and data).
float16 is computed in float32, integers and bool in float64. Rows of unit inner stride are read where they lie; every
other layout is converted some rows at a time. y (n,) and sample_weight (n,) or None have any real dtype. coef is (d,)
or, with the intercept last, (d + 1,); z = X coef is the linear predictor. Sums of float32 are formed in float32 within
a fixed block of rows and in float64 across blocks (CSR: products in float64). TypeError or ValueError names the
argument and is raised before `out` is touched.
"""

import numpy as np

from dpmpi.kernels.arguments import (
    CSR, check_out, coefficients, matrix, refuse_csr, refuse_rows, row_blocks, vector
)
from dpmpi.kernels.softmax import softmax_hessian_vector, softmax_value


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "linear.h":
    enum:
        LINEAR_OK, LINEAR_BAD_VALUE, LINEAR_BAD_INDEX, LINEAR_NO_MEMORY
        LINEAR_PREDICTOR, LINEAR_LOSS, LINEAR_GRADIENT, LINEAR_CURVATURE, LINEAR_HESSIAN_VECTOR
        LOSS_squared, LOSS_logistic, LOSS_poisson, LOSS_gamma, LOSS_tweedie, LOSS_huber, LOSS_pinball
        LOSS_squared_hinge
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
        double constant
        const double *direction
        double direction_constant
        double parameter
        const void *custom
    ctypedef int (*linear_fn)(const linear_problem *, int what, int loss, double *out) nogil
    int simd_level()
    linear_fn linear_pick(int real_bytes, int level)

cdef int LEVEL = simd_level()

# name: its number in C, its parameter's name, default, lower and upper bound (both excluded), the range of y
LOSSES = {
    "squared": (LOSS_squared, None, 0.0, 0.0, 0.0, "finite"),
    "logistic": (LOSS_logistic, None, 0.0, 0.0, 0.0, "from 0 to 1"),
    "poisson": (LOSS_poisson, None, 0.0, 0.0, 0.0, "finite and not negative"),
    "gamma": (LOSS_gamma, None, 0.0, 0.0, 0.0, "finite and greater than 0"),
    "tweedie": (LOSS_tweedie, "power", 1.5, 1.0, 2.0, "finite and not negative"),
    "huber": (LOSS_huber, "delta", 1.35, 0.0, float("inf"), "finite"),
    "pinball": (LOSS_pinball, "quantile", 0.5, 0.0, 1.0, "finite"),
    "squared_hinge": (LOSS_squared_hinge, None, 0.0, 0.0, 0.0, "from 0 to 1"),
}

# The ranges of y, to find the row that left it: the loops only tell that one did.
IN_RANGE = {
    "finite": np.isfinite,
    "from 0 to 1": lambda y: (y >= 0) & (y <= 1),
    "finite and not negative": lambda y: np.isfinite(y) & (y >= 0),
    "finite and greater than 0": lambda y: np.isfinite(y) & (y >= np.finfo(y.dtype).tiny),
}


def squared(X, y, sample_weight, coef, out):
    """Squared loss (z - y)^2 / 2.

    Parameters: see the module. out, float64 (1 + len(coef),): the weighted sum of the losses is added to ``out[0]``, its
    gradient with respect to coef to ``out[1:]``. y must be finite, weights not negative.
    """
    add(LINEAR_GRADIENT, "squared", {}, X, y, sample_weight, coef, None, out)


def logistic(X, y, sample_weight, coef, out):
    """Logistic loss log(1 + exp(z)) - y z, y from 0 to 1; no z overflows. Otherwise as `squared`."""
    add(LINEAR_GRADIENT, "logistic", {}, X, y, sample_weight, coef, None, out)


def poisson(X, y, sample_weight, coef, out):
    """Poisson loss with log link: exp(z) - y z, y not negative. Otherwise as `squared`."""
    add(LINEAR_GRADIENT, "poisson", {}, X, y, sample_weight, coef, None, out)


def gamma(X, y, sample_weight, coef, out):
    """Gamma loss with log link: z + y exp(-z), y > 0. Otherwise as `squared`."""
    add(LINEAR_GRADIENT, "gamma", {}, X, y, sample_weight, coef, None, out)


def tweedie(X, y, sample_weight, coef, out, *, power=1.5):
    """Tweedie loss with log link, half the deviance but for terms of y alone; y not negative, 1 < power < 2.

    exp((2 - power) z) / (2 - power) - y exp((1 - power) z) / (1 - power). For powers 1 and 2 see `poisson` and `gamma`.
    Otherwise as `squared`.
    """
    add(LINEAR_GRADIENT, "tweedie", {"power": power}, X, y, sample_weight, coef, None, out)


def huber(X, y, sample_weight, coef, out, *, delta=1.35):
    """Huber loss: r^2 / 2 for |r| <= delta, r = z - y, and delta (|r| - delta / 2) beyond. Otherwise as `squared`."""
    add(LINEAR_GRADIENT, "huber", {"delta": delta}, X, y, sample_weight, coef, None, out)


def pinball(X, y, sample_weight, coef, out, *, quantile=0.5):
    """Pinball loss of quantile regression: quantile r, r = y - z, or (quantile - 1) r where r < 0. Else as `squared`."""
    add(LINEAR_GRADIENT, "pinball", {"quantile": quantile}, X, y, sample_weight, coef, None, out)


def squared_hinge(X, y, sample_weight, coef, out):
    """Squared hinge loss max(0, 1 - s z)^2 with s = 2 y - 1, y from 0 to 1. Otherwise as `squared`."""
    add(LINEAR_GRADIENT, "squared_hinge", {}, X, y, sample_weight, coef, None, out)


def loss_value(X, y, sample_weight, coef, out, *, loss, **parameter):
    """Add the weighted sum of the losses alone to ``out[0]``, out being float64 (1,).

    loss: the name of a loss kernel ("squared", "huber", ...); its parameter by keyword (``delta=2.0``). For "softmax"
    y and coef are as `softmax` takes them.
    """
    if loss == "softmax":
        loss_parameter(loss, parameter)
        return softmax_value(X, y, sample_weight, coef, out)
    add(LINEAR_LOSS, loss, parameter, X, y, sample_weight, coef, None, out)


def curvature(X, y, sample_weight, coef, out, *, loss, **parameter):
    """Add each row's weight times its loss's second derivative by z to out, float64 (n,): Newton's weights for `gram`.

    loss and parameter as for `loss_value`; not pinball, which has none, nor softmax, whose z are K. Where a derivative jumps (Huber, squared hinge),
    a generalised one.
    """
    add(LINEAR_CURVATURE, loss, parameter, X, y, sample_weight, coef, None, out)


def hessian_vector(X, y, sample_weight, coef, direction, out, *, loss, **parameter):
    """Add the loss's Hessian at coef times `direction`, shaped like coef, to out, float64 (len(coef),).

    loss and parameter as for `curvature`, and "softmax", whose coef and direction have a row a class; out is then
    float64 (coef.size,).
    """
    if loss == "softmax":
        loss_parameter(loss, parameter)
        return softmax_hessian_vector(X, y, sample_weight, coef, direction, out)
    add(LINEAR_HESSIAN_VECTOR, loss, parameter, X, y, sample_weight, coef, direction, out)


def linear_predictor(X, coef, out):
    """``out[i] += X[i] @ coef``, with the intercept where coef has one; out is float64 (n,)."""
    add(LINEAR_PREDICTOR, "squared", {}, X, None, None, coef, None, out)


def add_custom_loss(Py_ssize_t loop, X, y, sample_weight, coef, out):
    """As `squared`, for a loss whose loop over a block of rows lies at the address `loop`: see custom.py."""
    add(LINEAR_GRADIENT, "squared", {}, X, y, sample_weight, coef, None, out, <const void *>loop)


cdef int add(int what, loss, parameter, X, y, sample_weight, coef, direction, out,
             const void *custom=NULL) except -1:
    """Check all arguments, run the loops into a scratch, and add it to out: out gets the whole or nothing."""
    cdef linear_problem problem
    cdef int status
    if loss not in LOSSES:
        raise ValueError(f"loss is {loss!r}; one of {', '.join(LOSSES)} is accepted" + (
            ", or softmax by loss_value and hessian_vector" if what != LINEAR_CURVATURE else ""))
    if loss == "pinball" and what in (LINEAR_CURVATURE, LINEAR_HESSIAN_VECTOR):
        raise ValueError("loss is 'pinball', which has no second derivative")
    X, dtype = matrix(X)
    n, d = X.shape
    if what != LINEAR_PREDICTOR:
        y = vector(y, "y", n, dtype)
    if sample_weight is not None:
        sample_weight = vector(sample_weight, "sample_weight", n, dtype)
    coef, intercept = coefficients(coef, d)
    problem.d = d
    problem.parameter = loss_parameter(loss, parameter)
    problem.coef = <double *>address(coef)
    problem.constant = problem.coef[problem.d] if intercept else 0
    problem.custom = custom
    problem.direction = NULL
    if direction is not None:
        direction = vector(direction, "direction", len(coef), np.dtype(np.float64))
        problem.direction = <double *>address(direction)
        problem.direction_constant = problem.direction[problem.d] if intercept else 0
    by_row = what == LINEAR_PREDICTOR or what == LINEAR_CURVATURE
    if by_row:
        check_out(out, (n,), "one for each row of X")
        total = np.zeros(n)
    elif what == LINEAR_LOSS:
        check_out(out, (1,), "the loss")
        total = np.zeros(1)
    elif what == LINEAR_GRADIENT:
        check_out(out, (1 + len(coef),), "the loss and its gradient")
        total = np.zeros(d + 2)
    else:
        check_out(out, (len(coef),), "one for each coefficient")
        total = np.zeros(d + 1)
    blocks = [(0, n, X)] if isinstance(X, CSR) else row_blocks(X, dtype)
    for start, stop, rows in blocks:
        status = run(&problem, what, loss, rows, dtype.itemsize, None if y is None else y[start:stop],
                     None if sample_weight is None else sample_weight[start:stop], total[start:stop] if by_row else total)
        if status == LINEAR_BAD_VALUE:
            refuse_rows(y, LOSSES[loss][5], IN_RANGE[LOSSES[loss][5]](y), sample_weight)
        if status == LINEAR_BAD_INDEX:
            refuse_csr(X)
        if status == LINEAR_NO_MEMORY:
            raise MemoryError
    out += total[:len(out)]
    return 0


cdef double loss_parameter(loss, given) except? -1:
    _, name, default, low, high, _ = LOSSES.get(loss, (0, None, 0.0, 0.0, 0.0, ""))  # softmax has no parameter
    unknown = set(given) - {name}
    if unknown:
        raise TypeError(f"the {loss} loss has no parameter {', '.join(unknown)}" + (f", only {name}" if name else ""))
    value = float(given.get(name, default))
    if name and not low < value < high:
        raise ValueError(f"{name} is {value}; greater than {low:g} and less than {high:g} is accepted")
    return value


cdef int run(linear_problem *problem, int what, loss, X, int real_bytes, y, weight, total) except -1:
    """Run the loops over some rows into `total`; return their status, LINEAR_OK or what was met."""
    cdef linear_fn loop = linear_pick(real_bytes, LEVEL)
    cdef double *target = <double *>address(total)
    cdef int status, number = LOSSES[loss][0]
    problem.n = X.shape[0]
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
    with nogil:
        status = loop(problem, what, number, target)
    return status
