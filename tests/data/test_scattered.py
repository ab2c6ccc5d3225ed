"""Files that only rank 0 sees: the same rows as if every rank saw them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from dpmpi import data
from dpmpi.data import DataError

N = 700
X = np.arange(3.0 * N).reshape(N, 3)


def write(path):
    names = ["a", "b", "y"]
    if path.suffix == ".npy":
        np.save(path, X.astype(np.float32))
    elif path.suffix == ".parquet":
        pq.write_table(pa.table(dict(zip(names, X.T, strict=True))), path, row_group_size=99)
    elif path.suffix == ".svm":
        path.write_text("".join(f"{c} 1:{a} {2 + k % 2}:{b}\n" for k, (a, b, c) in enumerate(X.tolist())))
    else:
        path.write_text("a,b,y\n" + "".join(f"{a},{b},{c}\n" for a, b, c in X.tolist()))


def dense(block):
    return np.column_stack([block.X.toarray() if hasattr(block.X, "toarray") else block.X, block.y])


@pytest.mark.parametrize("name", ["t.npy", "t.parquet", "t.svm", "t.csv"])
@pytest.mark.parametrize("size", [1, 3])
def test_the_rows_come_to_their_owners(on_ranks, tmp_path, name, size):
    path = tmp_path / name
    write(path)
    wanted = {"t.npy": {"target": -1}, "t.svm": {}}.get(name, {"target": "y"})

    def call(ranks, **how):
        # Only rank 0 is told where the file is.
        here = path if ranks is None or ranks.rank == 0 else tmp_path / "elsewhere"
        dataset = data.open(here, ranks, max_memory="60kB", **wanted, **how)
        batches = [dense(batch) for batch in dataset.batches(50, seed=1, window=1024)]
        return dataset, np.concatenate([dense(block) for block in dataset.blocks()]), batches

    alone, rows, batches = call(None)
    told = on_ranks(size, lambda ranks: call(ranks, scatter=True))
    assert_array_equal(np.concatenate([found for _, found, _ in told]), rows)
    for number, batch in enumerate(batches):
        assert_array_equal(np.concatenate([found[number] for *_, found in told]), batch)
    counts = [dataset.n_local for dataset, *_ in told]
    assert max(counts) - min(counts) <= 1
    for rank, (dataset, *_) in enumerate(told):
        assert (dataset.columns, dataset.target, dataset.n_rows) == (alone.columns, alone.target, N)
        assert dataset.start == sum(counts[:rank])
        assert dataset.empty().X.dtype == alone.empty().X.dtype


def test_columns_of_text(on_ranks, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,t\n" + "".join(f"{k},{'xyz'[k % 3]}\n" for k in range(N)))

    def call(ranks):
        blocks = list(data.open(path, ranks, text=["t"], scatter=True).blocks())
        return [texts[code] for block in blocks for codes, texts in [block.text["t"]] for code in codes]

    assert [text for told in on_ranks(3, call) for text in told] == [*("xyz" * N)[:N]]


def test_more_ranks_than_rows(on_ranks, tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n1,2\n3,4\n")
    told = on_ranks(4, lambda ranks: data.open(tmp_path / "t.csv", ranks, target="y", scatter=True).load())
    assert_array_equal(np.concatenate([table.X for table in told]), [[1], [3]])


@pytest.mark.parametrize(
    ("text", "how", "part"),
    [
        ("a,y\n" + "1,2\n" * 3000 + "1,x\n", {}, "row 3001 (line 3002): column 'y' is 'x', not a number"),
        ("a,y\n" + "1,2\n" * 3000, {"max_memory": 9000}, "a rank's rows take 24 kB, but it may use 9 kB"),
        ("a,b\n1,2\n", {}, "no column 'y'"),
        ("a,y\n1,2\n", {"cache": "cache"}, "leave cache out with scatter"),
    ],
)
def test_errors_are_every_ranks(on_ranks, tmp_path, text, how, part):
    path = tmp_path / "t.csv"
    path.write_text(text)
    errors = on_ranks(3, lambda ranks: data.open(path, ranks, target="y", scatter=True, **how))
    for error in errors:
        assert isinstance(error, ValueError if "cache" in how else DataError)
        assert part in str(error)
