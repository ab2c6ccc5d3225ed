"""Parquet's kinds of columns, and pages that are damaged."""

from contextlib import suppress
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from dpmpi import data
from dpmpi.data import DataError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.parquet"


@pytest.mark.parametrize("kind", [pa.decimal128(18, 2), pa.decimal128(38, 10), pa.decimal256(60, 5)])
def test_decimals_are_the_nearest_numbers(path, kind):
    rng = np.random.default_rng(0)
    cells = [Decimal(int(k)).scaleb(-kind.scale) for k in rng.integers(-(10**15), 10**15, 500)]
    pq.write_table(pa.table({"a": pa.array([None, *cells], kind), "y": pa.array([Decimal("0.1")] * 501, kind)}), path)
    dataset = data.open(path, target="y", missing=True)
    table = dataset.load()
    assert_array_equal(table.X[:, 0], [np.nan, *map(float, cells)])
    assert_array_equal(table.y, [0.1] * 501)


def test_a_damaged_page_that_has_a_checksum(path):
    column = np.random.default_rng(0).normal(size=3000)
    pq.write_table(pa.table({"a": column}), path, compression="none", use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[content.index(column[2000].tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet: damaged near row 1: .*CRC"):
        data.read(path)


def test_text_that_is_not_utf_8(path):
    offsets, characters = np.arange(4, dtype=np.int32), b"a\xe9b"
    cells = pa.Array.from_buffers(pa.string(), 3, [None, pa.py_buffer(offsets), pa.py_buffer(characters)])
    pq.write_table(pa.table({"s": cells, "a": [1.0, 2.0, 3.0]}), path)
    with pytest.raises(DataError, match=r"t\.parquet: damaged near row 1: .*utf-8"):
        list(data.open(path, text=["s"]).blocks())


def test_what_has_no_text(path):
    pq.write_table(pa.table({"l": [[1], [2]], "d": pa.array(["x", "y"]).dictionary_encode(), "a": [1.5, 2.5]}), path)
    with pytest.raises(DataError, match=r"column 'l' holds list<.*>, which has no text"):
        data.open(path, text=["l"], columns=["a"])
    (frame,) = data.open(path, text=["d", "a"], columns=[]).blocks()
    assert frame.text["d"][1] == ("x", "y")
    assert frame.text["a"][1] == ("1.5", "2.5")


def test_what_can_be_read(path):
    table = {
        "n": [1, 2], "s": ["x", "y"], "l": [[1], [2]], "m": pa.array([Decimal(1)] * 2, pa.decimal128(3, 1)),
        "b": [b"x", b"y"], "t": pa.array([0, 1], pa.timestamp("us")), "u": pa.array([0, 1], pa.timestamp("s")),
        "v": pa.array(["x", "y"], pa.large_string()),
        "w": pa.array(["x", "y"], getattr(pa, "string_view", pa.string)()),
    }  # fmt: skip
    pq.write_table(pa.table(table), path)
    found = data.find_kinds(path, dates=["u"])
    assert found.columns == ("n", "s", "m", "u", "v", "w")
    assert found.text == ("s", "v", "w")
    assert dict(found.unreadable) == {
        "l": "list<element: int64>", "b": "binary", "t": "timestamp[us]; name it in dates",
    }  # fmt: skip


def test_a_damaged_footer_is_a_data_error(path):
    pq.write_table(pa.table({"s": ["x", "y", None], "a": [1.0, 2.0, 3.0]}), path)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in range(footer, len(whole), 2):
        for mask in (1, 8):
            content = bytearray(whole)
            content[place] ^= mask
            path.write_bytes(content)
            with suppress(DataError):  # what was hit may not matter
                list(data.open(path, text=["s"], columns=["a"], missing=True).blocks())
