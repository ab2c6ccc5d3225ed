"""The softmax loss against its NumPy twin in float64, dense and CSR."""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from dpmpi import kernels
from dpmpi.kernels import reference

RTOL = {"float32": 1e-5, "float64": 1e-12}
SHAPES = [(0, 3), (1, 1), (63, 2), (1500, 7), (700, 130)]
LAYOUTS = [np.ascontiguousarray, np.asfortranarray, lambda X: X[::-1].copy()[::-1], lambda X: X.astype(">f4")]


def normal(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def as_float64(argument):
    floats = getattr(getattr(argument, "dtype", None), "kind", "") == "f"
    return argument.astype(np.float64) if floats else argument


def check(name, arguments, size, dtype, **options):
    got, expected = np.ones((2, size))
    getattr(kernels, name)(*arguments, got, **options)
    getattr(reference, name)(*map(as_float64, arguments), expected, **options)
    scale = np.max(np.abs(expected), initial=1)
    assert_allclose(got, expected, rtol=RTOL[dtype], atol=RTOL[dtype] * scale)


def check_all(X, y, weight, coef, dtype):
    check("softmax", (X, y, weight, coef), 1 + coef.size, dtype)
    check("loss_value", (X, y, weight, coef), 1, dtype, loss="softmax")
    direction = normal(*coef.shape, seed=5)
    check("hessian_vector", (X, y, weight, coef, direction), coef.size, dtype, loss="softmax")


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("K", [1, 3, 16, 17, 50])
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_dense(n, d, K, dtype):
    X, y, weight = normal(n, d, dtype=dtype), np.random.default_rng(0).integers(0, K, n), np.abs(normal(n, dtype=dtype))
    for coef in (normal(K, d) / d, normal(K, d + 1) / d):
        check_all(X, y, None, coef, dtype)
        check_all(X, y.astype(np.int16), weight, coef, dtype)


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("K", [1, 3, 17])
@pytest.mark.parametrize(("n", "d"), [*SHAPES, (2500, 40)])
def test_csr(n, d, K, dtype, index):
    rng = np.random.default_rng(0)
    X = scipy.sparse.csr_matrix(normal(n, d, dtype=dtype) * (rng.random((n, d)) < 0.2))
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    y, weight = rng.integers(0, K, n), np.abs(normal(n, dtype=dtype))
    for coef in (normal(K, d) / d, normal(K, d + 1) / d):
        check_all(X, y, weight, coef, dtype)


def test_csr_with_repeated_and_unsorted_columns():
    X = scipy.sparse.csr_matrix((np.array([1.0, 2.0, 3.0]), np.array([2, 0, 2]), np.array([0, 3, 3])), shape=(2, 3))
    check_all(X, np.array([1, 0]), None, normal(2, 4), "float64")


@pytest.mark.parametrize("sparse", [False, True])
def test_derivatives_are_those_of_the_loss(sparse):
    X, y, coef = normal(30, 4), np.random.default_rng(0).integers(0, 3, 30), normal(3, 5)
    X = scipy.sparse.csr_matrix(X) if sparse else X

    def run(coef):
        out = np.zeros(16)
        kernels.softmax(X, y, None, coef.reshape(3, 5), out)
        return out

    steps = 1e-5 * np.eye(15)
    expected = [(run(coef.ravel() + s)[0] - run(coef.ravel() - s)[0]) / 2e-5 for s in steps]
    assert_allclose(run(coef)[1:], expected, rtol=1e-7, atol=1e-7)
    direction, product = normal(3, 5, seed=1), np.zeros(15)
    kernels.hessian_vector(X, y, None, coef, direction, product, loss="softmax")
    expected = (run(coef + 1e-5 * direction) - run(coef - 1e-5 * direction))[1:] / 2e-5
    assert_allclose(product, expected, rtol=1e-6, atol=1e-6)


def test_weights_of_zero():
    X, y, coef, out = normal(200, 4), np.arange(200) % 3, normal(3, 5), np.zeros(16)
    kernels.softmax(X, y, np.zeros(200), coef, out)
    assert not out.any()


@pytest.mark.parametrize("make", [np.array, scipy.sparse.csr_matrix])
def test_extreme_margins(make):
    X, coef, out = make([[1e3], [-1e3]]), np.array([[1.0], [0.0], [-1.0]]), np.zeros(4)
    kernels.softmax(X, np.array([1, 1]), None, coef, out)
    assert_allclose(out, [2000, 1000, 0, -1000])
    curved = np.zeros(3)
    kernels.hessian_vector(X, np.array([1, 1]), None, coef, coef, curved, loss="softmax")
    assert_allclose(curved, 0, atol=1e-300)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    X, y = normal(3000, 5, dtype="float32"), np.random.default_rng(0).integers(0, 3, 3000)
    check_all(layout(X), y, None, normal(3, 6), "float32")


def test_threads_give_equal_bits():
    X = scipy.sparse.random(20_000, 30, 0.2, format="csr", random_state=np.random.default_rng(0))
    y, coef = np.arange(20_000) % 3, normal(3, 31)
    outs = np.zeros((2, 1 + coef.size))
    for threads, out in zip((1, 2), outs, strict=True):
        kernels.in_threads(kernels.softmax, (X, y, None), (coef,), out, threads=threads)
    assert_array_equal(*outs)


ONES, CLASSES, COEF = np.ones((3, 2)), np.array([0, 1, 0]), np.ones((3, 2))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((ONES, np.array([0, 1, 3]), None, COEF), ValueError, r"y\[2\] is 3; y must be a class from 0 to 2"),
        ((ONES, np.ones(3), None, COEF), TypeError, "y has dtype"),
        ((ONES, CLASSES, -np.ones(3), COEF), ValueError, "sample_weight"),
        ((ONES, CLASSES, np.array([1, np.nan, 1]), COEF), ValueError, "sample_weight"),
        ((ONES, CLASSES, None, np.ones((3, 4))), ValueError, "coef has shape"),
        ((ONES[0], CLASSES, None, COEF), ValueError, "X has shape"),
    ],
)
def test_bad_arguments(arguments, error, match):
    for name, size, options in [("softmax", 7, {}), ("loss_value", 1, {"loss": "softmax"})]:
        out = np.zeros(size)
        with pytest.raises(error, match=match):
            getattr(kernels, name)(*arguments, out, **options)
        assert not out.any()


@pytest.mark.parametrize("indices", [[0, 2, 1], [0, -1, 1], [0, 1, 2**31 - 1]])
def test_indices_out_of_range(indices):
    X, out = scipy.sparse.csr_matrix(np.eye(3, 2) + 1), np.zeros(7)
    X.indices[1:4] = indices
    with pytest.raises(ValueError, match="indices must be from 0 to 1"):
        kernels.softmax(X, CLASSES, None, COEF, out)
    assert not out.any()


def test_row_pointers_that_decrease():
    X, out = scipy.sparse.csr_matrix(np.eye(3, 2) + 1), np.zeros(7)
    X.indptr[1] = 5
    with pytest.raises(ValueError, match="indptr must not decrease"):
        kernels.softmax(X, CLASSES, None, COEF, out)
    assert not out.any()


def test_bad_losses_and_directions():
    out = np.zeros(6)
    with pytest.raises(ValueError, match="direction has shape"):
        kernels.hessian_vector(ONES, CLASSES, None, COEF, np.ones(6), out, loss="softmax")
    with pytest.raises(TypeError, match="softmax loss has no parameter delta"):
        kernels.loss_value(ONES, CLASSES, None, COEF, out[:1], loss="softmax", delta=1.0)
    with pytest.raises(ValueError, match="loss is 'softmax'"):
        kernels.curvature(ONES, CLASSES, None, COEF, np.zeros(3), loss="softmax")
    assert not out.any()
