"""Data larger than memory: Engine.reduce, fit, evaluate and predict take a Dataset wherever they take arrays."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

import dpmpi
from dpmpi import data
from dpmpi.collectives.mpi import MPI
from dpmpi.metrics import evaluate
from dpmpi.training import problem

pytestmark = pytest.mark.mpi

N = 4000
rng = np.random.default_rng(8)
X = rng.normal(size=(N, 4)).round(3) * [1, 10, 0.1, 1]
Z = X @ [1, -0.1, 5, 0.5] + 0.3
TARGETS = {"linear": (Z + rng.normal(size=N)).round(3), "logistic": np.where(Z + rng.logistic(size=N) > 0, 7.0, -2.0)}
W = rng.integers(0, 4, N).astype(float)
SMALL = 60_000  # bytes: a shard comes in many blocks


@pytest.fixture
def folder(comm, tmp_path):
    path = comm.share(tmp_path)[0]
    yield path
    comm.barrier()  # pytest may remove rank 0's folder


def write(comm, path, y):
    if comm.rank == 0:
        table = np.column_stack([X, y, W])
        if path.suffix == ".npy":
            np.save(path, table)
        elif path.suffix == ".parquet":
            pq.write_table(pa.table(dict(zip("abcdyw", table.T, strict=True))), path, row_group_size=900)
        elif path.suffix == ".csv":
            path.write_text("a,b,c,d,y,w\n" + "\n".join(",".join(map(repr, row)) for row in table.tolist()))
        else:
            lines = (f"{t!r} " + " ".join(f"{j + 1}:{v!r}" for j, v in enumerate(x)) for *x, t, _ in table.tolist())
            path.write_text("\n".join(lines))
    comm.barrier()


def open_both(comm, path, y, weighted=True):
    write(comm, path, y)
    wanted = {"target": -2, "weight": -1} if path.suffix != ".svm" else {}
    if path.suffix in (".csv", ".parquet"):
        wanted = {"target": "y", "weight": "w"}
    small = data.open(path, comm, max_memory=SMALL, **wanted)
    large = data.open(path, comm, max_memory="1GiB", **wanted)
    assert large.fits
    assert not small.fits
    return small, large


@pytest.mark.parametrize("kind", ["linear", "logistic"])
@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".csv", ".svm"])
def test_streaming_finds_what_memory_finds(engine, folder, suffix, kind):
    small, large = open_both(engine.comm, folder / f"t{suffix}", TARGETS[kind])
    streamed = dpmpi.fit(engine, kind, small, l2=0.1)
    loaded = dpmpi.fit(engine, kind, large, l2=0.1)
    assert streamed.converged
    assert_allclose(streamed.coef, loaded.coef, rtol=1e-8)
    assert_allclose(streamed.loss, loaded.loss, rtol=1e-12)
    table = large.load()
    got, expected = evaluate(engine, streamed, small), evaluate(engine, streamed, table.X, table.y)
    assert got == pytest.approx(expected, rel=1e-12)
    assert_allclose(streamed.predict(small), streamed.predict(table.X), rtol=1e-13)


def test_a_kernel_that_refuses_a_row_of_a_dataset(engine, folder):
    counts = np.full(N, 2.0)
    counts[N // 2 + 3] = -1
    dataset, _ = open_both(engine.comm, folder / "t.npy", counts)
    with pytest.raises(ValueError, match=r"y\[\d+\] is -1.0; y must be .* \(counted from row \d+ of .*t.npy\)") as told:
        engine.reduce(dpmpi.kernels.poisson, dataset, np.zeros(5), out=np.zeros(6))
    in_block, first = map(int, re.findall(r"y\[(\d+)\].*counted from row (\d+)", str(told.value))[0])
    assert first + in_block == N // 2 + 3


def test_reduce_of_a_dataset(engine, folder):
    small, _ = open_both(engine.comm, folder / "t.csv", TARGETS["linear"])

    def sums(X, y, sample_weight, power, out):
        out[:4] += (X**power).sum(axis=0)
        out[4] += (sample_weight * y).sum()
        out[5] += len(y)

    out = engine.reduce(sums, small, 2, out=np.zeros(6))
    assert_allclose(out, [*(X**2).sum(axis=0), W @ TARGETS["linear"], N], rtol=1e-12)


def test_an_error_in_the_middle_is_every_ranks_error(engine, folder):
    path = folder / "t.csv"
    small, _ = open_both(engine.comm, path, TARGETS["linear"])
    if engine.rank == 0:
        lines = path.read_text().split("\n")
        lines[3456] = "1,2,x,4,5,6"
        path.write_text("\n".join(lines))
    engine.comm.barrier()
    with pytest.raises(data.DataError, match="has changed since it was opened"):
        dpmpi.fit(engine, "linear", small)
    again = data.open(path, engine.comm, target="y", weight="w", max_memory=SMALL)
    with pytest.raises(data.DataError, match=r"row 3456 \(line 3457\): column 'c' is 'x', not a number"):
        dpmpi.fit(engine, "linear", again)


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_sgd_comes_near_the_optimum(engine, folder, suffix):
    small, _ = open_both(engine.comm, folder / f"t{suffix}", TARGETS["logistic"])
    optimum = dpmpi.fit(engine, "logistic", small, l2=0.1)
    found = dpmpi.fit(engine, "logistic", small, l2=0.1, solver="sgd", max_iter=15)
    assert found.loss == pytest.approx(optimum.loss, rel=1e-3)


@pytest.mark.parametrize("window", [1 << 18, 2048])
def test_sgd_takes_the_same_steps_on_any_number_of_ranks_with_any_memory(engine, folder, monkeypatch, window):
    monkeypatch.setattr(problem, "WINDOW_ROWS", window)
    small, large = open_both(engine.comm, folder / "t.npy", TARGETS["logistic"])
    table = large.load()
    options = {"l2": 0.1, "solver": "sgd", "max_iter": 2, "tol": 0.0}
    with dpmpi.Engine(MPI.COMM_SELF) as alone:
        expected = dpmpi.fit(alone, "logistic", X, TARGETS["logistic"], W, **options)
    for rows in ((small,), (large,), (table.X, table.y, table.sample_weight)):
        found = dpmpi.fit(engine, "logistic", *rows, **options)
        assert_allclose([*found.coef, found.intercept], [*expected.coef, expected.intercept], rtol=1e-8)
        assert_allclose(found.history, expected.history, rtol=1e-10)
