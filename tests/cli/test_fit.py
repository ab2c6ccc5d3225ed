"""The dpmpi fit and predict commands as a user runs them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "data" / "breast_cancer.csv"
A9A_ROWS, A9A_OPTIMUM = 32561, 10528.5724305433


def fit(mpiexec, ranks, *arguments, **kwargs):
    return mpiexec(ranks, "-m", "dpmpi", "fit", *map(str, arguments), **kwargs)


def a_table(path, rows=12, columns=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    y = (np.arange(rows) % 3 == 0).astype(int)
    lines = ["a,b,y", *(f"{x[0]!r},{x[1]!r},{label}" for x, label in zip(X.tolist(), y, strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return X, y


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
def test_a9a_reaches_the_published_optimum(mpiexec, tmp_path, shared_data, ranks):
    model, report = tmp_path / "model.npz", tmp_path / "report.json"
    done = fit(
        mpiexec, ranks, shared_data("a9a"), "--model", "logistic", "--l2", 1 / A9A_ROWS,
        "--output", model, "--report", report,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert found["loss"] * A9A_ROWS == pytest.approx(A9A_OPTIMUM, rel=1e-8)
    assert (found["rows"], found["columns"], found["ranks"]) == (A9A_ROWS, 123, ranks)
    assert found["converged"]
    done = mpiexec(
        ranks, "-m", "dpmpi", "predict", str(model), str(shared_data("a9a.t")),
        "--output", str(tmp_path / "p.csv"), "--report", str(report),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics = json.loads(report.read_text())["metrics"]
    assert metrics["accuracy"] == pytest.approx(0.84976, abs=3e-4)
    assert metrics["auc"] == pytest.approx(0.90222, abs=3e-4)
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 16281 + 1


@pytest.mark.parametrize("ranks", [1, 3])
def test_what_is_shown_and_written(mpiexec, tmp_path, ranks):
    report, model = tmp_path / "report.json", tmp_path / "model.npz"
    done = fit(
        mpiexec, ranks, EXAMPLE, "--target", "benign", "--model", "logistic", "--l2", 0.01,
        "--output", model, "--report", report,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert set(found) >= {
        "model", "solver", "ranks", "rows", "columns", "loss", "n_iter", "converged", "metrics", "seconds",
    }  # fmt: skip
    assert set(found["metrics"]) == {"accuracy", "auc", "log_loss"}
    assert set(found["seconds"]) == {"read", "compute", "communicate", "total"}
    for words in (
        "569 rows x 30 columns",
        "rows per rank",
        "logistic",
        "lbfgs",
        "iteration 1 ",
        "accuracy 0.9",
        "% reading",
    ):
        assert words in done.stdout + done.stderr
    with np.load(model, allow_pickle=False) as archive:
        assert archive["columns"][0] == "mean_radius"
        assert str(archive["target"]) == "benign"


def test_linear_regression(mpiexec, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    y = X @ [1.0, 2.0, 3.0] + 4.0
    np.save(tmp_path / "data.npy", np.column_stack([X, y]))
    report = tmp_path / "report.json"
    done = fit(
        mpiexec, 2, tmp_path / "data.npy", "--target", "-1", "--model", "linear", "--report", report,
        "--output", tmp_path / "m.npz",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics = json.loads(report.read_text())["metrics"]
    assert set(metrics) == {"rmse", "r2"}
    assert metrics["r2"] == pytest.approx(1)
    np.save(tmp_path / "new.npy", X)  # without the target: predictions only
    done = mpiexec(2, "-m", "dpmpi", "predict", "m.npz", "new.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "r2" not in done.stdout
    got = np.loadtxt(tmp_path / "predictions.csv", skiprows=1)
    np.testing.assert_allclose(got, y, rtol=1e-6)


def test_sgd_takes_the_same_steps_on_any_number_of_ranks(mpiexec, tmp_path):
    coefs = []
    for ranks in (1, 4):
        done = fit(
            mpiexec, ranks, EXAMPLE, "--target", "benign", "--model", "logistic", "--solver", "sgd", "--max-iter", 5,
            "--tol", 0, "--batch-size", 64, "--output", tmp_path / "m.npz",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / "m.npz") as archive:
            coefs.append(np.append(archive["coef"], archive["intercept"]))
    np.testing.assert_allclose(coefs[0], coefs[1], rtol=1e-9)


def test_predict_to_standard_output(mpiexec, tmp_path):
    a_table(tmp_path / "t.csv")
    fit(mpiexec, 1, "t.csv", "--target", "y", "--model", "logistic", "--l2", 1, "--output", "m.npz", cwd=tmp_path)
    done = mpiexec(3, "-m", "dpmpi", "predict", "m.npz", "t.csv", "--output", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "prediction,probability"
    assert len(lines) == 13
    assert "accuracy" in done.stderr


@pytest.mark.parametrize("ranks", [1, 3])
def test_help_is_printed_once(mpiexec, ranks):
    done = mpiexec(ranks, "-m", "dpmpi", "fit", "--help")
    assert done.returncode == 0
    assert done.stdout.count("usage: dpmpi fit") == 1
    for option in (
        "--target",
        "--model",
        "--l2",
        "--solver",
        "--tol",
        "--output",
        "--report",
        "--progress",
        "--weight",
    ):
        assert option in done.stdout


def test_info(mpiexec):
    done = mpiexec(2, "-m", "dpmpi", "info")
    assert done.returncode == 0
    for words in ("mpi4py", "MPI library", "MPI threads", "SIMD level", "2 on 1 node"):
        assert words in done.stdout
    facts = json.loads(mpiexec(2, "-m", "dpmpi", "info", "--json").stdout)
    assert facts["ranks"] == 2
    assert list(facts["nodes"].values()) == [2]


GOOD = ["--target", "y", "--model", "logistic"]


def spoil(tmp_path, row, text):
    lines = (tmp_path / "t.csv").read_text().splitlines()
    lines[row] = text
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize(
    ("damage", "arguments", "told"),
    [
        (None, ["missing.csv", *GOOD], ["missing.csv", "no such file"]),
        (None, ["t.csv", "--target", "z", "--model", "logistic"], ["t.csv", "'z'"]),
        (None, ["t.csv", "--model", "logistic"], ["t.csv", "--target"]),
        (lambda t: spoil(t, 5, "1,2"), ["t.csv", *GOOD], ["t.csv", "row 5"]),
        (lambda t: spoil(t, 9, "1,oops,1"), ["t.csv", *GOOD], ["t.csv", "row 9", "'b'", "oops"]),
        (lambda t: spoil(t, 2, "nan,1,1"), ["t.csv", *GOOD], ["t.csv", "row 2", "'a'"]),
        (lambda t: spoil(t, 12, "1,inf,1"), ["t.csv", *GOOD], ["t.csv", "row 12", "'b'"]),
        (lambda t: spoil(t, 12, "1,,1"), ["t.csv", *GOOD], ["t.csv", "row 12", "'b'"]),
        (lambda t: spoil(t, 12, "1,1,nan"), ["t.csv", *GOOD], ["t.csv", "row 12", "'y'"]),
        (lambda t: spoil(t, 12, "1,1,2"), ["t.csv", *GOOD], ["t.csv", "target 'y'", "two classes", "3"]),
        (None, ["t.csv", "--target", "y", "--model", "logistic", "--l2", "-1"], ["l2", "-1"]),
        (None, ["t.csv", "--target", "y", "--model", "logistic", "--l2", "nan"], ["l2", "nan"]),
        (None, ["t.csv", "--target", "y", "--model", "quadratic"], ["quadratic", "logistic"]),
        (None, ["t.csv", *GOOD, "--output", "no/such/folder/m.npz"], ["no/such/folder"]),
        (None, ["t.csv", *GOOD, "--solver", "sgd", "--batch-size", "0"], ["batch_size", "0"]),
        (None, [], ["DATA"]),
    ],
)
def test_mistakes(mpiexec, tmp_path, ranks, damage, arguments, told):
    a_table(tmp_path / "t.csv")
    (tmp_path / "model.npz").write_text("what was there before")
    if damage:
        damage(tmp_path)
    before = sorted(os.listdir(tmp_path))
    if "--output" not in arguments and arguments:
        arguments = [*arguments, "--output", "model.npz"]
    done = fit(mpiexec, ranks, *arguments, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("dpmpi: error: ") == 1
    message = done.stderr.split("dpmpi: error: ")[1].lower()
    for words in told:
        assert words.lower() in message
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "model.npz").read_text() == "what was there before"


def test_sizes_that_differ(mpiexec, tmp_path):
    np.savez(tmp_path / "t.npz", X=np.zeros((4, 2)), y=np.zeros(5))
    done = fit(mpiexec, 2, "t.npz", "--model", "linear", cwd=tmp_path)
    assert done.returncode == 2
    assert "t.npz" in done.stderr
    assert "4" in done.stderr
    assert "5" in done.stderr


def test_a_file_that_one_rank_cannot_read(mpiexec, tmp_path):
    a_table(tmp_path / "t.csv")
    script = tmp_path / "job.py"
    script.write_text(
        "import os, sys, tempfile\n"
        "from mpi4py import MPI\n"
        "from dpmpi.cli import main\n"
        "if MPI.COMM_WORLD.rank == 1: os.chdir(tempfile.gettempdir())\n"
        "sys.exit(main(['fit', 't.csv', '--target', 'y', '--model', 'logistic']))\n"
    )
    done = mpiexec(3, str(script), cwd=tmp_path)
    assert done.returncode == 2
    assert "t.csv" in done.stderr
    assert "rank 1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 damaged"])
def test_predict_with_a_file_that_is_no_model(mpiexec, tmp_path, content):
    (tmp_path / "m.npz").write_bytes(content)
    done = mpiexec(3, "-m", "dpmpi", "predict", "m.npz", str(EXAMPLE), cwd=tmp_path)
    assert done.returncode == 2
    assert "m.npz" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["m.npz"]


def test_predict_with_a_column_missing(mpiexec, tmp_path):
    a_table(tmp_path / "t.csv")
    fit(mpiexec, 1, "t.csv", *GOOD, "--l2", 1, "--output", "m.npz", cwd=tmp_path)
    (tmp_path / "new.csv").write_text("a,c\n1,2\n")
    done = mpiexec(2, "-m", "dpmpi", "predict", "m.npz", "new.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "'b'" in done.stderr
