"""Wire formats: the compiled conversions against their NumPy twins bit by bit, and their error bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from dpmpi.kernels import wire, wire_reference

FORMATS = ["bf16", "fp16", "int8", "topk"]
SIZES = [1, 2, 7, 15, 255, 256, 257, 1000, 4099]
SPECIAL = np.array(
    [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 65504, 65519.99, 65520, -65536, 1e-40, 3e-8, 2.98e-8, 6.1e-5, 3.4e38],
    np.float32,
)


def some_k(n):
    return max(1, n // 10)


def both(format, x, residual, k):
    """Encode and decode by the kernel and by its twin; return (code, residual, decoded, added) of each."""
    results = []
    for module in (wire, wire_reference):
        code = np.full(module.wire_bytes(format, len(x), k), 99, np.uint8)
        kept, decoded, added = residual.copy(), np.full_like(x, 5), np.ones_like(x)
        with np.errstate(all="ignore"):
            module.encode(format, x, kept, code, k)
            module.decode(format, code, decoded, k)
            module.decode_add(format, code, added, k)
        results.append((code, kept, decoded, added))
    return results


def assert_same(format, x, residual, k):
    got, expected = both(format, x, residual, k)
    assert got[0].tobytes() == expected[0].tobytes()
    for ours, twin in zip(got[1:], expected[1:], strict=True):
        assert_array_equal(ours, twin)  # NaN equals NaN
    return got


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("n", SIZES)
def test_bits_of_the_twin(format, n):
    rng = np.random.default_rng(n)
    x = (rng.standard_normal(n) * 10.0 ** rng.integers(-9, 9, n)).astype(np.float32)
    residual = (rng.standard_normal(n) * 1e-3).astype(np.float32)
    k = some_k(n) if format == "topk" else 0
    assert_same(format, x, residual, k)
    mixed = np.where(rng.random(n) < 0.05, rng.choice(SPECIAL, n), x)
    assert_same(format, mixed, residual, k)
    assert_same(format, np.zeros_like(x), np.zeros_like(x), k)
    assert_same(format, np.ones_like(x), np.zeros_like(x), k)  # ties


@pytest.mark.parametrize("format", FORMATS)
@given(x=arrays(np.float32, st.integers(1, 600), elements=st.floats(width=32)))
def test_any_floats(format, x):
    assert_same(format, x, np.zeros_like(x), some_k(len(x)) if format == "topk" else 0)


@pytest.mark.parametrize("format", ["bf16", "fp16"])
def test_every_code_comes_back(format):
    code = np.arange(1 << 16, dtype=np.uint16).view(np.uint8)
    numbers = np.empty(1 << 16, np.float32)
    wire.decode(format, code, numbers)
    again, residual = np.empty_like(code), np.zeros_like(numbers)
    wire.encode(format, numbers, residual, again)
    is_number = ~np.isnan(numbers)
    told = is_number & ((numbers != 0) | ~np.signbit(numbers))  # -0 plus a residual of 0 is 0
    assert_array_equal(again.view(np.uint16)[told], code.view(np.uint16)[told])
    back = np.empty_like(numbers)
    wire.decode(format, again, back)
    assert np.isnan(back[~is_number]).all()
    assert not residual.any()


@pytest.mark.parametrize(("format", "relative"), [("bf16", 2.0**-8), ("fp16", 2.0**-11), ("int8", None)])
def test_error_bounds(format, relative):
    x = np.random.default_rng(1).uniform(-1000, 1000, 10_000).astype(np.float32)
    code, decoded, residual = np.empty(wire.wire_bytes(format, len(x)), np.uint8), np.empty_like(x), np.zeros_like(x)
    wire.encode(format, x, residual, code)
    wire.decode(format, code, decoded)
    if relative is None:
        blocks = np.array([np.abs(x[i : i + wire.BLOCK]).max() for i in range(0, len(x), wire.BLOCK)])
        bound = np.repeat(blocks, wire.BLOCK)[: len(x)] / 254
    else:
        bound = np.abs(x) * relative
    assert (np.abs(x - decoded) <= bound * (1 + 1e-5)).all()
    assert_array_equal(residual, x - decoded)


def test_topk_takes_the_largest_and_keeps_the_rest():
    x = np.array([1, -5, 3, 5, 0.5, -3], np.float32)
    code, residual, decoded = np.empty(24, np.uint8), np.zeros(6, np.float32), np.empty(6, np.float32)
    wire.encode("topk", x, residual, code, 3)
    wire.decode("topk", code, decoded, 3)
    assert_array_equal(decoded, [0, -5, 3, 5, 0, 0])  # of 3 and -3 the first
    assert_array_equal(residual, [1, 0, 0, 0, 0.5, -3])


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_lost_comes_the_next_time(format):
    n, runs, k = 1000, 200, 100 if format == "topk" else 0
    x = np.random.default_rng(2).standard_normal(n).astype(np.float32)
    code, residual, total = np.empty(wire.wire_bytes(format, n, k), np.uint8), np.zeros(n, np.float32), np.zeros(n)
    for _ in range(runs):
        wire.encode(format, x, residual, code, k)
        decoded = np.empty_like(x)
        wire.decode(format, code, decoded, k)
        total += decoded
    assert_allclose(total + residual, runs * x.astype(float), atol=1e-2)


def test_what_is_not_finite_is_not_kept():
    x = np.array([np.inf, np.nan, 1e30, 1.0], np.float32)
    for format in FORMATS:
        k = 2 if format == "topk" else 0
        code, residual, decoded = (
            np.empty(wire.wire_bytes(format, 4, k), np.uint8),
            np.zeros(4, "f4"),
            np.empty(4, "f4"),
        )
        wire.encode(format, x, residual, code, k)
        wire.decode(format, code, decoded, k)
        assert np.isfinite(residual).all()
        assert not np.isfinite(decoded[:2]).any()


def test_no_numbers():
    for format in FORMATS[:3]:
        wire.encode(format, np.empty(0, "f4"), np.empty(0, "f4"), np.empty(0, "u1"))
        wire.decode(format, np.empty(0, "u1"), np.empty(0, "f4"))


@pytest.mark.parametrize(
    ("format", "n_residual", "n_bytes", "k", "match"),
    [
        ("int4", 10, 10, 0, "unknown wire format"),
        ("bf16", 9, 20, 0, "must have 10 numbers"),
        ("bf16", 10, 21, 0, "20 bytes"),
        ("topk", 10, 0, 0, "k must be"),
        ("topk", 10, 88, 11, "k must be"),
    ],
)
def test_bad_arguments(format, n_residual, n_bytes, k, match):
    with pytest.raises(ValueError, match=match):
        wire.encode(format, np.zeros(10, "f4"), np.zeros(n_residual, "f4"), np.empty(n_bytes, "u1"), k)


def test_an_index_behind_the_end_is_refused():
    code = np.array([10], np.uint32).view(np.uint8)
    with pytest.raises(ValueError, match="index 10"):
        wire.decode_add("topk", np.concatenate([code, code]), np.zeros(10, "f4"), 1)
