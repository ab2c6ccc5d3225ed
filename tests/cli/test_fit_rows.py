"""dpmpi fit on some of the rows, and on more rows: --validation, --drop-duplicates, --update."""

import json
import re
import shutil

import numpy as np
import pytest

from dpmpi import model_file
from dpmpi.cli import main

N = 700


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(1)
    age = rng.integers(18, 80, N).astype(float)
    store = rng.choice(["north", "south", "east"], N)
    y = 0.05 * age + (store == "south") * 2 + rng.normal(size=N).round(3)
    lines = [f"{'' if k % 7 == 0 else a},{s},{t:.4f}" for k, (a, s, t) in enumerate(zip(age, store, y, strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(["age,store,y", *lines]))
    (tmp_path / "twice.csv").write_text("\n".join(["age,store,y", *lines, *lines[:100], *lines]))
    (tmp_path / "a.csv").write_text("\n".join(["age,store,y", *lines[:300]]))
    (tmp_path / "b.csv").write_text("\n".join(["age,store,y", *lines[300:]]))
    return tmp_path


STEPS = ["--impute", "mean", "--scale", "standard", "--onehot", "store"]


def fit(mpiexec, ranks, folder, *arguments):
    done = mpiexec(
        ranks, "-m", "dpmpi", "fit", *arguments, "--report", "r.json", "--progress", "off", cwd=folder
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "r.json").read_text()), done.stdout


def test_rows_held_out_and_duplicates(mpiexec, table):
    found = []
    for ranks, path, memory in ((1, "t.csv", "1GB"), (3, "twice.csv", "20kB")):
        report, shown = fit(
            mpiexec, ranks, table, path, "--target", "y", "--model", "linear", "--l2", "0.01", *STEPS,
            "--validation", "0.3", "--drop-duplicates", "--max-memory", memory, "--output", "m.npz",
        )  # fmt: skip
        assert report["scaling"] == "folded into the coefficients"
        assert report["rows"] + report["validation"]["rows"] == N
        assert f"held out  {report['validation']['rows']} rows to validate with" in shown
        assert "held out  rmse" in shown
        assert report["streamed"] == (memory == "20kB")
        held_out = report["validation"]
        found.append([held_out["rows"], report["loss"], *held_out["metrics"].values(), *report["metrics"].values()])
    assert report["duplicates"] == N + 100
    assert f"dropped   {N + 100} duplicate rows of {2 * N + 100}" in shown
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    # Of the model as it was saved, the same rows' errors: nothing of them was learnt, and the folding is undone.
    whole = mpiexec(2, "-m", "dpmpi", "predict", "m.npz", "t.csv", "--report", "p.json", cwd=table)
    assert whole.returncode == 0, whole.stderr
    squares = [rows * part["rmse"] ** 2 for rows, part in ((report["rows"], report["metrics"]),
               (report["validation"]["rows"], report["validation"]["metrics"]))]  # fmt: skip
    assert json.loads((table / "p.json").read_text())["metrics"]["rmse"] ** 2 * N == pytest.approx(sum(squares))


def test_update(mpiexec, table):
    fit(mpiexec, 1, table, "a.csv", "--target", "y", "--model", "linear", *STEPS, "--output", "m.npz")
    first = model_file.load(table / "m.npz")
    models = []
    for ranks, memory in ((1, "1GB"), (3, "1GB")):
        shutil.copy(table / "m.npz", table / f"{ranks}.npz")
        report, shown = fit(
            mpiexec, ranks, table, "b.csv", "--update", f"{ranks}.npz", "--batch-size", "64", "--max-memory", memory
        )
        assert "on rows before they were learnt" in shown
        assert (report["rows"], report["metrics"]["r2"] > 0.4) == (400, True)
        models.append(model_file.load(table / f"{ranks}.npz"))
    one, three = models
    np.testing.assert_allclose(one.result.coef, three.result.coef, rtol=1e-9, atol=1e-12)
    assert one.pipeline == first.pipeline
    assert one.result.n_iter == first.result.n_iter + 1
    assert not np.array_equal(one.result.coef, first.result.coef)
    fit(mpiexec, 2, table, "b.csv", "--update", "1.npz", "--output", "new.npz", "--learning-rate", "0.01")
    assert model_file.load(table / "new.npz").result.state.n_calls == 2
    assert model_file.load(table / "1.npz").result.state.n_calls == 1


def test_a_scaling_that_would_lose_digits_is_done_row_by_row(mpiexec, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)) + np.array([1e9, 0])
    np.savetxt(tmp_path / "t.csv", x[:, [0, 1, 1]], delimiter=",", header="p,q,y", comments="", fmt="%.17g")
    report, shown = fit(mpiexec, 2, tmp_path, "t.csv", "--target", "y", "--model", "linear", "--scale", "standard")
    assert report["scaling"] == "row by row"
    assert re.search(r"scaling   row by row: column 'p' lies \d\.\de\+0[89] times its spread from zero", shown)
    assert report["metrics"]["r2"] == pytest.approx(1, abs=1e-10)


def test_clipped_binned_and_weighted_words(mpiexec, tmp_path):
    rows = [(-5, "good food"), (3, "bad food"), (99, "good good day"), (7, "day")] * 10
    lines = [f"{a},{a / 7},{text},{k % 3}" for k, (a, text) in enumerate(rows)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,note,y", *lines]))
    model = tmp_path / "m.npz"
    fit(
        mpiexec, 2, tmp_path, "t.csv", "--target", "y", "--model", "linear", "--l2", "1", "--clip", "a:0:50,b::1",
        "--log", "a", "--bin", "3:quantile", "--tfidf", "note", "--output", str(model),
    )  # fmt: skip
    clips_log_bin = model_file.load(model).pipeline.steps
    assert [type(step).__name__ for step in clips_log_bin] == ["Clip", "Clip", "Log", "Bin", "TfIdf"]
    assert (clips_log_bin[0].low, clips_log_bin[0].high, clips_log_bin[1].low) == (0, 50, -np.inf)
    np.testing.assert_allclose(clips_log_bin[3].edges[0], np.log1p(np.quantile([0, 3, 7, 50] * 10, [1 / 3, 2 / 3])))
    assert (clips_log_bin[4].rows, sorted(clips_log_bin[4].counts[0])) == (40, [10, 20, 20, 20])
    done = mpiexec(1, "-m", "dpmpi", "predict", str(model), "t.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "linear", "--validation", "1.5"], "validation must be a share above 0 and below 1, not 1.5"),
        (["--model", "linear", "--validation", "1e-9"], "holds out 0: too few rows to split"),
        (["--model", "linear", "--clip", "age:5:1"], "--clip takes COLUMN:LOW:HIGH with LOW <= HIGH"),
        (["--model", "linear", "--clip", "ag:1:5"], "column 'ag' is not among age"),
        (["--model", "linear", "--bin", "1"], "--bin takes the number of bins, 2 or more"),
        (["--model", "linear", "--bin", "5:odd"], "--bin takes the number of bins, 2 or more"),
        (
            ["--model", "linear", "--tfidf", "age", "--hash", "store,age"],
            "column 'age' is no text, or another step encodes it",
        ),
        ([], "name what to fit with --model: linear, logistic"),
        (["--update", "m.npz", "--l2", "1"], "--l2 does not go with --update"),
        (["--update", "m.npz", "--scale", "standard"], "--scale does not go with --update"),
        (["--update", "no.npz"], "no.npz: cannot read the model"),
    ],
)
def test_mistakes(capsys, monkeypatch, table, arguments, message):
    monkeypatch.chdir(table)
    columns = ["--columns", "age"] if "--update" not in arguments and "--tfidf" not in arguments else []
    with pytest.raises(SystemExit) as exit:
        main(["fit", "b.csv", "--target", "y", *arguments, *columns, *["--impute", "0"] * bool(columns)])
    assert exit.value.code == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("error") == 1
