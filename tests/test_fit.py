import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import dpmpi
from dpmpi import model_file
from dpmpi.data import DataError
from dpmpi.metrics import evaluate

pytestmark = pytest.mark.mpi

several = pytest.mark.mpi(min_size=2)
N, D = 300, 4


def make(kind, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) * [1, 10, 0.1, 1] + [0, 100, 0, -3]
    z = (X - X.mean(0)) / X.std(0) @ [1.0, -1.0, 0.5, 0.0] + 0.3
    y = z + rng.normal(size=N) if kind == "linear" else (z + rng.logistic(size=N) > 0) * 1.0
    return X, y, rng.uniform(0.1, 2, N)


def objective(kind, X, y, w, l2, coef, intercept):
    z = X @ coef + intercept
    loss = 0.5 * (z - y) ** 2 if kind == "linear" else np.logaddexp(0, z) - y * z
    return (w * loss).sum() / w.sum() + l2 / 2 * coef @ coef


def scattered(engine, *arrays):
    return engine.scatter(*(arrays if engine.rank == 0 else ()))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_linear_is_ridge_regression(engine, weighted, l2):
    X, y, w = make("linear")
    w = w if weighted else np.ones(N)
    Z = np.column_stack([X, np.ones(N)])
    penalty = l2 * w.sum() * np.diag([1.0] * D + [0.0])
    exact = np.linalg.solve(Z.T @ (w[:, None] * Z) + penalty, Z.T @ (w * y))
    result = dpmpi.fit(engine, "linear", *scattered(engine, X, y, w if weighted else None), l2=l2)
    assert_allclose(np.append(result.coef, result.intercept), exact, rtol=1e-5, atol=1e-7)
    assert_allclose(result.loss, objective("linear", X, y, w, l2, exact[:-1], exact[-1]), rtol=1e-12)
    assert result.converged


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_logistic_against_scikit_learn(engine, weighted, sparse, l2):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y, w = make("logistic")
    w = w if weighted else np.ones(N)
    C = np.inf if l2 == 0 else 1 / (l2 * w.sum())
    twin = linear_model.LogisticRegression(C=C, tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(X, y, w)
    shards = scattered(engine, sp.csr_array(X) if sparse else X, y, w if weighted else None)
    result = dpmpi.fit(engine, "logistic", *shards, l2=l2)
    assert_allclose(result.coef, twin.coef_[0], rtol=1e-4, atol=1e-6)
    best = objective("logistic", X, y, w, l2, twin.coef_[0], twin.intercept_[0])
    assert_allclose(result.loss, best, rtol=1e-9)
    assert_allclose(result.predict_proba(X), twin.predict_proba(X)[:, 1], atol=1e-5)
    assert_array_equal(result.predict(X), twin.predict(X))


def test_without_intercept(engine):
    X, y, _ = make("linear")
    result = dpmpi.fit(engine, "linear", *scattered(engine, X, y), fit_intercept=False)
    assert result.intercept == 0.0
    assert_allclose(result.coef, np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_rank_ends_with_the_same_bits(engine, solver, dtype):
    X, y, _ = make("logistic")
    result = dpmpi.fit(engine, "logistic", *scattered(engine, X.astype(dtype), y), solver=solver, max_iter=20)
    assert len(set(engine.comm.share((result.coef.tobytes(), result.intercept, result.loss)))) == 1


def test_float32_comes_close_to_float64(engine):
    X, y, _ = make("logistic")
    results = [dpmpi.fit(engine, "logistic", *scattered(engine, X.astype(t), y)) for t in (np.float32, np.float64)]
    assert results[0].converged
    assert_allclose(results[0].loss, results[1].loss, rtol=1e-5)


def test_sgd_comes_near_the_optimum(engine):
    X, y, w = make("logistic")
    shards = scattered(engine, X, y, w)
    best = dpmpi.fit(engine, "logistic", *shards, l2=0.01)
    near = dpmpi.fit(engine, "logistic", *shards, l2=0.01, solver="sgd", batch_size=50)
    assert_allclose(near.loss, best.loss, rtol=1e-2)
    assert len(near.history) == near.n_iter


@several
def test_uneven_and_empty_shards_give_the_answer_of_all_rows(engine):
    X, y, w = make("logistic")
    cuts = [0] + [N - 1] * (engine.size - 1) + [N]  # all but one row on rank 0, none between, one on the last
    mine = slice(cuts[engine.rank], cuts[engine.rank + 1])
    result = dpmpi.fit(engine, "logistic", X[mine], y[mine], w[mine], l2=0.1)
    even = dpmpi.fit(engine, "logistic", *scattered(engine, X, y, w), l2=0.1)
    assert_allclose(result.coef, even.coef, rtol=1e-5)
    assert_allclose(result.loss, even.loss, rtol=1e-12)


def test_labels_may_be_any_two_numbers(engine):
    X, y, _ = make("logistic")
    plain = dpmpi.fit(engine, "logistic", *scattered(engine, X, y), l2=0.1)
    other = dpmpi.fit(engine, "logistic", *scattered(engine, X, np.where(y == 1, 7, -3)), l2=0.1)
    assert_array_equal(other.classes, [-3, 7])
    assert_array_equal(plain.coef, other.coef)
    assert set(other.predict(X)) <= {-3, 7}


def test_history_and_callback(engine):
    X, y, _ = make("logistic")
    seen = []
    result = dpmpi.fit(engine, "logistic", *scattered(engine, X, y), l2=0.1, callback=lambda n, loss: seen.append(loss))
    assert seen == result.history
    assert result.history[-1] == result.loss


def test_a_constant_column(engine):
    X, y, _ = make("linear")
    X[:, 1] = 5.0
    result = dpmpi.fit(engine, "linear", *scattered(engine, X, y), l2=1e-3)
    assert result.converged
    assert_allclose(result.coef[1], 0, atol=1e-5)


def change(**arrays):
    def apply(X, y, w):
        return tuple(arrays.get(name, lambda a: a)(array) for name, array in (("X", X), ("y", y), ("w", w)))

    return apply


def put(index, value):
    def apply(array):
        array = array.copy()
        array[index] = value
        return array

    return apply


@pytest.mark.parametrize(
    ("damage", "kwargs", "error", "message"),
    [
        (change(X=put((299, 2), np.nan)), {}, ValueError, "X is nan at row 299, column 2"),
        (change(X=put((0, 0), np.inf)), {}, ValueError, "X is inf at row 0, column 0"),
        (change(X=put((7, 1), 1e200)), {}, ValueError, "column 1 of X holds numbers whose squares overflow"),
        (change(y=put(150, np.nan)), {}, ValueError, "y is nan at row 150"),
        (change(w=put(150, -1.0)), {}, ValueError, "sample_weight is -1.0 at row 150"),
        (change(w=lambda w: w * 0), {}, ValueError, "all weights are zero"),
        (change(y=put(150, 3.0)), {}, ValueError, "exactly two classes in y, but found 3"),
        (change(y=lambda y: y * 0), {}, ValueError, "exactly two classes in y, but found 1"),
        (change(X=lambda X: X[:0], y=lambda y: y[:0], w=lambda w: w[:0]), {}, ValueError, "no rows on any rank"),
        (change(), {"l2": -1.0}, ValueError, "l2 must be"),
        (change(), {"l2": np.inf}, ValueError, "l2 must be"),
        (change(), {"solver": "newton"}, ValueError, "unknown solver 'newton'; choose one of lbfgs, sgd"),
        (change(), {"momentum": 1.0}, ValueError, "momentum"),
        (change(), {"max_iter": 0}, ValueError, "max_iter"),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_bad_input_raises_on_every_rank(engine, damage, kwargs, error, message):
    shards = scattered(engine, *damage(*make("logistic")))
    with pytest.raises(error, match=message):
        dpmpi.fit(engine, "logistic", *shards, **kwargs)


@several
def test_sparse_nan_is_named(engine):
    X, y, _ = make("logistic")
    X[123, 3] = np.nan
    X[5, :] = 0
    with pytest.raises(ValueError, match="X is nan at row 123, column 3"):
        dpmpi.fit(engine, "logistic", *scattered(engine, sp.csr_array(X), y))


@several
@pytest.mark.parametrize(
    ("shape", "rows", "error", "message"),
    [
        ((5, 3), 5, ValueError, "same columns and dtype on every rank.*rank 1: 3 columns"),
        ((5,), 5, ValueError, "X must have two dimensions"),
        ((5, 2), 4, ValueError, "y must have one value for each of the 5 rows"),
    ],
)
def test_shards_that_do_not_fit(engine, shape, rows, error, message):
    odd = engine.rank == 1
    X, y = (np.ones(shape), np.ones(rows)) if odd else (np.ones((5, 2)), np.ones(5))
    with pytest.raises(error, match=message):
        dpmpi.fit(engine, "linear", X, y)


@several
def test_arguments_that_differ(engine):
    with pytest.raises(dpmpi.MismatchError, match="rank 0"):
        dpmpi.fit(engine, "linear", np.ones((5, 2)), np.ones(5), l2=float(engine.rank == 0))


def test_metrics_against_scikit_learn(engine):
    metrics = pytest.importorskip("sklearn.metrics")
    X, y, _ = make("logistic")
    X = np.round(X, 1)  # ties among the scores
    shards = scattered(engine, X, y)
    result = dpmpi.fit(engine, "logistic", *shards, l2=1.0)
    got = evaluate(engine, result, *shards)
    probability = result.predict_proba(X)
    assert_allclose(got["accuracy"], metrics.accuracy_score(y, result.predict(X)))
    assert_allclose(got["auc"], metrics.roc_auc_score(y, probability), rtol=1e-12)
    assert_allclose(got["log_loss"], metrics.log_loss(y, probability), rtol=1e-9)
    X, y, _ = make("linear")
    shards = scattered(engine, X, y)
    result = dpmpi.fit(engine, "linear", *shards)
    got = evaluate(engine, result, *shards)
    assert_allclose(got["rmse"], metrics.root_mean_squared_error(y, result.predict(X)))
    assert_allclose(got["r2"], metrics.r2_score(y, result.predict(X)), rtol=1e-9)


def test_metrics_of_one_class(engine):
    X, y, _ = make("logistic")
    result = dpmpi.fit(engine, "logistic", *scattered(engine, X, y), l2=1.0)
    assert evaluate(engine, result, *scattered(engine, X, np.ones(N)))["auc"] is None
    with pytest.raises(ValueError, match="label 5"):
        evaluate(engine, result, *scattered(engine, X, np.full(N, 5.0)))


@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_metrics_need_targets(engine, kind):
    X, y, _ = make(kind)
    result = dpmpi.fit(engine, kind, *scattered(engine, X, y), l2=1.0)
    with pytest.raises(ValueError, match="y is missing"):
        evaluate(engine, result, scattered(engine, X, y)[0])


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 0.1])
def test_metrics_of_a_constant_target(engine, value):
    X = make("linear")[0][:7]  # 7 * 0.1 / 7 is not 0.1
    result = dpmpi.fit(engine, "linear", *scattered(engine, X, X[:, 0]))
    assert evaluate(engine, result, *scattered(engine, X, np.full(7, value)))["r2"] is None
    assert evaluate(engine, result, *scattered(engine, X, np.r_[np.full(6, value), value + 1]))["r2"] is not None


@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_a_model_survives_the_disk(engine, tmp_path, kind):
    X, y, _ = make(kind)
    result = dpmpi.fit(engine, kind, *scattered(engine, X, y), l2=0.1)
    path = tmp_path / f"model-{engine.rank}.npz"
    model_file.save(path, model_file.SavedModel(result, list("abcd"), "y"))
    loaded = model_file.load(path)
    assert loaded.columns == list("abcd")
    assert loaded.target == "y"
    assert_array_equal(loaded.result.predict(X), result.predict(X))
    assert loaded.result.history == result.history
    if kind == "linear":
        with pytest.raises(ValueError, match="no classes"):
            loaded.result.predict_proba(X)


def test_a_damaged_model_is_a_data_error(engine, tmp_path):
    X, y, _ = make("linear")
    result = dpmpi.fit(engine, "linear", *scattered(engine, X, y))
    path = tmp_path / f"model-{engine.rank}.npz"
    model_file.save(path, model_file.SavedModel(result, list("abcd"), "y"))
    whole = path.read_bytes()
    refused = []
    for place in np.random.default_rng(0).integers(0, 8 * len(whole), 1000).tolist():
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            loaded = model_file.load(path)  # a bit that says nothing: a time, an attribute
        except DataError as error:
            refused.append(str(error))
        else:
            assert_array_equal(loaded.result.coef, result.coef)
    assert len(refused) > 500
    assert all(message.startswith(str(path)) for message in refused)
