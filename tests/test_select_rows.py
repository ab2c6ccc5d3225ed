"""Rows held out and duplicates dropped: the same rows for any number of ranks, in memory and streamed."""

from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

import dpmpi
from dpmpi import data
from dpmpi.duplicates import drop_duplicates, fingerprints
from dpmpi.prepare import apply_pipeline, fit_pipeline
from dpmpi.preprocess import Impute, OneHot
from dpmpi.summaries import describe, group_by

pytestmark = pytest.mark.mpi

N = 2500
rng = np.random.default_rng(6)
TABLE = pd.DataFrame(
    {
        "a": np.where(rng.random(N) < 0.2, np.nan, rng.integers(0, 20, N)),
        "s": rng.choice(["x", "y", "Köln"], N),
        "y": rng.integers(0, 3, N).astype(float),
        "row": np.arange(N, dtype=float),
    }
)
UNIQUE = TABLE.drop_duplicates(["a", "s", "y"])


@pytest.fixture(params=["csv", "parquet", "npy"])
def dataset(request, comm, tmp_path):
    """Open the table, without the column row unless asked for, in blocks of a few rows."""
    path = comm.share(tmp_path)[0] / f"t.{request.param}"
    if comm.rank == 0:
        if request.param == "csv":
            TABLE.to_csv(path, index=False)
        elif request.param == "parquet":
            pq.write_table(pa.Table.from_pandas(TABLE), path, row_group_size=300)
        else:
            coded = TABLE.assign(s=TABLE["s"].map({"x": 0.0, "y": 1.0, "Köln": 2.0}), a=TABLE["a"].fillna(-1.0))
            np.save(path, coded.to_numpy())
    comm.barrier()

    def open_(columns=("a", "s", "row"), max_memory=50_000):
        if request.param == "npy":
            number = {"a": 0, "s": 1, "row": 3}
            return data.open(path, comm, target=2, columns=[number[c] for c in columns], max_memory=max_memory)
        return data.open(path, comm, target="y", columns=columns, text=["s"], missing=True, max_memory=max_memory)

    yield open_
    comm.barrier()


def rows_of(dataset, column=-1):
    """Return one column of X on all ranks."""
    return np.concatenate(dataset._ranks.share(np.concatenate([[], *(b.X[:, column] for b in dataset.blocks())])))


def chosen_by_one_rank(seed=0, validation=0.3):
    with dpmpi.Engine(dpmpi.collectives.mpi.MPI.COMM_SELF) as alone:
        return [part[0] for part in dpmpi.split(alone, (np.arange(N), None), validation, seed)]


def test_split(engine, dataset):
    train, held = dpmpi.split(engine, dataset(), 0.3)
    expected = chosen_by_one_rank()
    assert_array_equal(rows_of(train), expected[0])
    assert_array_equal(rows_of(held), expected[1])
    assert train.n_rows + held.n_rows == N
    assert abs(held.n_rows / N - 0.3) < 0.05
    assert train.start == sum(engine.comm.share(train.n_local)[: engine.rank])
    assert len(rows_of(held.keep())) == held.n_rows
    twice = dpmpi.split(engine, held.keep(), 0.5)
    again = dpmpi.split(engine, held, 0.5)
    assert_array_equal(rows_of(twice[0]), rows_of(again[0]))
    assert_array_equal(np.sort(np.concatenate([rows_of(part) for part in again])), expected[1])
    other = chosen_by_one_rank(seed=1)[1]
    assert 0 < len(np.intersect1d(other, expected[1])) < 0.5 * len(other)


@pytest.mark.parametrize("window", [None, 1100])
def test_batches_of_a_part(engine, dataset, window):
    train, _ = dpmpi.split(engine, dataset(("a", "row"), "1GB" if window is None else 50_000), 0.3)
    if train.empty().X.shape[1] == 2 and hasattr(train.empty(), "text"):
        train = apply_pipeline(train, fit_pipeline(engine, train, [OneHot(("s",)), Impute()]))
    mine = [batch.X[:, 1] for batch in train.batches(100, window=window)]
    batches = [np.concatenate(parts) for parts in zip(*engine.comm.share(mine), strict=True)]
    assert_array_equal(np.sort(np.concatenate(batches)), chosen_by_one_rank()[0])
    assert max(map(len, batches)) <= 100


@pytest.mark.parametrize("more", [False, True])
def test_rows_of_other_columns_can_be_kept(engine, dataset, more):
    raw = dataset()
    if not more:
        made = raw.map(lambda block: data.Block(block.X[:, 1:], block.y, None), columns=("row",))
    elif hasattr(raw.empty(), "text"):
        made = apply_pipeline(raw, fit_pipeline(engine, raw, [OneHot(("s",)), Impute()]))
    else:
        made = raw.map(lambda block: data.Block(block.X[:, [0, 1, 0, 2]], block.y, None), columns=tuple("asar"))
    part = dpmpi.split(engine, made, 0.3)[0]
    for one in (made, part):
        kept = one.keep()
        expected = one.load().X
        assert_array_equal(kept.load().X, expected)
        assert kept.empty().X.shape == (0, expected.shape[1])
        doubled = kept.map(lambda block: block._replace(X=2 * block.X)).keep()
        assert_array_equal(doubled.load().X, 2 * expected)
        for got, batch in zip(kept.batches(100, window=1100), one.batches(100, window=1100), strict=True):
            assert_array_equal(got.X, batch.X)


def test_arrays_are_split_together(engine):
    start, stop = dpmpi.partition.block(N, engine.size, engine.rank)
    row = np.arange(start, stop)
    X = sparse.csr_array(np.column_stack([row, row % 7]).astype(float))
    (X1, y1, w1), (X2, y2, w2) = dpmpi.split(engine, (X, row * 2, None), 0.3)
    expected = chosen_by_one_rank()
    assert (w1, w2) == (None, None)
    for x, y, rows in ((X1, y1, expected[0]), (X2, y2, expected[1])):
        assert_array_equal(np.concatenate(engine.comm.share(y)), rows * 2)
        assert_array_equal(np.concatenate(engine.comm.share(x.toarray()[:, 0])), rows)


def test_a_bad_row_is_named_by_its_place_in_the_file(engine, comm, tmp_path):
    path = comm.share(tmp_path)[0] / "t.csv"
    if comm.rank == 0:
        path.write_text("row,s,y\n" + "".join(f"{k},{'z' if k == 777 else 'x'},1\n" for k in range(1000)))
    comm.barrier()
    parts = dpmpi.split(engine, data.open(path, comm, target="y", text=["s"], max_memory="20kB"), 0.3)
    first, second = sorted(parts, key=lambda part: 777 in rows_of(part))
    pipeline = fit_pipeline(engine, first, [OneHot(("s",))])
    assert apply_pipeline(first, pipeline).load().X.shape[1] == 2
    for part in (second, second.keep()):
        with pytest.raises(data.DataError, match=r"t.csv: row 778: column 's' is 'z', which no row had"):
            apply_pipeline(part, pipeline).load()
    comm.barrier()


def test_duplicates_as_pandas_drops_them(engine, dataset):
    whole = drop_duplicates(engine, dataset(("a", "s")))
    assert whole.n_rows == len(UNIQUE)
    assert_array_equal(np.nan_to_num(rows_of(whole, 0), nan=-1), UNIQUE["a"].fillna(-1))
    assert drop_duplicates(engine, dataset()).n_rows == N
    assert drop_duplicates(engine, whole).n_rows == len(UNIQUE)


def test_of_arrays_the_first_row_stays(engine):
    start, stop = dpmpi.partition.block(N, engine.size, engine.rank)
    row = np.arange(start, stop)
    dense = np.column_stack([row % 13, -0.0 * row, row % 2]).astype(np.float32)
    for X in (dense, sparse.csr_array(dense), np.asfortranarray(dense)):
        _, kept = drop_duplicates(engine, (X, row % 3))
        assert sum(engine.comm.share(len(kept))) == 13 * 2 * 3
    _, kept = drop_duplicates(engine, (dense, row * 0))
    numbers = np.concatenate(engine.comm.share(drop_duplicates(engine, (dense % 5, None))[0]))
    assert len(numbers) == 10
    assert sum(engine.comm.share(len(kept))) == 26


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int16, np.bool_])
def test_integers_are_told_apart_by_every_digit(engine, dtype):
    last = 1 if dtype is np.bool_ else np.iinfo(dtype).max
    column = np.array([last, last - 1, last, 0, 0], np.int64 if dtype is np.bool_ else dtype).astype(dtype)
    rows = slice(*dpmpi.partition.block(len(column), engine.size, engine.rank))
    (kept,) = drop_duplicates(engine, (column[rows, None],))
    assert np.concatenate(engine.comm.share(kept[:, 0])).tolist() == list(dict.fromkeys(column.tolist()))


def test_an_empty_text_is_a_missing_one(engine, tmp_path):
    path = engine.comm.share(tmp_path)[0] / "t.parquet"
    if engine.rank == 0:
        text = ["b", "", None, "a", "b", None, ""]
        pq.write_table(pa.table({"s": text, "v": [1.0, 2, 2, 3, 4, 5, 5]}), path, row_group_size=4)
    engine.comm.barrier()
    dataset = data.open(path, engine.comm, text=["s"])
    rows = group_by(engine, dataset, ["s"], {"v": ["sum"]})[1]
    assert list(chain(*engine.comm.share(rows))) == [("", 4, 14.0), ("a", 1, 3.0), ("b", 2, 5.0)]
    assert describe(engine, dataset)["s"] == {"count": 3, "missing": 4, "unique": 2, "top": {"b": 2, "a": 1}}
    assert rows_of(drop_duplicates(engine, dataset)).tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    engine.comm.barrier()


@pytest.mark.parametrize("n_groups", [1, 2, 5000])
def test_each_rank_has_its_share_of_the_groups(engine, tmp_path, n_groups):
    path = engine.comm.share(tmp_path)[0] / "t.parquet"
    cells = np.arange(20_000)
    names = [f"g{cell * 7919 % n_groups}" for cell in cells.tolist()]
    if engine.rank == 0:
        pq.write_table(pa.table({"s": names, "v": cells}), path, row_group_size=3000)
    engine.comm.barrier()
    dataset = data.open(path, engine.comm, text=["s"], max_memory="100kB")
    header, mine = group_by(engine, dataset, ["s"], {"v": ["count", "sum", "max"]})
    groups = pd.DataFrame({"s": names, "v": cells}).groupby("s")["v"]
    expected = [(name, len(part), float(len(part)), float(part.sum()), float(part.max())) for name, part in groups]
    assert header == ["s", "rows", "v_count", "v_sum", "v_max"]
    assert list(chain(*engine.comm.share(mine))) == expected
    assert n_groups < 100 or len(mine) < 1.2 * n_groups / engine.size
    engine.comm.barrier()


@given(st.lists(st.tuples(st.sampled_from([0.0, -0.0, np.nan, 1.0]), st.sampled_from([0.0, 1.0, -1.0])), min_size=1))
def test_fingerprints_tell_what_is_equal(rows):
    X = np.array(rows)
    prints = fingerprints((X,))
    keys = [tuple(np.nan_to_num(x, nan=9) + 0.0) for x in X]
    assert len({tuple(p) for p in prints.tolist()}) == len(set(keys))
    unsorted = sparse.csr_array((X.ravel(), np.tile([1, 0], len(X)), np.arange(0, 2 * len(X) + 1, 2)), (len(X), 2))
    assert_array_equal(fingerprints((unsorted,)), fingerprints((sparse.csr_array(X[:, ::-1]),)))


@pytest.mark.parametrize(
    ("share", "seed", "message"),
    [(0.0, 0, "a share above 0"), (1.0, 0, "a share above 0"), (0.2, -1, "seed must be"), (1e-9, 0, "too few rows")],
)
def test_mistakes(engine, share, seed, message):
    with pytest.raises(ValueError, match=message):
        dpmpi.split(engine, (np.zeros(3),), share, seed)


@pytest.mark.parametrize(
    ("rows", "message"), [((None,), "there must be an array"), ((np.zeros(3), np.zeros(2)), "same number of rows")]
)
def test_rows_that_are_none(engine, rows, message):
    with pytest.raises(ValueError, match=message):
        drop_duplicates(engine, rows)
    with pytest.raises(ValueError, match=message):
        dpmpi.split(engine, rows)
