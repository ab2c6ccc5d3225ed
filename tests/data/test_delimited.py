"""CSV and TSV: the same table from any number of ranks, and the exact place of everything that is wrong."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import dpmpi.data
from dpmpi.data import DataError, read

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9)


def joined(tables, name):
    return np.concatenate([getattr(table, name) for table in tables])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(numbers, numbers, st.booleans(), st.floats(0, 10)), min_size=1, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 6),
)
def test_ranks_together_read_what_one_reads(on_ranks, tmp_path_factory, rows, newline, last, blank, size):
    lines = ["a,b,flag,w", *(f"{a!r},{b!r},{str(flag).lower()},{w!r}" for a, b, flag, w in rows)]
    text = newline.join(lines) + newline * last
    if blank:
        text = newline + text.replace(newline, newline * 2)
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(text.encode())
    tables = on_ranks(size, lambda ranks: read(path, ranks, target="b", weight="w"))
    assert_array_equal(joined(tables, "X"), np.array([(a, flag) for a, _, flag, _ in rows], float))
    assert_array_equal(joined(tables, "y"), np.array([b for _, b, _, _ in rows], float))
    assert_array_equal(joined(tables, "sample_weight"), np.array([w for *_, w in rows], float))
    counts = [len(table.y) for table in tables]
    assert [table.start for table in tables] == [sum(counts[:rank]) for rank in range(size)]
    assert {table.n_rows for table in tables} == {len(rows)}
    assert all(table.X.dtype == np.float64 and table.X.flags.c_contiguous for table in tables)
    assert tables[0].columns == ("a", "flag")
    assert tables[0].target == "b"


def test_columns_in_the_order_asked_for(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("a\tb\tc\n1\t2\t3\n4\t5\t6\n")
    table = read(path, columns=["c", 0], target="-2")
    assert_array_equal(table.X, [[3, 1], [6, 4]])
    assert_array_equal(table.y, [2, 5])
    assert table.columns == ("c", "a")
    assert table.X.flags.c_contiguous


def test_a_target_that_is_not_required(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    wanted = {"columns": ["b"], "target_required": False}
    table = read(path, target="y", **wanted)
    assert (table.X.tolist(), table.y, table.target) == ([[2]], None, None)
    assert read(path, target="a", **wanted).y == [1]


def test_text_in_a_column_that_is_not_asked_for_is_no_error(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('name,x,y\n"Müller, A.",1,2\nx"",3,4\n"say ""hi""",5,6\n'.encode("latin-1"))
    assert_array_equal(read(path, columns=["x"], target="y").X, [[1], [3], [5]])


def test_a_byte_order_mark_and_quoted_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeff"mean area","y, or n"\n"1",TRUE\n2,False\n'.encode())
    table = read(path, target="y, or n")
    assert table.columns == ("mean area",)
    assert_array_equal(table.y, [1, 0])


def test_lines_longer_than_the_parsers_blocks(tmp_path):
    path = tmp_path / "t.csv"
    n = 80_000
    path.write_text("\n".join([",".join(f"c{j}" for j in range(n)), *[",".join(["0.12345678901234567"] * n)] * 2]))
    assert read(path).X.shape == (2, n)


def table_with(row, n=40, header="age,income,y"):
    """Forty good rows and one that is not, the 31st, on line 33: line 3 is blank."""
    lines = [header, *(f"{k},{k}.5,{k % 2}" for k in range(n))]
    lines[31] = row
    lines.insert(2, "")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("1,2", ["2 cells where the header names 3"]),
        ("1,2,3,4", ["4 cells where the header names 3"]),
        ("1,cat,0", ["column 'income' is 'cat', not a number", "leave the column out"]),
        ("1,1_000,0", ["column 'income' is '1_000', not a number"]),
        ("1,2024-05-01,0", ["column 'income' is '2024-05-01', not a number"]),
        ("1,true,0", ["column 'income' is 'true', not a number"]),
        ("1,,0", ["column 'income' is empty"]),
        ("nan,1,0", ["column 'age' is 'nan'", "must be finite"]),
        ("1,2,NA", ["column 'y' is 'NA'", "must be finite"]),
        ("1,-inf,0", ["column 'income' is '-inf'", "must be finite"]),
        ("1,1e999,0", ["column 'income' is '1e999'"]),
        ('1,"2\n3",0', ["a quoted cell does not end on its line"]),
        ("1,2\x00,0", ["NUL byte", "binary"]),
        ("1,2\r3,0", ["lone carriage return"]),
        ("1,2é,0", ["column 'income' is '2é', not a number"]),
        ("1," + "x" * 100 + ",0", ["column 'income' is '" + "x" * 40 + "…'"]),
    ],
)
def test_a_bad_row_is_named(on_ranks, tmp_path, size, row, parts):
    path = tmp_path / "t.csv"
    path.write_text(table_with(row), newline="")
    errors = on_ranks(size, lambda ranks: read(path, ranks, target="y"))
    assert all(type(error) is DataError for error in errors)
    assert len({str(error) for error in errors}) == 1
    for part in [f"{path}: row 31 (line 33): ", *parts]:
        assert part in str(errors[0])


def test_a_cell_that_is_not_utf8(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"x,y\n1,2\n3\xff,4\n")
    with pytest.raises(DataError, match=r"row 2 \(line 3\): column 'x' is '3\\\\xff', not a number"):
        read(path)


def test_a_text_that_is_not_utf8(on_ranks, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"x,s\n1,\xc3\xa9\n3,\xe9t\xe9\n4,u\n")

    def call(ranks):
        dataset = dpmpi.data.open(path, ranks, text=["s"])
        with ranks.together():
            list(dataset.blocks())

    for error in on_ranks(3, call):
        assert "row 2 (line 3): column 's' is '\\\\xe9t\\\\xe9', not UTF-8; save the file as UTF-8" in str(error)


def test_the_first_of_several_bad_rows_is_named(on_ranks, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "1,2\n" * 10 + "bad,1\n" + "1,2\n" * 10 + "worse\n" + "1,2\n" * 10)
    for size in (1, 3, 5):
        for error in on_ranks(size, lambda ranks: read(path, ranks)):
            assert "row 11 (line 12): column 'x' is 'bad'" in str(error)


def test_the_first_rows_decide_what_is_boolean(on_ranks, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "true,1\n" * 10 + "yes,1\n")
    for size in (1, 4):
        for error in on_ranks(size, lambda ranks: read(path, ranks)):
            assert "row 11 (line 12): column 'x' is 'yes', where the first rows have true or false" in str(error)


def test_a_negative_weight(on_ranks, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,w\n1,1\n2,0\n3,-1\n")
    for error in on_ranks(2, lambda ranks: read(path, ranks, weight="w")):
        assert "row 3 (line 4): column 'w' is -1, but a weight must not be negative" in str(error)


@pytest.mark.parametrize(
    ("text", "arguments", "parts"),
    [
        (b"", {}, ["the file is empty"]),
        (b"\n\r\n", {}, ["no rows"]),
        (b"a,b\n", {}, ["no rows: there is only a header"]),
        (b"a,b\n\n\n", {}, ["no rows: there is only a header"]),
        (b"a,b,a\n1,2,3\n", {}, ["the header (line 1) names 'a' more than once"]),
        (b"\n1,2.5\n3,4\n", {}, ["the header (line 2) holds only numbers", "columns' names first"]),
        (b"a,\xff\n1,2\n", {}, ["the header (line 1) is not UTF-8"]),
        (b"\x00\x01\x02", {}, ["binary data"]),
        (b"a,b\r1,2\r3,4\r", {}, ["lone carriage return"]),
        (b'a,"b\nc"\n1,2\n', {}, ["quoted name that does not end on its line"]),
        (b"age,income\n1,2\n", {"target": "incme"}, ["no column 'incme'; did you mean 'income'?", "'age', 'income'"]),
        (b"age,income\n1,2\n", {"target": 2}, ["no column number 2", "0 to 1"]),
        (b"age,income\n1,2\n", {"columns": ["age"], "target": "age"}, ["'age' is asked for twice"]),
        (b"age,income\n1,2\n", {"columns": []}, ["no column is left for X"]),
        (b"age\n1\n", {"target": "age"}, ["no column is left for X"]),
        (b"age,income\n1,2\n", {"n_columns": 3}, ["2 columns for X, but 3 are needed"]),
    ],
)
def test_a_bad_file_or_argument_is_named(on_ranks, tmp_path, text, arguments, parts):
    path = tmp_path / "t.csv"
    path.write_bytes(text)
    for size in (1, 3):
        errors = on_ranks(size, lambda ranks: read(path, ranks, **arguments))
        for error in errors:
            assert type(error) is DataError
            for part in [str(path), *parts]:
                assert part in str(error)


def test_unnamed_pandas_columns_are_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("0,1,2\n1.5,2.5,3.5\n")
    assert_array_equal(read(path, target="2").X, [[1.5, 2.5]])


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=60) | st.text('ab,"\n\r.1e-', max_size=40).map(str.encode))
def test_any_bytes_give_a_table_or_a_data_error(on_ranks, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "t.csv"
    path.write_bytes(b"a,b\n" + data)
    outcomes = on_ranks(3, lambda ranks: read(path, ranks))
    assert len({type(outcome) for outcome in outcomes}) == 1
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            assert type(outcome) is DataError
        else:
            assert np.isfinite(outcome.X).all()


def test_real_data(on_ranks, shared_data):
    path = shared_data("randhie.csv")
    expected = np.array(list(csv.reader(io.StringIO(path.read_text())))[1:], float)
    tables = on_ranks(3, lambda ranks: read(path, ranks, target="mdvis"))
    assert_array_equal(joined(tables, "X"), expected[:, 1:])
    assert_array_equal(joined(tables, "y"), expected[:, 0])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["", "true", "false"], [np.nan, 1, 0]),
        (["1", "true", "0"], [1, 1, 0]),
        (["NA", "0", "True"], [np.nan, 0, 1]),
    ],
)
def test_booleans_behind_a_first_cell_that_is_none(tmp_path, cells, expected):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{cell},{k}\n" for k, cell in enumerate(cells)))
    table = dpmpi.data.open(path, target="y", missing=True).load()
    assert_array_equal(table.X[:, 0], expected)


def test_true_among_numbers_is_an_error(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n7,0\ntrue,1\n")
    with pytest.raises(DataError, match=r"row 2 \(line 3\): column 'x' is 'true', not a number"):
        read(path, target="y")
