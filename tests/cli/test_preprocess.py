"""dpmpi fit with preprocessing: saved in the model, applied by predict, the same from any number of ranks."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dpmpi import model_file
from dpmpi.cli import main
from dpmpi.cli.arrivals import Line
from dpmpi.cli.stream import Answers
from dpmpi.preprocess import Scale

N = 900


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(1)
    age = rng.integers(18, 80, N).astype(float)
    store = rng.choice(["north", "south", "east"], N)
    y = 0.05 * age + (store == "south") * 2 + rng.normal(size=N)
    lines = ["age,store,y"]
    lines += [f"{'' if k % 7 == 0 else a},{s},{t:.4f}" for k, (a, s, t) in enumerate(zip(age, store, y, strict=True))]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    return path


def test_fit_and_predict(mpiexec, tmp_path, table):
    losses, rmse = [], []
    for ranks, memory in ((1, "1GB"), (3, "20kB")):
        model, report, again = (tmp_path / f"{ranks}{name}" for name in ("m.npz", "r.json", "p.json"))
        done = mpiexec(
            ranks, "-m", "dpmpi", "fit", str(table), "--target", "y", "--model", "linear", "--impute", "mean",
            "--scale", "standard", "--onehot", "store", "--l2", "0.01", "--max-memory", memory,
            "--output", str(model), "--report", str(report),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = json.loads(report.read_text())
        assert found["columns"] == 4
        losses.append(found["loss"])
        done = mpiexec(
            ranks, "-m", "dpmpi", "predict", str(model), str(table), "--max-memory", memory, "--report", str(again),
            "--output", str(tmp_path / "p.csv"),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rmse.append(json.loads(again.read_text())["metrics"]["rmse"])
        assert rmse[-1] == pytest.approx(found["metrics"]["rmse"], rel=1e-12)
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    assert rmse[0] < 1.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--onehot", "stor"], "no column 'stor'; did you mean 'store'?"),
        (["--impute", "magic"], "--impute takes mean, median or a finite number, not 'magic'"),
        (["--onehot", "store"], "row 1 (line 2): column 'age' is empty"),
        (["--onehot", "store", "--impute", "0", "--log", "store"], "column 'store' is text; encode it first"),
    ],
)
def test_mistakes(mpiexec, table, arguments, message):
    done = mpiexec(2, "-m", "dpmpi", "fit", str(table), "--target", "y", "--model", "linear", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("error") == 1


def test_new_data_that_does_not_match(mpiexec, tmp_path, table):
    model = tmp_path / "m.npz"
    done = mpiexec(
        1, "-m", "dpmpi", "fit", str(table), "--target", "y", "--model", "linear", "--impute", "0", "--onehot",
        "store", "--output", str(model),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    new = tmp_path / "new.csv"
    for text, message in [
        ("age,store\n1,north\n2,west\n", "row 2: column 'store' is 'west', which no row had when the model was fitted"),
        ("age\n1\n", "no column 'store'"),
        ("age,store\nx,north\n", "row 1 (line 2): column 'age' is 'x', not a number"),
    ]:
        new.write_text(text)
        done = mpiexec(2, "-m", "dpmpi", "predict", str(model), str(new), "--output", str(tmp_path / "p.csv"))
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert not (tmp_path / "p.csv").exists()


def test_predictions_fold_a_last_scaling(tmp_path, table, monkeypatch):
    model, output = tmp_path / "m.npz", tmp_path / "p.csv"
    options = ["--impute", "mean", "--scale", "standard", "--onehot", "store", "--l2", "0.01"]
    main(["fit", str(table), "--target", "y", "--model", "linear", *options, "--output", str(model)])
    lines = table.read_text().splitlines()
    for memory in ("1GB", "20kB"):
        with monkeypatch.context() as patch:
            rows = []
            apply = Scale.apply
            patch.setattr(Scale, "apply", lambda self, columns: rows.append(len(columns.X)) or apply(self, columns))  # noqa: B023
            main(["predict", str(model), str(table), "--max-memory", memory, "--output", str(output)])
            assert not any(rows)
            saved, answered = model_file.load(model), []
            stream = Answers(saved, None, answered.append)
            stream.take([Line(k, line.encode()) for k, line in enumerate(lines, 1)])
            assert not any(rows)
        found = np.loadtxt(output, skiprows=1)
        assert b"".join(answered) == output.read_bytes()
    age, store = zip(*(line.split(",")[:2] for line in lines[1:]), strict=True)
    ages = np.array([float(a) if a else np.nan for a in age])
    mean = np.nanmean(ages)
    filled = np.where(np.isnan(ages), mean, ages)
    scaled = (filled - filled.mean()) / filled.std()
    encoded = np.array([[s == name for name in ("east", "north", "south")] for s in store])
    expected = np.column_stack([scaled, encoded]) @ saved.result.coef + saved.result.intercept
    assert_allclose(found, expected, rtol=1e-12)
