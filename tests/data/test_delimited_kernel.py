"""The compiled CSV reader against its plain twin, and both against pyarrow."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dpmpi.data import delimited as reader
from dpmpi.data.columns import Choice
from dpmpi.kernels import delimited, delimited_reference, lines

COLUMNS = {"kinds": ("skipped", "number", "gaps", "boolean"), "places": (-1, 2, 0, 1), "n_features": 2}
finite = st.floats(allow_nan=False, allow_infinity=False)
cells = st.tuples(
    st.sampled_from(["", "x y", '"a,b"', '"say ""hi"""', "é", 'x"', '"x"y']),
    finite.map(repr)
    | st.sampled_from(['"1.5"', " 2 ", "+3", "4.", ".5", "-0", "1e5", "", "nan", "1e999", "0x1", "1_0"]),
    finite.map(repr) | st.sampled_from(["", "NA", "nan", "NULL", "-1.#QNAN", " ", "inf", '""']),
    st.sampled_from(["true", "False", "1", "0", "yes", "TRUE", ""]),
)


def assert_same(data, delimiter=",", **columns):
    got = delimited.parse(data, delimiter, **columns)
    expected = delimited_reference.parse(data, delimiter, **columns)
    assert (got is None) == (expected is None)
    if got is not None:
        for a, b in zip(got, expected, strict=True):
            assert a.dtype == b.dtype
            assert_array_equal(a, b)
    return got


@settings(deadline=None)
@given(st.lists(cells, max_size=6), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.sampled_from(",\t;"))
def test_rows_give_what_the_twin_gives(rows, newline, last, delimiter):
    text = newline.join(delimiter.join(row) for row in rows) + newline * last
    assert_same(text.encode(), delimiter, **COLUMNS)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from(["\n", "\r\n"]), st.sampled_from([0.0, 0.01, 0.3]))
def test_long_texts_give_what_the_twin_gives(seed, newline, strange):
    """Cells are found a window at a time: what is strange may lie anywhere in it, or be longer than it."""
    rng = np.random.default_rng(seed)
    plain = ["0.496714", "-1.5", "12345678", ".25", "-7.", "123456.78", "0.12345678901234567", "99999999.5", "-0.0"]
    odd = ['"1.5"', " 2 ", "", "1e5", "NA", "+3", "1" * 30, '"a,b"', "x" * 3000]
    rows = []
    for _ in range(150):
        row = [rng.choice(odd if rng.random() < strange else plain) for _ in range(6)]
        rows += [",".join(row)] + [""] * (rng.random() < 0.02)
    text = newline.join(rows).encode()
    kinds = ("number", "gaps", "skipped", "number", "gaps", "skipped")
    assert_same(text, kinds=kinds, places=(2, 0, -1, 3, 1, -1), n_features=3)
    switches = newline.join([*(f"{k % 2},true,0.5" for k in range(200)), rng.choice(["1,0,2", "-0,1,2", "0.5,1,2"])])
    assert_same(switches.encode(), kinds=("boolean", "boolean", "number"), places=(0, 1, 2), n_features=2)
    rows[-1] += rng.choice(["", ",", "x", '"'])
    assert_same(newline.join(rows).encode(), kinds=("skipped",) * 5 + ("gaps",), places=(-1,) * 5 + (0,), n_features=1)


@settings(deadline=None)
@given(st.text('01.5e-+,"\n\r x\0', max_size=60).map(str.encode) | st.binary(max_size=40))
@example(b'"1",2\n')
@example(b'1,"2"')
@example(b'"1"",2\n')
@example(b"1,2\r")
@example(b"\r\n1,2\r\n\r\n3,4")
@example(b"0123456789012345678901234567890123456789,0.0000000000000000000000000000000001")
def test_any_bytes_give_what_the_twin_gives(data):
    assert_same(data, kinds=("number", "gaps"), places=(0, 1), n_features=2)
    assert_same(data, kinds=("skipped", "number"), places=(-1, 0), n_features=0)
    assert_same(data, kinds=("boolean",), places=(0,), n_features=1)
    got, expected = lines.count_lines(data), delimited_reference.count_lines(data)
    assert got[0] == expected[0]
    assert_array_equal(got[1], expected[1])


@settings(deadline=None)
@given(st.from_regex(r"[+-]?([0-9]{1,25}\.?[0-9]{0,25}|\.[0-9]{1,25})([eE][+-]?[0-9]{1,3})?", fullmatch=True))
@example("9007199254740993")
@example("0." + "0" * 30 + "12345678901234567")
@example("12345678.12345678")
@example("0" * 50 + "1.5")
@example("179769313486231580793728971405301e276")
@example("2.2250738585072011e-308")
@example("4.9406564584124654e-324")
def test_numbers_are_correctly_rounded(text):
    (value,) = [float(text)]
    for padding in ("", "," + " " * 60):  # at the end of the text, and far from it
        columns = {"kinds": ("number", "skipped")[: 1 + bool(padding)], "places": (0, -1)[: 1 + bool(padding)]}
        got = delimited.parse((text + padding).encode(), ",", **columns, n_features=1)
        if np.isfinite(value):
            assert got[0][0, 0] == value
            assert np.signbit(got[0][0, 0]) == np.signbit(value)
        else:
            assert got is None


def test_many_numbers_are_correctly_rounded():
    rng = np.random.default_rng(5)
    values = np.concatenate([rng.normal(size=2_000) * 10.0**k for k in (-300, -20, -3, 0, 3, 15, 300)])
    bits = rng.integers(0, 2**64, 6_000, dtype=np.uint64).view(np.float64)
    values = np.concatenate([values, bits[np.isfinite(bits)]])
    for form in (repr, "{:.6f}".format, "{:.17g}".format, "{:.18e}".format, "{:.3e}".format):
        texts = [form(value) for value in values.tolist()]
        X, _ = delimited.parse("\n".join(texts).encode(), ",", ["number"], [0], 1)
        assert_array_equal(X[:, 0], np.array(texts, float))


@settings(deadline=None)
@given(st.lists(cells, min_size=1, max_size=4), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_is_accepted_is_what_pyarrow_reads(rows, newline, missing):
    text = newline.join(",".join(row) for row in rows).encode()
    header = reader.Header(",", ("t", "a", "b", "c"), frozenset({3}), 0, 0)
    choice = Choice((2, 3), 1, None, missing=missing)
    block = reader._convert_plain(header, choice, text)
    if block is not None:
        other = reader._convert_any(header, choice, text)
        assert_array_equal(block.X, other.X)
        assert_array_equal(block.y, other.y)


@pytest.mark.parametrize(
    "columns",
    [
        {"kinds": ("number",), "places": (1,), "n_features": 1},
        {"kinds": ("number", "number"), "places": (0, 0), "n_features": 1},
        {"kinds": ("number",), "places": (0,), "n_features": 2},
        {"kinds": ("text",), "places": (0,), "n_features": 1},
        {"kinds": (), "places": (), "n_features": 0},
    ],
)
def test_places_that_do_not_fit(columns):
    for parse in (delimited.parse, delimited_reference.parse):
        with pytest.raises(ValueError, match="do not fill"):
            parse(b"1\n", ",", **columns)


def test_bytes_like_objects():
    for data in (bytearray(b"1\n"), memoryview(b"1\n"), np.frombuffer(b"1", np.uint8), b""):
        X, others = delimited.parse(data, ",", ["number"], [0], 1)
        assert (X.shape, others.shape) == ((len(data) > 0, 1), (0, len(data) > 0))
