"""Kernels on BLAS against their NumPy twins in float64."""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose

from dpmpi import kernels
from dpmpi.kernels import reference, statistics

RTOL = {"float32": 1e-5, "float64": 1e-12}
SHAPES = [(0, 3), (1, 1), (63, 2), (1500, 7), (700, 130)]
LAYOUTS = [np.ascontiguousarray, np.asfortranarray, lambda X: X[::-1].copy()[::-1], lambda X: X.astype(">f4")]


def check(name, arguments, size, dtype):
    got, expected = np.ones((2, *np.atleast_1d(size)))
    getattr(kernels, name)(*arguments, got)
    exact = [a.astype(float) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in arguments]
    getattr(reference, name)(*exact, expected)
    scale = np.max(np.abs(expected), initial=1)
    assert_allclose(got, expected, rtol=RTOL[dtype], atol=RTOL[dtype] * scale)


def normal(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_against_numpy(n, d, dtype):
    X, weight = normal(n, d, dtype=dtype), np.abs(normal(n, dtype=dtype))
    check("gram", (X, None), (d, d), dtype)
    check("gram", (X, weight), (d, d), dtype)
    check("covariance", (X, normal(d, seed=1)), 1 + d + d * d, dtype)
    check("dense_forward", (X, normal(d + 1, 5)), (n, 5), dtype)
    check("dense_backward", (X, normal(n, 5, dtype=dtype, seed=2)), (d + 1, 5), dtype)
    check("dense_backward_inputs", (normal(n, 5, dtype=dtype), normal(d + 1, 5)), (n, d), dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    X = normal(3000, 5, dtype="float32")
    other = layout(X)
    check("kmeans", (other, normal(4, 5, seed=3)), 25, "float32")
    check("nearest_distance", (other, normal(4, 5, seed=3)), 3000, "float32")


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("K", [1, 5, 16, 40, 70])
@pytest.mark.parametrize(("n", "d"), SHAPES[1:])
def test_kmeans_and_nearest(n, d, K, dtype):
    X, centers = normal(n, d, dtype=dtype), normal(K, d, dtype=dtype, seed=1).astype(float)
    check("kmeans", (X, centers), 1 + K + K * d, dtype)
    check("nearest_distance", (X * 0.01, centers * 0.01), n, dtype)


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("d", [1, 3, 8, 15, 17, 28, 31, 32, 33, 100])
@pytest.mark.parametrize("n", [15, 16, 31, 32, 270, 1000])
def test_kmeans_rows_of_any_length(n, d, dtype):
    """Whole vectors, what is left of them, and rows left of those that are scored together; some far apart in X."""
    X, centers = normal(n, 2 * d, dtype=dtype)[:, :d], normal(16, d, dtype=dtype, seed=1).astype(float)
    check("kmeans", (X, centers), 1 + 16 + 16 * d, dtype)


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("K", [3, 19, 70])
def test_kmeans_counts_rows_without_a_distance(K, dtype):
    """NaN and infinity go to some centre, never to the padding beside them."""
    X, out = normal(200, 5, dtype=dtype), np.zeros(1 + K + K * 5)
    X[3, 2], X[40, 0], X[41] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        kernels.kmeans(X, normal(K, 5, seed=1), out)
    assert out[1 : K + 1].sum() == len(X)


@pytest.mark.parametrize("dtype", RTOL)
def test_kmeans_first_of_equal_centers(dtype):
    X, out = np.round(normal(333, 5, dtype=dtype)), np.zeros(1 + 20 + 20 * 5)
    kernels.kmeans(X, np.tile(np.eye(4, 5), (5, 1)), out)
    assert out[1:5].sum() == len(X)
    assert_allclose(out[21:41].reshape(4, 5).sum(axis=0), X.sum(axis=0))
    assert not out[5:21].any()
    assert not out[41:].any()


@pytest.mark.parametrize("d", [5, 80])
def test_kmeans_layouts_give_equal_bits(d):
    X, centers = normal(5000, d, dtype="float32"), normal(7, d, dtype="float32", seed=1)
    first, other = np.zeros((2, 1 + 7 + 7 * d))
    kernels.kmeans(X, centers, first)
    kernels.kmeans(np.asfortranarray(X), np.asfortranarray(centers), other)
    assert (first == other).all()


def test_kmeans_far_from_the_origin():
    X, centers = normal(500, 2) + 1e6, normal(6, 2, seed=1) + 1e6
    check("kmeans", (X, centers), 19, "float64")
    check("kmeans", (X[:0], centers), 19, "float64")
    many = normal(60, 2, seed=2) + 1e6
    check("kmeans", (X, many), 181, "float64")


def test_gram_of_csr():
    X, weight = (
        scipy.sparse.random(200, 30, 0.2, format="csr", random_state=np.random.default_rng(0)),
        np.abs(normal(200)),
    )
    check("gram", (X, None), (30, 30), "float64")
    check("gram", (X, weight), (30, 30), "float64")


def test_covariance_matrix():
    X = normal(1000, 4) @ normal(4, 4, seed=1) + 1e4
    sums = np.zeros(21)
    kernels.covariance(X, X[0], sums)
    mean, got = statistics.covariance_matrix(sums, X[0], ddof=1)
    assert_allclose(mean, X.mean(axis=0))
    assert_allclose(got, np.cov(X.T), rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "arguments", "size", "error", "match"),
    [
        ("kmeans", (np.ones((3, 2)), np.ones((0, 2))), 1, ValueError, "centers has shape"),
        ("nearest_distance", (np.ones((3, 2)), np.ones((4, 3))), 3, ValueError, "points has shape"),
        ("gram", (np.ones((3, 2)), None), (2, 3), ValueError, "out has shape"),
        ("covariance", (scipy.sparse.eye(3, format="csr"), np.ones(3)), 13, TypeError, "sparse"),
        ("dense_forward", (np.ones((3, 2)), np.ones((2, 2))), (3, 2), ValueError, "weights has shape"),
        ("dense_backward", (np.ones((3, 2)), np.ones((2, 2))), (3, 2), ValueError, "gradient has 2 rows"),
        ("dense_backward_inputs", (np.ones((3, 2)), np.ones((2, 3))), (3, 1), ValueError, "gradient has 2 columns"),
    ],
)
def test_bad_arguments(name, arguments, size, error, match):
    out = np.zeros(size)
    with pytest.raises(error, match=match):
        getattr(kernels, name)(*arguments, out)
    assert not out.any()
