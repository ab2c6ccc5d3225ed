"""Quantiles of a sketch are within the stated error, whatever the order of the rows and however they are cut."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dpmpi.preprocess import Quantiles
from dpmpi.preprocess.quantiles import SKETCH_SIZE

SHARES = np.linspace(0.01, 0.99, 50)
PICKING = 6 * 0.00043  # six standard deviations


def sketch(X, cuts=()):
    made = Quantiles(X.shape[1])
    for part in np.split(X, cuts):
        made.add(part)
    return made


def merged(parts):
    """What ranks with these rows send each other and merge."""
    sketches = [pickle.loads(pickle.dumps(sketch(part))) for part in parts]
    for other in sketches[1:]:
        sketches[0].merge(other)
    return sketches[0]


def worst(got, column, shares=SHARES):
    """How far the quantiles are from the ranks that they should have, as a share of the rows."""
    there = np.sort(column[~np.isnan(column)])
    below = np.searchsorted(there, got, "left") / len(there)
    up_to = np.searchsorted(there, got, "right") / len(there)
    return np.maximum(below - shares, shares - up_to).max()


def stated(n, ranks):
    return (1 + np.log2(n / (8 * SKETCH_SIZE) + ranks)) / (2 * SKETCH_SIZE) + 1 / n


def in_order(order, n):
    values = np.arange(n, dtype=float)
    if order == "shuffled":
        np.random.default_rng(0).shuffle(values)
    elif order == "zigzag":
        values = np.concatenate([values[::2], values[1::2][::-1]])
    elif order == "periodic":
        values = (values * 7919) % 1024 + values / n
    return values


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50), st.lists(st.integers(0, 50), max_size=4))
def test_few_rows_are_exact(values, cuts):
    shares = np.linspace(0, 1, 9)
    got = merged(np.split(np.array(values)[:, None], sorted(cuts))).at(shares)[:, 0]
    assert_allclose(got, np.quantile(values, shares), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("order", ["shuffled", "ascending", "zigzag", "periodic"])
def test_many_rows_stay_within_the_stated_error(order):
    n = 300_000
    values = in_order(order, n)
    cuts = [7_000, 8_000, 90_000, 250_000]
    made = merged(np.split(values[:, None], cuts))
    assert worst(made.at(SHARES)[:, 0], values) <= stated(n, len(cuts) + 1)
    assert len(pickle.dumps(made)) < 8 * (10 * SKETCH_SIZE + 2 * SKETCH_SIZE)


@pytest.mark.parametrize("order", ["shuffled", "ascending", "periodic"])
def test_rows_of_which_some_are_picked_stay_within_the_stated_error(order):
    n = 5_000_000
    values = in_order(order, n)
    made = merged([values[: n - 1000, None], values[n - 1000 :, None]])
    assert worst(made.at(SHARES)[:, 0], values) <= stated(3 << 20, 2) + PICKING


def test_missing_values_are_left_out_of_each_column():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(100_000, 4))
    X[rng.random(len(X)) < 0.4, 1] = np.nan
    X[:, 2] = np.nan
    X[50_000:, 3] = np.nan
    made = merged([X[:30_000], X[30_000:60_000], X[60_000:]])
    for j in (0, 1, 3):
        assert worst(made.at(SHARES)[:, j], X[:, j]) <= stated(
            np.count_nonzero(~np.isnan(X[:, j])), 3 + len(X) // 16384
        )
    assert np.isnan(made.at(SHARES)[:, 2]).all()


def test_the_same_however_the_rows_are_cut():
    X = np.random.default_rng(2).normal(size=(2_200_000, 1)).astype(np.float32)
    X[::13] = np.nan
    whole = sketch(X).at(SHARES)
    assert_array_equal(sketch(X, [1, 4000, 20_001, 1_048_575, 1_048_577, 2_100_003]).at(SHARES), whole)


def test_many_columns_keep_fewer_rows():
    X = np.random.default_rng(3).normal(size=(9000, 1500))
    assert worst(sketch(X).at(SHARES)[:, 7], X[:, 7]) <= stated(4 * len(X), 1)


def test_no_rows():
    assert np.isnan(Quantiles(1).at([0.5])).all()
