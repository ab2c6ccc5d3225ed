"""The compiled libsvm parser against its plain twin, and both against malformed text."""

import locale

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dpmpi.kernels import libsvm, libsvm_reference
from dpmpi.kernels.libsvm_reference import LibsvmError

finite = st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(st.tuples(finite, st.dictionaries(st.integers(1, 2**31 - 1), finite, max_size=5)), max_size=8)


def assert_same(got, expected):
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(a, b)


def outcome(parse, data):
    try:
        return parse(data)
    except LibsvmError as error:
        return error


@given(rows, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.sampled_from([" ", "\t", "  "]))
def test_round_trip(rows, newline, last, blank):
    lines = [blank.join([repr(y), *(f"{j}:{x[j]!r}" for j in sorted(x))]) for y, x in rows]
    text = newline.join(lines) + newline * last
    y, indptr, indices, values = libsvm.parse(text.encode())
    assert_array_equal(y, [y for y, _ in rows])
    assert_array_equal(np.diff(indptr), [len(x) for _, x in rows])
    assert_array_equal(indices, [j - 1 for _, x in rows for j in sorted(x)])
    assert_array_equal(values, [x[j] for _, x in rows for j in sorted(x)])
    assert_same((y, indptr, indices, values), libsvm_reference.parse(text.encode()))


@given(st.text("0123456789+-.eE:# \t\r\nqidnaf", max_size=40).map(str.encode) | st.binary(max_size=30))
@example(b"1 qid:3 4:5")
@example(b"1 4:5 qid:3")
@example(b"1 1:1\r\r\n")
@example(b"\xef\xbb\xbf1 1:1")
@example(b"1 1:1 # 2:nonsense")
@example(b"1 00001:1 " + b"9" * 5000 + b":1")
def test_any_bytes_give_what_the_twin_gives(data):
    got, expected = (outcome(parse, data) for parse in (libsvm.parse, libsvm_reference.parse))
    if isinstance(expected, LibsvmError):
        assert got.args == expected.args
    else:
        assert_same(got, expected)


@given(st.from_regex(r"[+-]?([0-9]{1,25}\.?[0-9]{0,25}|\.[0-9]{1,25})([eE][+-]?[0-9]{1,3})?", fullmatch=True))
@example("9007199254740993")
@example("1" + "0" * 400 + "e-400")
@example("0." + "0" * 20000 + "1e20000")
@example("-0.0")
@example("18446744073709551615e-5")
@example("5e-324")
@example("2.4703282292062328e-324")
@example("0.1257302210933933")
@example("9007199254740993.0")  # halfway between two float64: to the even one
@example("9007199254740993.01")
@example("0.009007199254740993")
@example("1844674407370955161.5")
def test_numbers_are_correctly_rounded(text):
    if not np.isfinite(float(text)):
        with pytest.raises(LibsvmError, match="not finite"):
            libsvm.parse(f"1 1:{text}".encode())
        return
    (value,) = libsvm.parse(f"1 1:{text}".encode())[3]
    assert value == float(text)
    assert np.signbit(value) == np.signbit(float(text))


def test_many_long_numbers_are_correctly_rounded():
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 1e3, 1e9, 1e-300):
        x = rng.standard_normal(20_000) * scale
        assert_array_equal(libsvm.parse("".join(f"1 1:{v!r}\n" for v in x.tolist()).encode())[3], x)
        short = [f"{v:.17e}" for v in x.tolist()]
        assert_array_equal(libsvm.parse("".join(f"1 1:{t}\n" for t in short).encode())[3], np.array(short, float))
    digits = rng.integers(2**53, 2**63, 20_000)
    for point in range(1, 19):
        texts = [f"{n:019d}"[:-point] + "." + f"{n:019d}"[-point:] for n in digits.tolist()]
        got = libsvm.parse("".join(f"1 1:{t}\n" for t in texts).encode())[3]
        assert_array_equal(got, np.array([float(t) for t in texts]))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("cat 1:2", "label 'cat' is not a number"),
        ("1,2 1:2", "label '1,2' is not a number"),
        ("nan 1:2", "label 'nan' is not finite"),
        ("1 2", "'2' has no colon"),
        ("1 2:", "the value in '2:' is not a number"),
        ("1 2:x", "the value in '2:x' is not a number"),
        ("1 2:0x10", "not a number"),
        ("1 2:1_0", "not a number"),
        ("1 2:inf", "the value in '2:inf' is not finite"),
        ("1 2:1e999", "not finite"),
        ("1 x:2", "the column in 'x:2' is not a whole number"),
        ("1 1.5:2", "not a whole number"),
        ("1 0:2", "libsvm columns count from 1"),
        ("1 -3:2", "libsvm columns count from 1"),
        ("1 2147483648:2", "above 2147483647"),
        ("1 3:1 3:2", "column 3 is given twice"),
        ("1 3:1 2:2", "columns must increase, but '2:2' follows column 3"),
        ("1 qid:x 1:1", "qid must be a whole number"),
        ("1 1:1 qid:1", "directly behind the label"),
        ("1 " + "x" * 100, "…"),
    ],
)
def test_refused(line, reason):
    text = f"# a comment\n\n1 1:1\n{line}\n1 1:1\n".encode()
    for parse in (libsvm.parse, libsvm_reference.parse):
        with pytest.raises(LibsvmError) as caught:
            parse(text)
        assert reason in str(caught.value)
        assert (caught.value.line, caught.value.row) == (3, 1)


def test_accepted():
    text = b"+1 qid:7 1:+.5 3:-2e-3 # good\r\n\r\n -1\t2:7. \n# no row\n2"
    y, indptr, indices, values = libsvm.parse(text)
    assert_array_equal(y, [1, -1, 2])
    assert_array_equal(indptr, [0, 2, 3, 3])
    assert_array_equal(indices, [0, 2, 1])
    assert_array_equal(values, [0.5, -0.002, 7])


def test_bytes_like_objects():
    for data in (bytearray(b"1 1:2\n"), memoryview(b"1 1:2\n"), np.frombuffer(b"1 1:2\n", np.uint8)):
        assert libsvm.parse(data)[3] == [2]
    assert [len(a) for a in libsvm.parse(b"")] == [0, 1, 0, 0]


def test_a_locale_with_decimal_commas_changes_nothing():
    before = locale.setlocale(locale.LC_NUMERIC)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8"):
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
        except locale.Error:
            continue
        try:
            assert libsvm.parse(b"1 1:0.12345678901234567890")[3] == [0.12345678901234567890]
        finally:
            locale.setlocale(locale.LC_NUMERIC, before)
        return
    pytest.skip("needs a locale with decimal commas (de_DE.UTF-8 or fr_FR.UTF-8)")


def test_real_data(shared_data):
    data = shared_data("a9a").read_bytes()
    got = libsvm.parse(data)
    assert_same(got, libsvm_reference.parse(data))
    assert len(got[0]) == 32561
    assert got[2].max() == 122
