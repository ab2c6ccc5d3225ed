"""Loss and gradient kernels of linear models against their NumPy twins in float64."""

import math

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from dpmpi import kernels
from dpmpi.kernels import reference

LOSSES = {
    "squared": {},
    "logistic": {},
    "poisson": {},
    "gamma": {},
    "tweedie": {"power": 1.3},
    "huber": {"delta": 0.7},
    "pinball": {"quantile": 0.3},
    "squared_hinge": {},
}
RTOL = {"float32": 3e-6, "float64": 1e-13}
COLUMNS = [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 28, 31, 32, 33, 64, 65, 100, 257]


def problem(n, d, dtype="float64", *, intercept=True, seed=0, sparse=None, labels=True):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)).astype(dtype)
    if sparse is not None:
        X = scipy.sparse.csr_matrix(X * (rng.random((n, d)) < 0.2))
        X.indices, X.indptr = X.indices.astype(sparse), X.indptr.astype(sparse)
    y = (rng.random(n) < 0.5).astype(dtype) if labels else rng.gamma(2.0, 1.0, n).astype(dtype)
    weight = rng.random(n).astype(dtype)
    coef = rng.standard_normal(d + intercept) / math.sqrt(d + 1)
    return X, y, weight, coef


def labelled(loss):
    return loss in ("logistic", "squared_hinge")


def run(module, loss, X, y, weight, coef):
    out = np.zeros(1 + len(coef))
    getattr(module, loss)(X, y, weight, coef, out, **LOSSES[loss])
    return out


def as_float64(X, y, weight, coef):
    return X.astype(np.float64), y.astype(np.float64), None if weight is None else weight.astype(np.float64), coef


def assert_agree(got, expected, X, rtol):
    """Close relative to the sums of absolute values that rounding errors scale with."""
    scale = max(1.0, float(abs(X).sum(axis=0).max())) if X.shape[0] * X.shape[1] else max(1, X.shape[0])
    assert_allclose(got, expected, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_dense(loss, dtype, intercept, weighted):
    for d in COLUMNS:
        for n in (0, 1, 3, 8, 13, 64, 65, 600):
            X, y, weight, coef = problem(n, d, dtype, intercept=intercept, labels=labelled(loss))
            arguments = (X, y, weight if weighted else None, coef)
            got = run(kernels, loss, *arguments)
            expected = run(reference, loss, *as_float64(*arguments))
            assert_agree(got, expected, X, RTOL[dtype])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_csr(loss, dtype, index, intercept, weighted):
    for n, d in [(0, 3), (5, 0), (1, 1), (300, 40), (1000, 7)]:
        X, y, weight, coef = problem(n, d, dtype, intercept=intercept, sparse=index, labels=labelled(loss))
        arguments = (X, y, weight if weighted else None, coef)
        got = run(kernels, loss, *arguments)
        expected = run(reference, loss, *as_float64(*arguments))
        assert_agree(got, expected, X, RTOL[dtype])


@pytest.mark.parametrize("loss", LOSSES)
def test_adds_into_out(loss):
    arguments = problem(50, 5, labels=labelled(loss))
    once = run(kernels, loss, *arguments)
    out = np.ones_like(once)
    getattr(kernels, loss)(*arguments, out, **LOSSES[loss])
    assert_allclose(out, 1 + once, rtol=1e-15)


@pytest.mark.parametrize("loss", LOSSES)
def test_numerical_derivative(loss):
    X, y, weight, coef = problem(40, 6, labels=labelled(loss))
    step = 1e-5
    expected = [
        (run(kernels, loss, X, y, weight, coef + s)[0] - run(kernels, loss, X, y, weight, coef - s)[0]) / (2 * step)
        for s in step * np.eye(7)
    ]
    assert_allclose(run(kernels, loss, X, y, weight, coef)[1:], expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("sparse", [None, "int32"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_loss_alone(loss, dtype, sparse):
    arguments = problem(300, 9, dtype, labels=labelled(loss), sparse=sparse)
    got, expected = np.zeros(1), np.zeros(1)
    kernels.loss_value(*arguments, got, loss=loss, **LOSSES[loss])
    reference.loss_value(*as_float64(*arguments), expected, loss=loss, **LOSSES[loss])
    assert_allclose(got, expected, rtol=RTOL[dtype])


@pytest.mark.parametrize("sparse", [None, "int64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "pinball"])
def test_second_derivatives(loss, dtype, sparse):
    for n, d, intercept in [(0, 3, True), (70, 3, False), (300, 40, True)]:
        X, y, weight, coef = problem(n, d, dtype, labels=labelled(loss), sparse=sparse, intercept=intercept)
        direction = np.linspace(-1, 1, len(coef))
        exact = as_float64(X, y, weight, coef)
        got, expected = np.zeros((2, n))
        kernels.curvature(X, y, weight, coef, got, loss=loss, **LOSSES[loss])
        reference.curvature(*exact, expected, loss=loss, **LOSSES[loss])
        assert_allclose(got, expected, rtol=10 * RTOL[dtype], atol=RTOL[dtype])
        got, expected = np.zeros((2, len(coef)))
        kernels.hessian_vector(X, y, weight, coef, direction, got, loss=loss, **LOSSES[loss])
        reference.hessian_vector(*exact, direction, expected, loss=loss, **LOSSES[loss])
        assert_agree(got, expected, X, 4 * RTOL[dtype])


@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson", "gamma", "tweedie"])
def test_hessian_is_the_gradient_s_derivative(loss):
    X, y, weight, coef = problem(40, 6, labels=labelled(loss))
    direction = np.linspace(-1, 1, 7)
    got = np.zeros(7)
    kernels.hessian_vector(X, y, weight, coef, direction, got, loss=loss, **LOSSES[loss])
    step = 1e-5 * direction
    expected = run(kernels, loss, X, y, weight, coef + step) - run(kernels, loss, X, y, weight, coef - step)
    assert_allclose(got, expected[1:] / 2e-5, rtol=1e-7, atol=1e-7)


def test_bad_losses():
    X, y, weight, coef = problem(5, 2)
    out = np.zeros(5)
    for options, error, match in [
        ({"loss": "sqared"}, ValueError, "loss is 'sqared'"),
        ({"loss": "pinball"}, ValueError, "no second derivative"),
        ({"loss": "huber", "delta": 0}, ValueError, "delta is 0.0"),
        ({"loss": "tweedie", "power": 2}, ValueError, "power is 2.0"),
        ({"loss": "squared", "delta": 1}, TypeError, "no parameter delta"),
        ({"loss": "poisson"}, ValueError, "y must be finite and not negative"),
    ]:
        with pytest.raises(error, match=match):
            kernels.curvature(X, y - 1, weight, coef, out, **options)
    assert not out.any()


LAYOUTS = {
    "read-only": lambda X: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
    "row stride": lambda X: np.hstack([X, np.full_like(X, np.nan)])[:, : X.shape[1]],
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "fortran": np.asfortranarray,
    "reversed rows": lambda X: X[::-1].copy()[::-1],
    "reversed columns": lambda X: X[:, ::-1].copy()[:, ::-1],
    "inner stride": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "misaligned": lambda X: np.frombuffer(b"x" + X.tobytes(), X.dtype, offset=1).reshape(X.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("d", [3, 20])
def test_layouts_have_the_same_bits(layout, dtype, d):
    X, y, weight, coef = problem(5000, d, dtype)
    other = LAYOUTS[layout](X)
    assert_array_equal(other, X)
    got, expected = (run(kernels, "logistic", Z, y, weight, coef) for Z in (other, X))
    assert_array_equal(got, expected)


def test_broadcast_rows():
    X, y, weight, coef = problem(100, 5)
    got, expected = (
        run(kernels, "squared", Z, y, weight, coef) for Z in (np.broadcast_to(X[0], X.shape), np.tile(X[0], (100, 1)))
    )
    assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "bool", "float16"])
def test_other_real_dtypes(dtype):
    X, y, weight, coef = problem(100, 5)
    X = (3 * X).astype(dtype)
    got = run(kernels, "logistic", X, y.astype(dtype), (3 * weight).astype(dtype), coef)
    expected = run(reference, "logistic", X.astype(float), y, (3 * weight).astype(dtype).astype(float), coef)
    assert_allclose(got, expected, rtol=1e-4 if dtype == "float16" else 1e-13, atol=1e-4 if dtype == "float16" else 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sparse", [None, "int32", "int64"])
def test_linear_predictor(dtype, sparse):
    for d in COLUMNS:
        X, _, _, coef = problem(77, d, dtype, sparse=sparse)
        got, expected = np.ones(77), np.ones(77)
        kernels.linear_predictor(X, coef, got)
        reference.linear_predictor(X.astype(np.float64), coef, expected)
        assert_allclose(got, expected, rtol=RTOL[dtype], atol=RTOL[dtype])


def test_a_row_does_not_see_its_neighbour():
    X, _, _, coef = problem(20, 3)
    X[10] = np.nan
    out = np.zeros(20)
    kernels.linear_predictor(X, coef, out)
    assert np.flatnonzero(np.isnan(out)) == [10]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_margins(dtype):
    z = np.array([-1e3, -100, -90, -1e-30, 0, 1e-30, 90, 100, 1e3], dtype)
    for y in (0.0, 1.0):
        y = np.full(len(z), y, dtype)
        got, expected = (run(m, "logistic", z[:, None].astype(t), y, None, np.ones(1)) for m, t in
                         ((kernels, dtype), (reference, "float64")))  # fmt: skip
        assert_allclose(got, expected, rtol=RTOL[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logistic_elementwise(dtype):
    """exp and log1p row by row: a few units in the last place."""
    for z in np.concatenate([np.linspace(-20, 20, 401), [-86, -60, 60, 86]]).astype(dtype):
        got = run(kernels, "logistic", np.array([[z]], dtype), np.zeros(1, dtype), None, np.ones(1))
        expected = np.logaddexp(0, float(z)), float(z) / (1 + math.exp(-float(z)))
        assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("n", "d"), [(10**3, 1), (10**5, 1), (10**7, 1), (10**4, 28), (10**6, 28)])
def test_float32_error_does_not_grow_with_rows(n, d):
    rng = np.random.default_rng(n)
    X, y, weight = rng.standard_normal((n, d), np.float32), rng.integers(0, 2, n), rng.random(n, np.float32)
    coef = rng.standard_normal(d + 1) / math.sqrt(d + 1)
    exact = np.zeros(3)
    for start in range(0, n, 10**5):
        rows = slice(start, start + 10**5)
        z = X[rows].astype(np.float64) @ coef[:d] + coef[d]
        e = np.exp(-np.abs(z))
        g = weight[rows] * (np.where(z < 0, e, 1) / (1 + e) - y[rows])
        exact += np.sum(weight[rows] * (np.maximum(z, 0) + np.log1p(e) - y[rows] * z)), np.sum(g), np.sum(np.abs(g))
    got = run(kernels, "logistic", X, y, weight, coef)
    assert abs(got[0] - exact[0]) <= 3e-7 * exact[0]
    assert abs(got[-1] - exact[1]) <= 3e-7 * exact[2]


@pytest.mark.parametrize("sparse", [None, "int32"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_margins_of_a_thousand_are_finite(dtype, sparse):
    X = np.array([[1e3], [-1e3], [1e3], [-1e3]], dtype)
    X = X if sparse is None else scipy.sparse.csr_matrix(X)
    y = np.array([0, 0, 1, 1])
    for loss, expected in [("logistic", [2e3, 2e3]), ("squared_hinge", [2 * 1001**2, 4 * 1001e3])]:
        assert_allclose(run(kernels, loss, X, y, None, np.ones(1)), expected, rtol=1e-6)
        second, product = np.zeros(4), np.zeros(1)
        kernels.curvature(X, y, None, np.ones(1), second, loss=loss)
        kernels.hessian_vector(X, y, None, np.ones(1), np.ones(1), product, loss=loss)
        assert_allclose(second, 0 if loss == "logistic" else [2, 0, 0, 2], atol=1e-30)
        assert_allclose(product, 0 if loss == "logistic" else 4e6, atol=1e-30)
    got = np.zeros(1)
    kernels.loss_value(X[[1, 3]], y[[1, 3]], None, np.ones(1), got, loss="poisson")
    assert_allclose(got, 1e3, rtol=1e-6)


@pytest.mark.parametrize("sparse", [None, "int32", "int64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_of_zero_add_nothing_and_negative_ones_are_refused(loss, sparse):
    X, y, weight, coef = problem(300, 9, labels=labelled(loss), sparse=sparse)
    assert not run(kernels, loss, X, y, np.zeros(300), coef).any()
    got, expected = run(kernels, loss, X, y, weight * (np.arange(300) < 70), coef), np.zeros(11)
    getattr(kernels, loss)(X[:70], y[:70], weight[:70], coef, expected, **LOSSES[loss])
    assert_allclose(got, expected, rtol=1e-12)
    options, out = {"loss": loss, **LOSSES[loss]}, np.zeros(300)
    for bad in (-1.0, np.nan):
        weight[299] = bad
        with pytest.raises(ValueError, match=r"sample_weight\[299\] is (-1.0|nan); .* neither negative nor NaN"):
            getattr(kernels, loss)(X, y, weight, coef, out[:11], **LOSSES[loss])
        with pytest.raises(ValueError, match=r"sample_weight\[299\] is (-1.0|nan); .* neither negative nor NaN"):
            kernels.loss_value(X, y, weight, coef, out[:1], **options)
        if loss != "pinball":
            with pytest.raises(ValueError, match=r"sample_weight\[299\] is (-1.0|nan); .* neither negative nor NaN"):
                kernels.curvature(X, y, weight, coef, out, **options)
            with pytest.raises(ValueError, match=r"sample_weight\[299\] is (-1.0|nan); .* neither negative nor NaN"):
                kernels.hessian_vector(X, y, weight, coef, coef, out[:10], **options)
    assert not out.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "bad"),
    [("poisson", -1), ("poisson", np.nan), ("gamma", 0), ("tweedie", -1), ("squared", np.inf), ("squared_hinge", 2)],
)
def test_targets_out_of_range(loss, bad, dtype):
    X, y, weight, coef = problem(300, 9, dtype)
    y[:] = 1
    y[299] = bad
    out = np.zeros(11)
    with pytest.raises(ValueError, match=r"y\[299\] is .*; y must be"):
        getattr(kernels, loss)(X, y, weight, coef, out)
    with pytest.raises(ValueError, match=r"y\[299\] is .*; y must be"):
        getattr(kernels, loss)(np.asfortranarray(X), y, weight, coef, out)
    assert not out.any()


def test_csr_of_the_other_byte_order():
    X, y, weight, coef = problem(100, 9, sparse="int32")
    expected = run(kernels, "logistic", X, y, weight, coef)
    for part in ("data", "indices", "indptr"):
        array = getattr(X, part)
        setattr(X, part, array.astype(array.dtype.newbyteorder()))
    assert_array_equal(run(kernels, "logistic", X, y, weight, coef), expected)


BAD = [
    ({"X": np.zeros((4, 2), complex)}, TypeError, "X has dtype complex128"),
    ({"X": np.zeros((4, 2), object)}, TypeError, "X has dtype object"),
    ({"X": np.zeros((4, 2), np.longdouble)}, TypeError, "X has dtype"),
    ({"X": np.zeros(4)}, ValueError, "X has shape"),
    ({"X": scipy.sparse.csc_matrix(np.ones((4, 2)))}, TypeError, "csc"),
    ({"y": np.zeros(3)}, ValueError, "y has shape"),
    ({"y": np.zeros((4, 1))}, ValueError, "y has shape"),
    ({"y": np.array(list("abcd"))}, TypeError, "y has dtype"),
    ({"y": np.array([0, 1, 2.0, 0])}, ValueError, "y must be from 0 to 1"),
    ({"y": np.array([0, 1, np.nan, 0])}, ValueError, "y must be from 0 to 1"),
    ({"sample_weight": np.ones(5)}, ValueError, "sample_weight has shape"),
    ({"sample_weight": np.array([1, 1, -1, 1.0])}, ValueError, "negative"),
    ({"coef": np.zeros(4)}, ValueError, "coef has shape"),
    ({"coef": np.zeros(2, complex)}, TypeError, "coef has dtype"),
    ({"out": np.zeros(4)}, ValueError, "out has shape"),
    ({"out": np.zeros(3, np.float32)}, TypeError, "out must be"),
    ({"out": [0.0, 0.0, 0.0]}, TypeError, "out must be"),
    ({"out": np.zeros(6)[::2]}, ValueError, "contiguous"),
    ({"out": np.frombuffer(bytes(24))}, ValueError, "writable"),
]


@pytest.mark.parametrize(("change", "error", "match"), BAD)
def test_bad_arguments(change, error, match):
    arguments = {"X": np.ones((4, 2)), "y": np.ones(4), "sample_weight": None, "coef": np.ones(2), "out": np.zeros(3)}
    arguments |= change
    with pytest.raises(error, match=match):
        kernels.logistic(**arguments)
    assert not np.any(arguments["out"])


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize(
    ("part", "position", "value"),
    [
        ("indices", -1, 40),
        ("indices", 0, -1),
        ("indptr", 500, 2**31 - 1),
        ("indptr", 500, -5),
        ("indptr", -1, 2**31 - 1),
    ],
)
def test_bad_csr(index, part, position, value):
    X, y, weight, coef = problem(1000, 40, sparse=index)
    getattr(X, part)[position] = value
    out = np.zeros(42)
    with pytest.raises(ValueError, match=f"X.{part}"):
        kernels.squared(X, y, weight, coef, out)
    assert not out.any()
    out = np.zeros(1000)
    with pytest.raises(ValueError, match=f"X.{part}"):
        kernels.linear_predictor(X, coef, out)
    assert not out.any()


def test_bad_csr_is_told_by_row_and_entry():
    X = scipy.sparse.csr_matrix(np.ones((4, 2)))
    X.indices[5] = 7
    with pytest.raises(ValueError, match=r"X.indices\[5\] is 7, in row 2; X.indices must be from 0 to 1"):
        kernels.squared(X, np.zeros(4), None, np.zeros(2), np.zeros(3))
    X.indptr[2] = 1
    with pytest.raises(ValueError, match=r"row 1 runs from 2 to 1"):
        kernels.squared(X, np.zeros(4), None, np.zeros(2), np.zeros(3))


def test_unsorted_and_duplicate_indices():
    X = scipy.sparse.csr_matrix((np.array([1.0, 2, 3, 4]), np.array([2, 0, 1, 1]), np.array([0, 2, 4])), shape=(2, 3))
    arguments = (np.array([0.0, 1]), None, np.array([1.0, 2, 3]))
    got, expected = run(kernels, "squared", X, *arguments), run(kernels, "squared", X.toarray(), *arguments)
    assert_allclose(got, expected)
