"""Columns to rows against NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dpmpi.kernels.transpose import all_finite, join_columns


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_join_columns(dtype):
    rng = np.random.default_rng(0)
    for d in (0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 20, 33, 100):
        for n in (0, 1, 3, 4, 8, 15, 16, 17, 100, 1000):
            X, out = rng.normal(size=(n, d)).astype(dtype), np.empty((n, d), dtype)
            assert join_columns([column.copy() for column in X.T], out)
            assert_array_equal(out, X)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_noticed_wherever_it_is(bad):
    for n, d in ((37, 21), (5, 3)):
        X = np.finfo(float).max * np.ones((n, d))
        out = np.empty((n, d))
        assert join_columns(list(X.T.copy()), out)
        for i in range(n):
            for j in range(d):
                changed = X.copy()
                changed[i, j] = bad
                assert not join_columns(list(changed.T.copy()), out)
                assert_array_equal(out, changed)


@pytest.mark.parametrize(
    ("columns", "out"),
    [
        ([np.zeros(3), np.zeros(4)], np.empty((3, 2))),
        ([np.zeros(3), np.zeros(3, np.float32)], np.empty((3, 2))),
        ([np.zeros(3), np.zeros(6)[::2]], np.empty((3, 2))),
        ([np.zeros(3)], np.empty((3, 2))),
        ([np.zeros(3), np.zeros(3)], np.empty((3, 2), order="F")),
    ],
)
def test_what_does_not_fit(columns, out):
    with pytest.raises(ValueError, match="accepted"):
        join_columns(columns, out)


def test_other_dtypes():
    with pytest.raises(TypeError, match="int64"):
        join_columns([np.zeros(3, int)], np.empty((3, 1), int))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_all_finite(bad, dtype):
    for n in (0, 1, 7, 64, 101):
        X = np.full(n, np.finfo(dtype).max, dtype)
        assert all_finite(X)
        for i in range(n):
            X[i] = bad
            assert not all_finite(X)
            X[i] = -1
    with pytest.raises(ValueError, match="contiguous"):
        all_finite(np.zeros((4, 4))[:, :2])
    with pytest.raises(TypeError, match="int64"):
        all_finite(np.zeros(3, np.int64))
