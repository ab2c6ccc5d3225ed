"""Scaling folded into the coefficients: the fit of the scaled rows, which are never made."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

import dpmpi
from dpmpi import data
from dpmpi.models import MODELS
from dpmpi.prepare import apply_pipeline, apply_unscaled, fit_pipeline
from dpmpi.preprocess import HashText, Impute, Log, OneHot, Scale
from dpmpi.training.problem import Problem, Spread
from dpmpi.training.rows import find_rows

pytestmark = pytest.mark.mpi

N = 1200
rng = np.random.default_rng(4)
NUMBERS = rng.normal(size=(N, 3)) * [1, 50, 0.01] + [0, 400, -2]
STORE = rng.choice(["a", "b", "c"], N)
Z = (NUMBERS - NUMBERS.mean(axis=0)) / NUMBERS.std(axis=0) @ [1, -2, 0.5] + (STORE == "a")
TARGETS = {"linear": Z + rng.normal(size=N), "logistic": (Z + rng.logistic(size=N) > 0).astype(float)}


@pytest.fixture
def folder(comm, tmp_path):
    path = comm.share(tmp_path)[0]
    yield path
    comm.barrier()


def write(comm, path, numbers, y):
    if comm.rank == 0:
        cells = zip(numbers.tolist(), STORE, y.tolist(), strict=True)
        path.write_text("p,q,r,s,y\n" + "\n".join(f"{','.join(map(repr, x))},{s},{t!r}" for x, s, t in cells))
    comm.barrier()


def both(engine, path, steps, kind, **options):
    """Fit with the scaling folded and with scaled rows; return both results, and the folding."""
    dataset = data.open(
        path, engine.comm, target="y", text=["s"], missing=True, max_memory=options.pop("memory", "1GB")
    )
    pipeline = fit_pipeline(engine, dataset, steps)
    raw, folded = apply_unscaled(dataset, pipeline)
    got = dpmpi.fit(engine, kind, raw, scaling=folded.scaling, **options)
    expected = dpmpi.fit(engine, kind, apply_pipeline(dataset, pipeline), **options)
    if folded.scaling is not None:
        X, scaled = raw.load().X, apply_pipeline(dataset, pipeline).load().X
        assert_allclose(
            got.of_unscaled(folded.scaling).linear_predictor(X), got.linear_predictor(scaled), rtol=1e-9, atol=1e-9
        )
    return got, expected, folded


@pytest.mark.parametrize(
    ("kind", "fit_intercept", "memory"),
    [("linear", True, "20kB"), ("linear", False, "1GB"), ("logistic", True, "1GB"), ("logistic", False, "20kB")],
)
def test_the_fit_is_that_of_scaled_rows(engine, folder, kind, fit_intercept, memory):
    write(engine.comm, folder / "t.csv", NUMBERS, TARGETS[kind])
    steps = [Impute(), Scale(), OneHot(("s",))]
    got, expected, folded = both(
        engine, folder / "t.csv", steps, kind, l2=0.1, tol=1e-11, fit_intercept=fit_intercept, memory=memory
    )
    assert folded.scaling is not None
    assert [type(step) for step in folded.pipeline.steps] == [Impute, OneHot]
    assert_allclose(got.coef, expected.coef, rtol=1e-6, atol=1e-7)
    assert_allclose([got.intercept, got.loss], [expected.intercept, expected.loss], rtol=1e-6, atol=1e-7)
    assert (got.intercept == 0) == (not fit_intercept)


@pytest.mark.parametrize("steps", [[Scale("robust"), HashText(("s",), 8)], [Scale("minmax", ("q",)), OneHot(("s",))]])
def test_other_scalings_and_sparse_rows(engine, folder, steps):
    write(engine.comm, folder / "t.csv", NUMBERS, TARGETS["linear"])
    got, expected, folded = both(engine, folder / "t.csv", steps, "linear", l2=0.01, tol=1e-11)
    assert folded.scaling is not None
    assert_allclose(got.coef, expected.coef, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_objective_and_gradient_are_those_of_scaled_rows(engine, kind, fit_intercept):
    """To rounding, where solvers stop a little earlier or later. Columns up to 900 spreads from zero."""
    start, stop = dpmpi.partition.block(N, engine.size, engine.rank)
    X, y = NUMBERS + np.array([900, 0, 0]), TARGETS[kind]
    shift, factor = X.mean(axis=0), X.std(axis=0)
    scaling = dpmpi.preprocess.Coordinates(shift, factor, True)
    found = []
    for rows, folded in ((X, scaling), ((X - shift) / factor, None)):
        mine = find_rows(engine, rows[start:stop], y[start:stop], None, kind == "logistic")
        spread = Spread.measure(engine, mine.sample, fit_intercept, folded)
        coordinates = spread.coordinates(0.1, fit_intercept)
        problem = Problem(engine, MODELS[kind], 0.1, mine, coordinates, folded)
        loss, gradient = problem.objective(np.linspace(-1, 2, 3 + fit_intercept))
        found.append([loss, *gradient])
    assert_allclose(found[0], found[1], rtol=1e-11, atol=1e-12)


def test_sgd_takes_the_same_steps(engine, folder):
    write(engine.comm, folder / "t.csv", NUMBERS, TARGETS["logistic"])
    got, expected, _ = both(
        engine, folder / "t.csv", [Scale(), OneHot(("s",))], "logistic", solver="sgd", max_iter=3, tol=0.0, l2=0.01
    )
    assert_allclose(got.coef, expected.coef, rtol=1e-6, atol=1e-7)
    assert_allclose(got.state.spread.squares, expected.state.spread.squares, rtol=1e-9, atol=1e-9)


def test_what_is_not_folded(engine, folder):
    far = NUMBERS + np.array([0, 0, 1e6])
    write(engine.comm, folder / "t.csv", far, TARGETS["linear"])
    _, _, folded = both(engine, folder / "t.csv", [Scale(), OneHot(("s",))], "linear")
    assert folded.scaling is None
    assert folded.reason.startswith("column 'r' lies 1.0e+08 times its spread from zero")
    assert len(folded.pipeline.steps) == 2
    for steps in ([Log(("p",)), OneHot(("s",))], [OneHot(("s",))], [Scale("robust"), Impute(), OneHot(("s",))]):
        write(engine.comm, folder / "t.csv", np.abs(NUMBERS), TARGETS["linear"])
        _, _, folded = both(engine, folder / "t.csv", steps, "linear", l2=0.1)
        assert (folded.scaling, folded.reason) == (None, "")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_copy_of_the_rows_is_made(engine, dtype):
    X = rng.normal(size=(40_000, 40)).astype(dtype)
    X.flags.writeable = False
    y = X @ np.ones(40)
    scaling = dpmpi.preprocess.Coordinates(np.full(40, 0.5), np.full(40, 2.0), True)
    dpmpi.fit(engine, "linear", X[:100], y[:100], scaling=scaling)  # imports and buffers
    tracemalloc.start()
    result = dpmpi.fit(engine, "linear", X, y, scaling=scaling)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes / 4
    assert_allclose(result.coef, 2.0, rtol=1e-3)
    with pytest.raises(ValueError, match="scaling must be of the 40 columns"):
        dpmpi.fit(engine, "linear", X, y, scaling=dpmpi.preprocess.Coordinates(np.zeros(3), np.ones(3), True))
