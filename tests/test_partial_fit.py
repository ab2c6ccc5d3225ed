"""partial_fit: the same model from any number of ranks, across files, and near the optimum in the end."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import dpmpi
from dpmpi import data, model_file, partition

pytestmark = pytest.mark.mpi

N, D = 3000, 4
rng = np.random.default_rng(2)
X = rng.normal(size=(N, D)) * [1, 100, 0.01, 1] + [0, 1000, 0, -3]
Z = (X - X.mean(axis=0)) / X.std(axis=0) @ [1.0, -1.0, 2.0, 0.0] + 0.5
TARGETS = {"linear": Z + 0.1 * rng.normal(size=N), "logistic": np.where(Z + rng.logistic(size=N) > 0, 5.0, 2.0)}
W = rng.integers(0, 3, N).astype(float)


def shard(engine, low, high):
    """This rank's part of the rows low to high: of few rows some ranks have none."""
    start, stop = partition.block(high - low, engine.size, engine.rank)
    return slice(low + start, low + stop)


def stream(engine, kind, sizes, model=None, weighted=False, **options):
    """Feed the rows in calls of these sizes; return the result of each call."""
    results, low = [], 0
    new = {"classes": (2.0, 5.0)} if kind == "logistic" else {}
    for size in sizes:
        some = shard(engine, low, low + size)
        given = options | (new if model is None else {})
        model = dpmpi.partial_fit(
            engine, model or kind, X[some], TARGETS[kind][some], W[some] if weighted else None, **given
        )
        results.append(model)
        low += size
    return results


SIZES = [1, 2, 40, 300, 700, 1000]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_the_same_on_any_number_of_ranks(engine, kind, weighted):
    sizes = SIZES[2 * weighted :]  # a few rows may all have weight zero
    ours = stream(engine, kind, sizes, weighted=weighted)[-1]
    with dpmpi.Engine(dpmpi.collectives.mpi.MPI.COMM_SELF) as alone:
        expected = stream(alone, kind, sizes, weighted=weighted)[-1]
    assert_allclose(ours.coef, expected.coef, rtol=1e-9)
    assert_allclose([ours.intercept, ours.loss], [expected.intercept, expected.loss], rtol=1e-9)
    assert ours.state.n_calls == ours.n_iter == len(sizes)
    assert len({(*r.coef, r.intercept) for r in engine.comm.share(ours)}) == 1


def test_one_step_is_the_formula(engine):
    """One batch from zero: coef = -rate * gradient, in standardised columns."""
    some = shard(engine, 0, 50)
    y = TARGETS["linear"]
    got = dpmpi.partial_fit(engine, "linear", X[some], y[some], l2=0.0, learning_rate=0.1)
    mean, std = X[:50].mean(axis=0), X[:50].std(axis=0)
    standard = (X[:50] - mean) / std
    u = 0.1 * standard.T @ y[:50] / 50
    assert_allclose(got.coef, u / std, rtol=1e-10)
    assert_allclose(got.intercept, 0.1 * y[:50].mean() - mean @ (u / std), rtol=1e-10)
    assert_allclose(got.loss, 0.5 * np.mean(y[:50] ** 2), rtol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_a_model_that_was_saved_goes_on_with_the_same_bits(engine, tmp_path, kind):
    path = engine.comm.share(tmp_path)[0] / "m.npz"
    straight = stream(engine, kind, SIZES)
    engine.comm.barrier()
    if engine.rank == 0:
        model_file.save(path, model_file.SavedModel(straight[3], None, None))
    engine.comm.barrier()
    loaded = model_file.load(path).result
    low = sum(SIZES[:4])
    for size in SIZES[4:]:
        some = shard(engine, low, low + size)
        loaded = dpmpi.partial_fit(engine, loaded, X[some], TARGETS[kind][some])
        low += size
    assert_array_equal(loaded.coef, straight[-1].coef)
    assert (loaded.intercept, loaded.loss) == (straight[-1].intercept, straight[-1].loss)
    engine.comm.barrier()


@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_many_passes_come_near_the_optimum(engine, kind):
    some = shard(engine, 0, N)
    optimum = dpmpi.fit(engine, kind, X[some], TARGETS[kind][some], l2=0.01)
    result = None
    for rate in [0.05] * 6 + [0.005] * 4:
        result = dpmpi.partial_fit(
            engine, result or kind, X[some], TARGETS[kind][some], learning_rate=rate,
            **({} if result else {"l2": 0.01}),
        )  # fmt: skip
    assert result.loss == pytest.approx(optimum.loss, rel=2e-3)


def test_it_goes_on_from_a_fit(engine):
    """A step at the optimum changes next to nothing; new rows then pull the model over."""
    some = shard(engine, 0, N)
    y = TARGETS["linear"]
    optimum = dpmpi.fit(engine, "linear", X[some], y[some])
    same = dpmpi.partial_fit(engine, optimum, X[some], y[some], batch_size=N)
    assert_allclose(same.coef, optimum.coef, rtol=1e-6, atol=1e-9)
    moved = same
    for _ in range(10):
        moved = dpmpi.partial_fit(engine, moved, X[some], y[some] + 10)
    assert_allclose(moved.predict(X[:10]), optimum.predict(X[:10]) + 10, atol=0.1)
    assert moved.n_iter == optimum.n_iter + 11


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_data_set_larger_than_memory(engine, tmp_path, fit_intercept):
    path = engine.comm.share(tmp_path)[0] / "t.npy"
    if engine.rank == 0:
        np.save(path, np.column_stack([X, TARGETS["logistic"]]))
    engine.comm.barrier()
    results = []
    for memory in ("30kB", "1GB"):
        dataset = data.open(path, engine.comm, target=-1, max_memory=memory)
        assert dataset.fits == (memory == "1GB")
        results.append(dpmpi.partial_fit(engine, "logistic", dataset, fit_intercept=fit_intercept))
    # The batches are others: out of windows of rows, or of all.
    assert results[0].loss == pytest.approx(results[1].loss, rel=0.05)
    assert (results[0].intercept == 0) == (not fit_intercept)
    engine.comm.barrier()


def test_mistakes(engine):
    some = shard(engine, 0, 100)
    x, y = X[some], TARGETS["logistic"][some]
    one = dpmpi.partial_fit(engine, "logistic", x, y)
    for message, call in [
        ("unknown model 'tree'", lambda: dpmpi.partial_fit(engine, "tree", x, y)),
        ("exactly two classes in y, but found 1", lambda: dpmpi.partial_fit(engine, "logistic", x, y * 0)),
        ("holds the label 0, but the model knows 2, 5", lambda: dpmpi.partial_fit(engine, one, x, y * 0)),
        ("classes are the two labels", lambda: dpmpi.partial_fit(engine, "logistic", x, y, classes=(1, 1))),
        ("classes are the two labels", lambda: dpmpi.partial_fit(engine, "linear", x, y, classes=(1, 2))),
        ("leave them out", lambda: dpmpi.partial_fit(engine, one, x, y, l2=1.0)),
        ("X has 3 columns, but the model has 4", lambda: dpmpi.partial_fit(engine, one, x[:, :3], y)),
        ("no rows on any rank", lambda: dpmpi.partial_fit(engine, one, x[:0], y[:0])),
        ("learning_rate must be a positive number", lambda: dpmpi.partial_fit(engine, one, x, y, learning_rate=0)),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="the steps diverge; lower learning_rate"), np.errstate(all="ignore"):
        dpmpi.partial_fit(engine, "linear", x, y, learning_rate=1e200, batch_size=1)
    if engine.size > 1:
        with pytest.raises(dpmpi.MismatchError):
            dpmpi.partial_fit(engine, one, x, y, seed=engine.rank)
