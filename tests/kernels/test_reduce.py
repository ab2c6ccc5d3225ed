"""sum_into, prod_into, min_into, max_into against NumPy, bit by bit."""

import numpy as np
import pytest

from dpmpi import kernels
from dpmpi.kernels import reference

OPS = ["sum_into", "prod_into", "min_into", "max_into"]
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DTYPES = ["bool", *INTEGERS, "float32", "float64", "longdouble", "complex64", "complex128", "clongdouble"]


def values(dtype, n, seed):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(n) < 0.5
    if dtype.kind in "iu":
        return np.frombuffer(rng.bytes(n * dtype.itemsize), dtype=dtype)
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40])
    parts = [np.where(rng.random(n) < 0.5, rng.standard_normal(n), rng.choice(special, n)) for _ in range(2)]
    if dtype.kind == "c":
        return (parts[0] + 0j).astype(dtype) + np.asarray(1j, dtype) * parts[1].astype(dtype.char.lower())
    return parts[0].astype(dtype)


def bits(array):
    """The bytes, NaN's sign and payload set aside: they are not a matter of the value."""
    parts = array.view(array.real.dtype)
    parts = np.where(np.isnan(parts), np.nan, parts) if parts.dtype.kind == "f" else parts
    if parts.dtype == np.longdouble:  # its padding bytes mean nothing
        return [(float(np.signbit(v)), str(v)) for v in parts]
    return parts.tobytes()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS)
def test_bits_of_numpy(op, dtype):
    for n in (0, 1, 2, 3, 7, 8, 15, 31, 64, 129, 1000):
        x, got, expected = values(dtype, n, 1), values(dtype, n, 2).copy(), values(dtype, n, 2).copy()
        x.flags.writeable = False
        getattr(kernels, op)(x, got)
        getattr(reference, op)(x, expected)
        if dtype in ("complex64", "complex128") and op == "prod_into":  # NumPy fuses what the machine can: rounding
            np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps, atol=1e-6)
        else:
            assert bits(got) == bits(expected), n


def test_unaligned_starts():
    base = np.arange(103, dtype=np.float32)
    for start in range(3):
        got = np.arange(100, dtype=np.float32)
        kernels.sum_into(base[start : start + 100], got)
        np.testing.assert_array_equal(got, 2 * np.arange(100) + start)


def test_the_same_array_twice():
    x = np.arange(10.0)
    kernels.sum_into(x, x)
    np.testing.assert_array_equal(x, 2 * np.arange(10.0))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    ("x", "out", "error", "match"),
    [
        (np.zeros(3, np.float32), np.zeros(3), TypeError, "one dtype"),
        (np.zeros(3), np.zeros(3, np.int64), TypeError, "one dtype"),
        (np.zeros(3, ">f8"), np.zeros(3, ">f8"), TypeError, "out has items"),
        (np.zeros(3, np.float16), np.zeros(3, np.float16), TypeError, "out has items"),
        (np.zeros(3), np.zeros(4), ValueError, "one length"),
        (np.zeros((3, 1)), np.zeros(3), ValueError, "1-D"),
        (np.zeros(6)[::2], np.zeros(3), ValueError, "x must be"),
        (np.zeros(3), np.zeros(6)[::2], ValueError, "out must be"),
        (np.zeros(3), np.frombuffer(bytes(24)), ValueError, "writable"),
    ],
)
def test_bad_arguments(op, x, out, error, match):
    with pytest.raises(error, match=match):
        getattr(kernels, op)(x, out)
    assert not out.any()


def test_overlap():
    x = np.zeros(10)
    with pytest.raises(ValueError, match="overlap"):
        kernels.sum_into(x[1:], x[:-1])
