"""Rows shared out anew: the same rows, numbers and batches, with even work on every rank."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from dpmpi import data
from dpmpi.data import BadRow, DataError
from dpmpi.partition import block

N = 900
MANY = 40  # entries of the first tenth of the rows


def write(folder):
    """Text that is shared out by bytes: the first tenth of the rows takes most of them."""
    rng = np.random.default_rng(3)
    X = np.zeros((N, 60))
    for k in range(N):
        chosen = rng.choice(59, MANY if k < N // 10 else k % 3, replace=False)
        X[k, chosen] = rng.normal(size=len(chosen)).round(3)
    X[:, 59] = X[:, 0] != 0
    y = rng.integers(0, 2, N)
    lines = [f"{y[k]} " + " ".join(f"{j + 1}:{X[k, j]}" for j in np.flatnonzero(X[k])) for k in range(N)]
    (folder / "t.svm").write_text("\n".join(lines) + "\n")
    digits = [[f"{v:.{15 if k < N // 10 else 1}f}" for v in X[k, :3]] for k in range(N)]
    (folder / "t.csv").write_text("a,b,c,y,w\n" + "".join(f"{','.join(d)},{y[k]},{k}\n" for k, d in enumerate(digits)))


def open_one(folder, name, ranks, **how):
    how = {"target": "y", "weight": "w"} | how if name == "t.csv" else how
    return data.open(folder / name, ranks, **how)


def dense(block):
    X = block.X.toarray() if hasattr(block.X, "toarray") else block.X
    return np.column_stack([part for part in (X, block.y, block.sample_weight) if part is not None])


def batches(dataset, **how):
    return [dense(batch) for batch in dataset.batches(70, seed=4, **how)]


def check_rows(after, plain, shuffled):
    """`after`: of each rank (rows, start, batches)."""
    assert_array_equal(np.concatenate([rows for rows, *_ in after]), plain)
    counts = [len(rows) for rows, *_ in after]
    assert [start for _, start, _ in after] == [sum(counts[:rank]) for rank in range(len(counts))]
    for number, batch in enumerate(shuffled):
        assert_array_equal(np.concatenate([found[number] for *_, found in after]), batch)
    return counts


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("by", ["rows", "nonzeros"])
@pytest.mark.parametrize("name", ["t.csv", "t.svm"])
@pytest.mark.parametrize("window", [None, 1024])
def test_the_same_rows_evenly(on_ranks, tmp_path, size, by, name, window):
    write(tmp_path)

    def call(ranks):
        before = open_one(tmp_path, name, ranks)
        after = before.balanced(by)
        assert (after.columns, after.target, after.n_columns, after.n_rows) == (
            (before.columns, before.target, before.n_columns, N)
        )
        rows = dense(after.load())
        assert_array_equal(np.concatenate([np.empty((0, rows.shape[1])), *map(dense, after.blocks())]), rows)
        return rows, after.start, batches(after, window=window), before.n_local

    told = on_ranks(size, call)
    alone = open_one(tmp_path, name, None)
    plain = dense(alone.load())
    counts = check_rows([found[:3] for found in told], plain, batches(alone, window=window))
    if by == "rows" or name == "t.csv":
        assert counts == [stop - start for start, stop in (block(N, size, rank) for rank in range(size))]
        if size > 1:
            assert counts != [found[3] for found in told]
    else:
        entries = [np.count_nonzero(found[0][:, :60]) for found in told]
        assert max(entries) - sum(entries) / size <= MANY + 1
        assert sum(entries) / size - min(entries) <= MANY + 1


@pytest.mark.parametrize("by", ["rows", "nonzeros"])
def test_more_ranks_than_rows_and_one_heavy_row(on_ranks, tmp_path, by):
    X = sparse.csr_array(np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 2, 3]], np.float32))
    sparse.save_npz(tmp_path / "t.npz", X)
    tables = on_ranks(6, lambda ranks: data.open(tmp_path / "t.npz", ranks).balanced(by).load())
    assert_array_equal(np.concatenate([table.X.toarray() for table in tables]), X.toarray())
    assert {table.X.dtype.name for table in tables} == {"float32"}
    assert [table.X.shape[0] for table in tables] == ([1, 1, 1, 1, 0, 0] if by == "rows" else [2, 1, 0, 1, 0, 0])
    sparse.save_npz(tmp_path / "t.npz", sparse.csr_array(X.shape))
    tables = on_ranks(6, lambda ranks: data.open(tmp_path / "t.npz", ranks).balanced(by).load())
    assert [table.X.shape[0] for table in tables] == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("size", [1, 3])
def test_selected_and_mapped_rows(on_ranks, tmp_path, size):
    write(tmp_path)

    def call(ranks):
        dataset = open_one(tmp_path, "t.csv", ranks)
        chosen = (dataset.start + np.arange(dataset.n_local)) % 7 == 0
        mapped = dataset.select(chosen).map(lambda b: b._replace(X=b.X[:, :2] + 1), columns=("p", "q"))
        after = mapped.balanced()
        assert after.columns == ("p", "q")
        return dense(after.load()), after.n_rows, dense(mapped.load())

    told = on_ranks(size, call)
    assert_array_equal(np.concatenate([rows for rows, *_ in told]), np.concatenate([rows for *_, rows in told]))
    assert {n_rows for _, n_rows, _ in told} == {-(-N // 7)}
    assert max(len(rows) for rows, *_ in told) - min(len(rows) for rows, *_ in told) <= 1


@pytest.mark.parametrize("by", ["rows", "nonzeros"])
def test_a_function_that_finds_a_bad_row_tells_its_number(on_ranks, tmp_path, by):
    write(tmp_path)

    def bad(block):
        found = np.flatnonzero(block.sample_weight == 611) if block.y is not None else []
        if len(found):
            raise BadRow.at(int(found[0]), "it is the one")
        return block

    errors = on_ranks(3, lambda ranks: open_one(tmp_path, "t.csv", ranks).balanced(by).map(bad).load())
    assert {str(error) for error in errors} == {f"{tmp_path / 't.csv'}: row 612: it is the one"}


@pytest.mark.parametrize(
    ("by", "how", "kind", "part"),
    [
        ("cells", {}, ValueError, "balanced(by='cells'): rows are balanced by 'rows' or by 'nonzeros'"),
        ("mixed", {}, ValueError, "every rank has to give the same by; the ranks gave nonzeros, rows, rows"),
        ("rows", {"max_memory": 9000}, DataError, "to balance them in memory; use more ranks or memory"),
        ("rows", {"text": ["b"]}, ValueError, "was opened with columns of text; map a pipeline"),
        ("rows", {"target": "a"}, DataError, "row 800 (line 801): column 'c' is 'x', not a number"),
    ],
)
def test_errors_are_every_ranks(on_ranks, tmp_path, by, how, kind, part):
    rows = "".join(f"{k},{k},{'x' if k == 799 and 'target' in how else k},1,1\n" for k in range(1000))
    (tmp_path / "t.csv").write_text("a,b,c,y,w\n" + rows)

    def call(ranks):
        own = by if by != "mixed" else ("rows" if ranks.rank else "nonzeros")
        return open_one(tmp_path, "t.csv", ranks, **how).balanced(own)

    for error in on_ranks(3, call):
        assert type(error) is kind
        assert part in str(error)
