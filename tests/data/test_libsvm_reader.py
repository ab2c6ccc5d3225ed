"""libsvm files: the same CSR rows from any number of ranks, and bad rows by their place in the whole file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from dpmpi.data import DataError, read


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.dictionaries(st.integers(1, 9), st.integers(1, 9))), min_size=1, max_size=9
    ),
    st.sampled_from(["\n", "\r\n", "\n\n", " # note\n"]),
    st.booleans(),
    st.integers(1, 6),
)
def test_ranks_together_read_what_one_reads(on_ranks, tmp_path_factory, rows, newline, last, size):
    lines = [" ".join([str(y), *(f"{j}:{x[j]}" for j in sorted(x))]) for y, x in rows]
    path = tmp_path_factory.mktemp("libsvm") / "t.svm"
    path.write_bytes((newline.join(lines) + newline * last).encode())
    tables = on_ranks(size, lambda ranks: read(path, ranks))
    expected = np.zeros((len(rows), max((j for _, x in rows for j in x), default=0)))
    for i, (_, x) in enumerate(rows):
        for j, value in x.items():
            expected[i, j - 1] = value
    assert_array_equal(sparse.vstack([table.X for table in tables]).toarray(), expected)
    assert_array_equal(np.concatenate([table.y for table in tables]), [y for y, _ in rows])
    counts = [len(table.y) for table in tables]
    assert [table.start for table in tables] == [sum(counts[:rank]) for rank in range(size)]
    assert {table.n_rows for table in tables} == {len(rows)}
    assert {table.X.indices.dtype for table in tables} == {np.dtype(np.int32)}


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(
    ("row", "arguments", "reason"),
    [
        ("x 1:2", {}, "label 'x' is not a number"),
        ("1 1:nan", {}, "not finite"),
        ("1 0:3", {}, "libsvm columns count from 1"),
        ("1 1:2 8:1", {"n_columns": 7}, "column 8, but there are only 7 columns"),
    ],
)
def test_a_bad_row_is_named(on_ranks, tmp_path, size, row, arguments, reason):
    path = tmp_path / "t.svm"
    lines = ["1 1:1 7:1"] * 40
    lines[30] = row
    path.write_text("# head\n\n" + "\n".join(lines))
    errors = on_ranks(size, lambda ranks: read(path, ranks, **arguments))
    assert len({str(error) for error in errors}) == 1
    assert type(errors[0]) is DataError
    assert f"{path}: row 31 (line 33): " in str(errors[0])
    assert reason in str(errors[0])


def test_n_columns_widens(tmp_path):
    path = tmp_path / "t.svm"
    path.write_text("1 2:1\n-1\n")
    assert read(path).X.shape == (2, 2)
    assert read(path, n_columns=5).X.shape == (2, 5)


def test_refused(tmp_path):
    path = tmp_path / "t.svm"
    path.write_text("# nothing\n\n")
    with pytest.raises(DataError, match="no rows"):
        read(path)
    path.write_text("1 1:1\n")
    assert read(path, target="label").target == read(path, target="y", target_required=False).target == "label"
    for arguments in ({"target": 0}, {"columns": [1]}, {"weight": 1}):
        with pytest.raises(DataError, match="the label is the target"):
            read(path, **arguments)


def test_real_data_without_a_suffix(on_ranks, shared_data):
    path = shared_data("a9a")
    one = read(path)
    assert one.X.shape == (32561, 123)
    assert set(one.y) == {-1, 1}
    three = on_ranks(3, lambda ranks: read(path, ranks))
    assert (sparse.vstack([table.X for table in three]) != one.X).nnz == 0
    assert read(shared_data("a9a.t"), n_columns=123).X.shape == (16281, 123)
