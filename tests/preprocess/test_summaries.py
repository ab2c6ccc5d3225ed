"""What a pass learns is the same however the rows are cut, and right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dpmpi.preprocess import Counts, Moments, Text, summaries


def in_parts(kind, X, cuts, *arguments):
    whole = kind(*arguments)
    for part in np.split(X, sorted(cuts)):
        other = kind(*arguments)
        other.add(part)
        whole.merge(other)
    return whole


@given(st.integers(1, 60), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 10**6), st.floats(0, 0.6))
def test_moments(n, cuts, seed, gaps):
    rng = np.random.default_rng(seed)
    X = rng.normal(1e9, 1, (n, 3))
    X[rng.random(X.shape) < gaps] = np.nan
    got = in_parts(Moments, X, cuts, 3)
    for j, column in enumerate(X.T):
        there = column[~np.isnan(column)]
        assert (got.count[j], got.missing[j]) == (len(there), n - len(there))
        if len(there):
            assert_allclose(got.mean[j], 1e9 + (there - 1e9).mean(), rtol=1e-15)
            assert_allclose(got.squares[j], len(there) * (there - 1e9).var(), rtol=1e-11, atol=1e-13)
            assert (got.low[j], got.high[j]) == (there.min(), there.max())


@given(st.floats(-1e6, 1e6), st.integers(1, 300), st.lists(st.integers(0, 300), max_size=3), st.integers(0, 99))
def test_a_constant_with_gaps_has_itself_as_mean(constant, n, cuts, seed):
    X = np.full((n, 2), constant)
    X[np.random.default_rng(seed).random(X.shape) < 0.3] = np.nan
    got = in_parts(Moments, X, cuts, 2)
    for j in np.flatnonzero(got.count):
        assert (got.mean[j], got.squares[j]) == (constant, 0.0)


@pytest.mark.filterwarnings("error")
def test_numbers_whose_squares_are_too_large():
    for gap in (1.0, np.nan):
        moments = in_parts(Moments, np.array([[1e200, 1.0], [-1e200, gap], [3e200, 2.0]]), [1], 2)
        assert moments.low[0] == -1e200
        assert not np.isfinite(moments.squares[0])
        assert np.isfinite(moments.squares[1])


def test_counts():
    counts = Counts(["a"])
    counts.add({"a": Text(np.array([0, 1, -1, 0], np.int32), ("x", "y"))})
    other = Counts(["a"])
    other.add({"a": Text(np.array([0, 0], np.int32), ("y",))})
    counts.merge(other)
    assert counts.columns == {"a": {"x": 2, "y": 3, "": 1}}


@pytest.mark.parametrize("most", ["MAX_CATEGORIES", "MAX_CHARACTERS"])
@pytest.mark.parametrize("cuts", [[], [3], [3, 4, 9], [6]])
def test_too_many_texts_leave_the_missing_ones_counted(monkeypatch, most, cuts):
    monkeypatch.setattr(summaries, most, 4)
    codes = np.array([0, 1, -1, 2, 3, 4, 5, -1, -1, -1, 0], np.int32)
    ranks = []
    for part in np.split(codes, cuts):
        values, numbers = np.unique(part[part >= 0], return_inverse=True)
        own = part.copy()
        own[part >= 0] = numbers
        counts = Counts(["a"], bounded=True)
        for block in np.array_split(own, 2):
            counts.add({"a": Text(block, tuple("uvwxyz"[k] for k in values))})
        ranks.append(counts)
    for other in ranks[1:]:
        ranks[0].merge(other)
    assert ranks[0].overflowed == {"a"}
    assert ranks[0].columns == {"a": {"": 4}}


def test_as_many_texts_as_are_counted_besides_missing_ones(monkeypatch):
    monkeypatch.setattr(summaries, "MAX_CATEGORIES", 2)
    counts = Counts(["a"])
    counts.add({"a": Text(np.array([0, -1, 1], np.int32), ("x", "y"))})
    assert counts.columns == {"a": {"": 1, "x": 1, "y": 1}}
    with pytest.raises(ValueError, match="column 'a' has more than 2 different texts"):
        counts.add({"a": Text(np.array([0], np.int32), ("z",))})


def test_a_column_without_rows():
    assert_array_equal(Moments(2).variance, [0, 0])
