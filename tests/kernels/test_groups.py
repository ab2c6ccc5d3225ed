"""Sums by key against NumPy, and NIST's hard cases of the one-way analysis of variance."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dpmpi import kernels
from dpmpi.kernels import reference, statistics

START = {"group_count": 0.0, "group_sum": 0.0, "group_min": np.inf, "group_max": -np.inf}


@pytest.mark.parametrize("kernel", START)
@pytest.mark.parametrize("value", ["float32", "float64", "int16", ">f8"])
@pytest.mark.parametrize("key", ["int8", "uint16", "int32", "int64"])
def test_against_numpy(kernel, key, value):
    rng = np.random.default_rng(0)
    for n, groups in [(0, 0), (0, 3), (1, 1), (1000, 17)]:
        keys, values = rng.integers(0, max(groups, 1), n).astype(key), (10 * rng.standard_normal(n)).astype(value)
        arguments = (keys,) if kernel == "group_count" else (keys, values)
        got, expected = np.full((2, groups), START[kernel])
        getattr(kernels, kernel)(*arguments, got)
        getattr(reference, kernel)(*arguments, expected)
        assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", ["group_min", "group_max"])
def test_nan_wins(kernel):
    got = np.full(2, START[kernel])
    getattr(kernels, kernel)(np.array([0, 0, 0, 1]), np.array([1, np.nan, 2, 3]), got)
    assert_array_equal(got, [np.nan, 3])


def test_means_and_variances():
    rng = np.random.default_rng(1)
    keys, values = rng.integers(0, 5, 1000), rng.standard_normal(1000) + 1e6
    shift = np.full(5, values[0])
    got, expected = np.zeros((2, 3, 5))
    kernels.group_moments(keys, values, shift, got)
    reference.group_moments(keys, values, shift, expected)
    assert_allclose(got, expected, rtol=1e-12)
    mean, variance = statistics.mean_variance(got, shift, ddof=1)
    assert_allclose(mean, [values[keys == k].mean() for k in range(5)], rtol=1e-14)
    assert_allclose(variance, [values[keys == k].var(ddof=1) for k in range(5)], rtol=1e-9)


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize(("name", "digits"), [("SmLs06.dat", 9), ("SmLs09.dat", 3)])
def test_nist_anova(name, digits, shards, shared_data):
    """NIST StRD one-way ANOVA (Simon and Lesage 1989): 9 treatments of 2001 values to 7 and 13 digits; F = 2001."""
    table = np.loadtxt(shared_data(name), skiprows=60)
    keys, values = table[:, 0].astype(int) - 1, table[:, 1]
    assert len(values) == 18009
    sums = np.zeros((3, 9))
    for part in np.array_split(np.arange(len(keys)), shards):
        partial = np.zeros((3, 9))
        kernels.group_moments(keys[part], values[part], np.full(9, values[0]), partial)
        sums += partial
    assert abs(statistics.one_way_anova(sums) / 2001 - 1) < 10.0**-digits


def keys_of(dtype, n, kinds):
    numbers = np.random.default_rng(2).integers(0, kinds, n)
    if dtype in ("f8", "i1", "i8", ">i8", "M8[s]", "m8[D]"):
        return numbers.astype(dtype)
    return np.char.mod("%d", numbers * 7919 % 100_003).astype(dtype)


DTYPES = ["U1", "U2", "U3", "U5", "U30", "S1", "S3", "S7", "S8", "S9", "S17", ">U6", "O", "i1", "i8", ">i8", "M8[s]"]


@pytest.mark.parametrize("dtype", [*DTYPES, "m8[D]", "f8"])
@pytest.mark.parametrize(("n", "kinds"), [(0, 1), (1, 1), (15, 3), (1000, 100), (20_000, 9000)])
def test_codes_and_distinct(dtype, n, kinds):
    keys = keys_of(dtype, n, min(kinds, 100) if dtype == "i1" else kinds)
    for some in (keys, keys[::-1], keys[::3]):
        values, numbers = statistics.distinct(some)
        expected, places = reference.distinct(some)
        assert_array_equal(values, expected)
        assert_array_equal(numbers, places)
        if n:
            assert_array_equal(statistics.codes(some, np.unique(keys)), reference.codes(some, np.unique(keys)))


def test_codes_of_strings():
    got = statistics.codes(np.array(["b", "a", "c", "b"]), np.array(["a", "b", "c"]))
    assert_array_equal(got, [1, 0, 2, 1])
    with pytest.raises(ValueError, match="'z'"):
        statistics.codes(np.array(["z"]), np.array(["a"]))
    with pytest.raises(ValueError, match="among the 0 categories"):
        statistics.codes(np.array(["z"]), np.array([], "U1"))


@pytest.mark.parametrize("dtype", ["U", "S", "O"])
def test_codes_of_strings_of_other_lengths(dtype):
    """Neither dtype's width may cut the other's strings; categories in any order, the first of equal ones."""
    short, long = np.array(["a", "ab", "abc"], dtype), np.array(["abcdefghi", "ab", "abc", "a", "abcd", "a"], dtype)
    assert_array_equal(statistics.codes(short, long), [3, 1, 2])
    assert_array_equal(statistics.codes(long[[1, 2, 3]], short), [1, 2, 0])
    with pytest.raises(ValueError, match="abcdefghi"):
        statistics.codes(long, short)


def test_codes_of_other_kinds():
    assert_array_equal(statistics.codes(np.array([2.5, 0.5]), np.array([0.5, 2.5])), [1, 0])
    assert_array_equal(statistics.codes(np.array([3, 1], np.int8), np.array([1, 3])), [1, 0])
    days = np.array(["2024-01-01", "2024-01-03"], "M8[D]")
    assert_array_equal(statistics.codes(days[::-1].astype("M8[s]"), days), [1, 0])
    with pytest.raises(TypeError, match="unhashable"):
        statistics.codes(np.array([[], None], object)[:1], np.array(["a"], object))
    with pytest.raises(ValueError, match="keys has shape"):
        statistics.codes(np.array([["a"]]), np.array(["a"]))
    with pytest.raises(ValueError, match="keys has shape"):
        statistics.distinct(np.array([["a"]]))


@pytest.mark.parametrize(
    ("keys", "values", "out", "error", "match"),
    [
        ([0, 3], [1.0, 1], np.zeros(3), ValueError, r"keys\[1\] is 3"),
        ([0, -1], [1.0, 1], np.zeros(3), ValueError, r"keys\[1\] is -1"),
        ([0.0, 1], [1.0, 1], np.zeros(3), TypeError, "keys has dtype"),
        ([[0, 1]], [1.0, 1], np.zeros(3), ValueError, "keys has shape"),
        ([0, 1], [1.0], np.zeros(3), ValueError, "values has shape"),
        ([0, 1], [1.0, 1j], np.zeros(3), TypeError, "values has dtype"),
        ([0, 1], [1.0, 1], np.zeros(3, int), TypeError, "out must be"),
    ],
)
def test_bad_arguments(keys, values, out, error, match):
    with pytest.raises(error, match=match):
        kernels.group_sum(np.array(keys), np.array(values), out)
    assert not out.any()
