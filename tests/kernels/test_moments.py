"""Moments against their NumPy twin, exact sums, and statistics made of them."""

import math

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose

from dpmpi import kernels
from dpmpi.kernels import reference, statistics


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_power_sums(dtype):
    rng = np.random.default_rng(0)
    for d in (0, 1, 2, 3, 7, 8, 16, 17, 31, 32, 33, 64, 65, 300):
        for n in (0, 1, 5, 63, 64, 65, 2000):
            X, shift = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal(d)
            got, expected = np.ones((2, 5, d))
            kernels.moments(X, shift, got)
            reference.moments(X.astype(float), shift, expected)
            eps = np.finfo(dtype).eps
            assert_allclose(got, expected, rtol=100 * eps, atol=100 * eps * (n + 1))


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda X: X[::-1], lambda X: X.astype(">f8"), np.int64])
def test_layouts(layout):
    X = np.round(np.random.default_rng(1).standard_normal((3000, 5)) * 10)
    got, expected = np.zeros((2, 5, 5))
    kernels.moments(layout(X), X[0], got)
    reference.moments(X, X[0], expected)
    assert_allclose(got, expected, rtol=1e-12)


def test_statistics():
    X = np.random.default_rng(2).gamma(2.0, 1.0, (5000, 3)) + np.array([0, 100, -1000])
    sums = np.zeros((5, 3))
    kernels.moments(X, X[0], sums)
    got = statistics.describe(sums, X[0], ddof=1)
    assert_allclose(got.mean, X.mean(axis=0))
    assert_allclose(got.variance, X.var(axis=0, ddof=1))
    assert_allclose(got.skewness, scipy.stats.skew(X), rtol=1e-9)
    assert_allclose(got.kurtosis, scipy.stats.kurtosis(X), rtol=1e-9)


def test_sums_about_different_shifts_merge():
    X = np.random.default_rng(3).standard_normal((1000, 2))
    one, other, expected = np.zeros((3, 5, 2))
    kernels.moments(X[:300], X[0], one)
    kernels.moments(X[300:], X[1], other)
    kernels.moments(X, X[0], expected)
    assert_allclose(one + statistics.move(other, X[1], X[0]), expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("n", [10**3, 10**4, 10**5, 10**6])
def test_float32_error_does_not_grow_with_rows(n):
    x = (1000 + np.random.default_rng(n).standard_normal(n)).astype(np.float32)
    got = np.zeros((5, 1))
    kernels.moments(x[:, None], np.array([1000.0]), got)
    exact = x.astype(np.float64) - 1000
    for k in (1, 2, 3, 4):
        scale = math.fsum(np.abs(exact) ** k)
        assert abs(got[k, 0] - math.fsum(exact**k)) <= 1e-6 * scale


def test_bad_arguments():
    X, out = np.ones((3, 2)), np.zeros((5, 2))
    for arguments, error, match in [
        ((X * 1j, X[0], out), TypeError, "X has dtype"),
        ((X, np.zeros(3), out), ValueError, "shift has shape"),
        ((X, X[0], np.zeros((4, 2))), ValueError, "out has shape"),
        ((X, X[0], out.T.copy().T), ValueError, "contiguous"),
    ]:
        with pytest.raises(error, match=match):
            kernels.moments(*arguments)
