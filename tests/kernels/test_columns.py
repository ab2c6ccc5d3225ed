"""Extremes, histograms, quantile sketches and the Poisson bootstrap."""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from dpmpi import kernels
from dpmpi.kernels import reference

LAYOUTS = [np.asarray, np.asfortranarray, lambda X: X[::-1], lambda X: X.astype(">f8"), lambda X: X.astype("f4")]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["column_min", "column_max"])
def test_extremes(name, layout):
    for n, d in [(0, 3), (1, 1), (5000, 1), (777, 7), (3, 600), (4, 0)]:
        X = layout(np.random.default_rng(0).standard_normal((n, d)))
        got, expected = np.full((2, d), np.inf if name == "column_min" else -np.inf)
        getattr(kernels, name)(X, got)
        getattr(reference, name)(X, expected)
        assert_array_equal(got, expected)


def test_extremes_of_nan_and_sparse():
    out = np.full(2, np.inf)
    kernels.column_min(np.array([[1, 2], [np.nan, 1], [0, 3]]), out)
    assert_array_equal(out, [np.nan, 1])
    with pytest.raises(TypeError, match="sparse"):
        kernels.column_max(scipy.sparse.eye(2, format="csr"), out)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_histogram(layout):
    rng = np.random.default_rng(0)
    for n in (0, 1, 100_000):
        x = layout(np.concatenate([rng.standard_normal(n), rng.integers(-3, 4, n) / 10, [np.nan, np.inf]]))
        for bins, low, high in [(1, -1, 1), (10, -0.3, 0.3), (1000, -3, 3)]:
            got, expected = np.zeros((2, bins))
            kernels.histogram(x, low, high, got)
            reference.histogram(x.astype(float), low, high, expected)
            assert_array_equal(got, expected)


@pytest.mark.parametrize("error", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("draw", ["normal", "lognormal", "integers"])
def test_quantile_sketch(draw, error):
    rng = np.random.default_rng(0)
    x = {"normal": rng.standard_normal, "lognormal": lambda n: np.exp(5 * rng.standard_normal(n))}.get(
        draw, lambda n: rng.integers(-5, 6, n)
    )(50_000)
    parts = np.zeros((4, kernels.sketch_size(error)))
    for part, sketch in zip(np.array_split(x, 4), parts, strict=True):
        kernels.quantile_sketch(part, sketch, relative_error=error)
    for q in (0, 0.01, 0.25, 0.5, 0.75, 0.999, 1):
        got = kernels.sketch_quantile(parts.sum(axis=0), q, relative_error=error)
        expected = np.quantile(x, q, method="lower")
        assert abs(got - expected) <= error * abs(expected) * (1 + 1e-9)


def test_quantile_sketch_of_extremes():
    sketch = np.zeros(kernels.sketch_size(0.01))
    assert np.isnan(kernels.sketch_quantile(sketch, 0.5))
    kernels.quantile_sketch(np.array([0.0, 1e-300, -1e300, np.inf, -np.inf]), sketch)
    assert sketch.sum() == 5
    assert kernels.sketch_quantile(sketch, 0.5) == 0
    assert_allclose(kernels.sketch_quantile(sketch, 1), 2.0**64, rtol=0.02)


def test_bootstrap():
    x = np.random.default_rng(0).standard_normal(3000) + 1
    whole, parts, expected = np.zeros((3, 2, 200))
    kernels.bootstrap_sums(x, 2**32 - 1000, 2**40 + 7, whole)
    reference.bootstrap_sums(x, 2**32 - 1000, 2**40 + 7, expected)
    assert_allclose(whole, expected, rtol=1e-12)
    for start in range(0, 3000, 700):
        kernels.bootstrap_sums(x[start : start + 700], 2**32 - 1000 + start, 2**40 + 7, parts)
    assert_allclose(parts, whole, rtol=1e-12)
    assert_allclose(whole[0].mean() / 3000, 1, atol=0.005)
    assert_allclose(whole[0].var() / 3000, 1, atol=0.3)
    assert_allclose(np.std(whole[1] / whole[0]), x.std() / np.sqrt(3000), rtol=0.2)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: kernels.histogram(np.ones(3), 1, 1, np.zeros(3)), ValueError, "low is 1"),
        (lambda: kernels.histogram(np.ones(3), 0, 1, np.zeros(0)), ValueError, "bins 0"),
        (lambda: kernels.histogram(np.ones(3) * 1j, 0, 1, np.zeros(2)), TypeError, "x has dtype"),
        (lambda: kernels.quantile_sketch(np.ones(3), np.zeros(3)), ValueError, "out has shape"),
        (lambda: kernels.quantile_sketch([np.nan], np.zeros(kernels.sketch_size(0.01))), ValueError, "x holds NaN"),
        (lambda: kernels.sketch_size(1.0), ValueError, "relative_error is"),
        (lambda: kernels.sketch_quantile(np.zeros(3), 2), ValueError, "q is 2"),
        (lambda: kernels.bootstrap_sums(np.ones(3), 0, 0, np.zeros((3, 4))), ValueError, "out has shape"),
        (lambda: kernels.bootstrap_sums(np.ones(3), -1, 0, np.zeros((2, 4))), OverflowError, "negative"),
        (lambda: kernels.column_min(np.ones((3, 2)), np.zeros(3)), ValueError, "out has shape"),
    ],
)
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call()
