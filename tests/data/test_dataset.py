"""A Dataset gives the same rows from every format, from one file or many, in any blocks, on any number of ranks."""

import gzip
import itertools
import os
import sys

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from dpmpi import data
from dpmpi.data import DataError, opening

rng = np.random.default_rng(5)
N = 3000
X = rng.integers(-50, 50, (N, 3)) / 8.0
Y = rng.integers(0, 2, N).astype(float)
WHOLE = np.column_stack([X, Y])
KINDS = ["csv", "csv.gz", "tsv", "svm", "svm.gz", "npy", "npz", "parquet", "h5"]


def write(path, kind, X, y):
    if kind == "parquet":
        table = pa.table(dict(zip("abc", X.T, strict=True)) | {"y": y})
        pq.write_table(table, path, row_group_size=370)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["X"], file["y"] = X, y
    elif kind == "npy":
        np.save(path, np.column_stack([X, y]))
    elif kind == "npz":
        np.savez(path, X=X, y=y)
    else:
        if kind.startswith("svm"):
            text = "".join(f"{t:g} 1:{a!r} 2:{b!r} 3:{c!r}\n" for (a, b, c), t in zip(X.tolist(), y, strict=True))
        else:
            comma = "\t" if kind == "tsv" else ","
            rows = [[*row, int(t)] for row, t in zip(X.tolist(), y, strict=True)]
            text = comma.join("abcy") + "\n" + "".join(comma.join(map(str, row)) + "\n" for row in rows)
        (gzip.open if kind.endswith(".gz") else open)(path, "wb").write(text.encode())


def write_many(folder, kind, bounds):
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        write(folder / f"part-{number:02}.{kind}", kind, X[start:stop], Y[start:stop])


def target_of(kind):
    return {"npy": -1}.get(kind) if kind in ("npy", "npz", "h5", "svm", "svm.gz") else "y"


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def rows_of(blocks):
    blocks = list(blocks)
    return np.concatenate([np.column_stack([dense(block.X), block.y]) for block in blocks]) if blocks else None


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("many", [False, True])
def test_every_format_in_small_blocks(on_ranks, tmp_path, kind, size, many):
    bounds = [0, 1, 1100, 1101, 2800, N] if many else [0, N]
    write_many(tmp_path, kind, bounds)
    path = tmp_path if many else tmp_path / f"part-00.{kind}"

    def call(ranks):
        dataset = data.open(path, ranks, target=target_of(kind), max_memory=100_000)
        return dataset, list(dataset.blocks()), dataset.load()

    found = on_ranks(size, call)
    assert not any(isinstance(outcome, Exception) for outcome in found), found
    assert_array_equal(np.concatenate([rows_of(blocks) for _, blocks, _ in found]), WHOLE)
    assert_array_equal(np.concatenate([np.column_stack([dense(t.X), t.y]) for *_, t in found]), WHOLE)
    row = 0
    for dataset, blocks, table in found:
        assert (dataset.start, dataset.n_rows, dataset.n_columns) == (row, N, 3)
        assert dataset.n_local == len(table.y) == sum(len(block.y) for block in blocks)
        assert len(blocks) > 1
        assert {block.X.dtype for block in blocks} == {dataset.empty().X.dtype}
        row += dataset.n_local


def test_a_pattern(tmp_path):
    write_many(tmp_path, "csv", [0, 100, N])
    (tmp_path / "notes.txt").write_text("not data")
    (tmp_path / "_SUCCESS").write_text("")
    assert data.open(tmp_path / "part-*.csv", target="y").n_rows == N
    assert data.open(tmp_path / "*[SUCv]", target="y").n_rows == N
    with pytest.raises(DataError, match="_SUCCESS: the file is empty"):
        data.open(tmp_path / "_*")
    with pytest.raises(DataError, match="no file matches"):
        data.open(tmp_path / "part-*.tsv")
    with pytest.raises(DataError, match=r"notes.txt: cannot tell the format"):
        data.open(tmp_path)
    write(tmp_path / "part-02.npy", "npy", X, Y)
    with pytest.raises(DataError, match=r"several formats \(csv, npy\)"):
        data.open(tmp_path / "part-*")


def test_more_ranks_than_rows(on_ranks, tmp_path):
    for kind in KINDS:
        write(tmp_path / f"t.{kind}", kind, X[:2], Y[:2])
        path = tmp_path / f"t.{kind}"
        found = on_ranks(6, lambda ranks, p=path, k=kind: data.open(p, ranks, target=target_of(k)))
        assert sum(dataset.n_local for dataset in found) == 2
        assert all(dataset.load is not None for dataset in found)


def test_float32_stays_float32(tmp_path):
    table = pa.table({"a": pa.array([1, 2], pa.float32()), "b": pa.array([1, 2], pa.int8())})
    pq.write_table(table, tmp_path / "t.parquet")
    assert data.read(tmp_path / "t.parquet", columns=["a"]).X.dtype == np.float32
    assert data.read(tmp_path / "t.parquet", columns=["a"], weight="b").sample_weight.dtype == np.float64
    assert data.read(tmp_path / "t.parquet").X.dtype == np.float64


@pytest.mark.parametrize("size", [1, 3])
def test_a_bad_row_in_the_last_of_many_files(on_ranks, tmp_path, size):
    write_many(tmp_path, "csv", [0, 1000, 2000, N])
    last = tmp_path / "part-02.csv"
    lines = last.read_text().split("\n")
    lines[700] = "1,2,x,0"
    last.write_text("\n".join(lines))
    message = "part-02.csv: row 700 (line 701): column 'c' is 'x', not a number"

    def stream(ranks):
        dataset = data.open(tmp_path, ranks, target="y", max_memory=100_000)
        with ranks.together():
            for _ in dataset.blocks():
                pass

    for error in on_ranks(size, stream) + on_ranks(size, lambda ranks: data.read(tmp_path, ranks, target="y")):
        assert type(error) is DataError
        assert message in str(error)


@pytest.mark.parametrize("kind", ["csv.gz", "svm.gz", "parquet", "h5"])
def test_a_damaged_file_is_a_data_error(on_ranks, tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    write(path, kind, X, Y)
    whole = path.read_bytes()
    for position in np.linspace(20, len(whole) - 20, 12).astype(int):
        for content in (whole[:position], whole[:position] + b"\xff\x00\xfe\x01" + whole[position + 4 :]):
            path.write_bytes(content)
            for outcome in on_ranks(2, lambda ranks: data.read(path, ranks, target=target_of(kind))):
                # HDF5 and uncompressed Parquet pages without a checksum may be readable with other numbers.
                assert isinstance(outcome, data.Table | DataError), repr(outcome)
                assert not kind.endswith(".gz") or isinstance(outcome, DataError) or rows_of([outcome]).shape == (N, 4)


def test_a_file_that_changes_is_noticed(tmp_path):
    for kind in KINDS:
        path = tmp_path / f"t.{kind}"
        write(path, kind, X, Y)
        dataset = data.open(path, target=target_of(kind), max_memory=100_000)
        write(path, kind, X[1:], Y[1:])
        with pytest.raises(DataError, match=r"has changed since"):
            list(dataset.blocks())


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    write(path, kind, X, Y)
    dataset = data.open(path, target=target_of(kind), max_memory=1000)
    assert dataset.n_blocks > 4
    blocks = dataset.blocks()
    next(blocks)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match=r"has changed since"):
        list(blocks)


def test_a_large_row_group_is_not_held(tmp_path):
    column = np.random.default_rng(0).normal(size=1_500_000)
    pq.write_table(pa.table({"a": column, "b": column}), tmp_path / "t.parquet", len(column), use_dictionary=False)
    dataset = data.open(tmp_path / "t.parquet", max_memory="1MiB")
    before = pa.total_allocated_bytes()
    peak = max(pa.total_allocated_bytes() for _ in dataset.blocks()) - before
    assert peak < column.nbytes


def test_parquet_columns_that_are_no_numbers(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1.5, 2.5], "s": ["x", "y"], "n": [1, None]}), path)
    with pytest.raises(DataError, match="column 's' holds string, not numbers"):
        data.read(path)
    with pytest.raises(DataError, match=r"row 2: column 'n' is empty"):
        data.read(path, columns=["a", "n"])
    assert_array_equal(data.read(path, columns=["a"]).X, [[1.5], [2.5]])


def test_headers_must_agree(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    for header, reason in [("b,a", "stand in another order"), ("a", "lacks 'b'"), ("a,b,c", "has 'c'")]:
        (tmp_path / "2.csv").write_text(f"{header}\n" + ",".join("1" for _ in header.split(",")) + "\n")
        with pytest.raises(DataError, match=reason):
            data.open(tmp_path)


def test_the_rest_of_the_blocks_may_stay_unread(tmp_path):
    write(tmp_path / "t.csv", "csv", X, Y)
    dataset = data.open(tmp_path / "t.csv", target="y", max_memory=100_000)
    for _ in range(20):
        blocks = dataset.blocks()
        next(blocks)
        blocks.close()


def test_ranks_with_unlike_memory_decide_alike(on_ranks, tmp_path, monkeypatch):
    write(tmp_path / "t.npy", "npy", X, Y)

    def fits(ranks, **options):
        dataset = data.open(tmp_path / "t.npy", ranks, **options)
        return dataset.fits, dataset.map(lambda block: block, columns=("a",) * 4).fits

    monkeypatch.setattr(opening, "default_limit", lambda ranks: 10**9 if ranks.rank else 1000)
    assert on_ranks(3, fits) == [(False, False)] * 3
    assert on_ranks(3, lambda ranks: fits(ranks, max_memory=1000 if ranks.rank == 1 else "1GB")) == [(False, False)] * 3
    errors = on_ranks(3, lambda ranks: fits(ranks, max_memory="much" if ranks.rank == 1 else "1GB"))
    assert all(type(error) is ValueError and "'much' is no amount of memory" in str(error) for error in errors)


def test_fits(tmp_path):
    write(tmp_path / "t.npy", "npy", X, Y)
    assert data.open(tmp_path / "t.npy", max_memory="1MB").fits
    assert not data.open(tmp_path / "t.npy", max_memory="100kB").fits


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_memory_of_text_is_counted(tmp_path, suffix):
    n, length = 2000, 500
    texts = [f"{k} " + "x" * (length - len(f"{k} ")) for k in range(n)]
    if suffix == "csv":
        (tmp_path / "t.csv").write_text("a,s\n" + "".join(f"{k},{text}\n" for k, text in enumerate(texts)))
    else:
        pq.write_table(pa.table({"a": range(n), "s": texts}), tmp_path / "t.parquet")
    dataset = data.open(tmp_path / f"t.{suffix}", text=["s"], max_memory="2MB")
    texts = [text for block in dataset.blocks() for text in block.text["s"][1]]
    held = sum(map(sys.getsizeof, texts)) + n * (4 + 8)
    assert held <= n * dataset.row_bytes <= 1.5 * held
    assert not dataset.fits
    assert data.open(tmp_path / f"t.{suffix}", columns=["a"], max_memory="2MB").fits


def test_sizes(tmp_path):
    assert [data.parse_size(text) for text in (5, "7", "256MiB", "1.5 GB", "2k", "1Ti")] == [
        5, 7, 256 << 20, 1_500_000_000, 2000, 1 << 40,
    ]  # fmt: skip
    for text in ("", "MiB", "-1", "0", "1 parsec", 0.1):
        with pytest.raises(ValueError, match="no amount of memory"):
            data.parse_size(text)


def test_the_limit_of_a_container_counts(tmp_path):
    from dpmpi.data.memory import _available

    def put(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert _available(tmp_path) == 1 << 30
    put("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    assert _available(tmp_path) == 8000 * 1024
    put("proc/self/cgroup", "0::/job/step\n")
    put("sys/fs/cgroup/job/step/memory.max", "max\n")
    put("sys/fs/cgroup/job/memory.max", "1000000\n")
    put("sys/fs/cgroup/job/memory.current", "700000\n")
    put("sys/fs/cgroup/job/memory.stat", "anon 5\ninactive_file 100000\n")
    assert _available(tmp_path) == 400_000
