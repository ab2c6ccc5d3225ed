"""Models of arrays, whose columns have numbers but no names, on rows of all columns and of fewer."""

import json
from pathlib import Path

import numpy as np
import pytest

from dpmpi import model_file
from dpmpi.cli import main
from dpmpi.cli.arrivals import Line
from dpmpi.cli.stream import Answers


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Columns x0, x1, x2, weight, y = 3 x0 - x1 + 5; y holds nothing of x2."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 3))
    all_columns = np.column_stack([x, rng.random(60) + 0.1, 3 * x[:, 0] - x[:, 1] + 5])
    np.save("all.npy", all_columns)
    return all_columns


def fit(*arguments):
    assert main(["fit", "all.npy", "--target", "-1", "--model", "linear", "--output", "m.npz", *arguments]) == 0


def rmse(*arguments):
    assert main([*arguments, "--report", "r.json"]) == 0
    return json.loads(Path("r.json").read_text())["metrics"]["rmse"]


def predicted():
    return np.loadtxt("predictions.csv", skiprows=1)


@pytest.mark.parametrize(
    "fitted",
    [
        ["--columns", "1,0"],
        ["--columns", "0,1", "--weight", "3"],
        ["--columns=-4,0"],
        ["--weight", "-2"],
        ["--columns", "1,0", "--scale", "standard"],
    ],
)
@pytest.mark.parametrize("extra", [[], ["--scatter"]])
def test_the_same_columns_are_taken_again(rows, fitted, extra):
    fit(*fitted, *extra)
    assert rmse("predict", "m.npz", "all.npy", *extra) < 1e-6
    assert rmse("fit", "all.npy", "--update", "m.npz", "--learning-rate", "1e-9", *extra) < 1e-6


def test_rows_of_the_fitted_columns_alone(rows):
    fit("--weight", "3")
    np.save("some.npy", rows[:, :3])
    assert main(["predict", "m.npz", "some.npy"]) == 0
    np.testing.assert_allclose(predicted(), rows[:, 4], atol=1e-6)
    np.savez("some.npz", X=rows[:, :3], y=rows[:, 4])
    assert rmse("predict", "m.npz", "some.npz") < 1e-6


@pytest.mark.parametrize(
    ("fitted", "width", "told"),
    [
        ("1,0", 2, "2 columns, but the model was fitted on 2 of 5, given by number; give rows of all 5\n"),
        ("0,1", 3, "3 columns, but the model was fitted on 2 of 5, given by number; give rows of all 5, or of only"),
        ("1,0", 6, "6 columns, but the model was fitted on 2 of 5"),
    ],
)
def test_columns_that_cannot_be_told(rows, capsys, fitted, width, told):
    fit("--columns", fitted)
    np.save("new.npy", np.column_stack([rows, rows])[:, :width])
    with pytest.raises(SystemExit) as exit:
        main(["predict", "m.npz", "new.npy"])
    assert exit.value.code == 2
    assert told in capsys.readouterr().err


def test_sparse_rows(rows, capsys):
    np.savez("x.npz", X=rows[:, :2], y=rows[:, 4])
    lines = [f"{y!r} 1:{a!r} 2:{b!r}" for a, b, y in rows[:, [0, 1, 4]].tolist()]
    Path("x.svm").write_text("\n".join(lines))
    main(["fit", "x.npz", "--model", "linear", "--output", "m.npz"])
    assert rmse("predict", "m.npz", "x.svm") < 1e-6
    main(["fit", "x.npz", "--columns", "1,0", "--model", "linear", "--output", "m.npz"])
    with pytest.raises(SystemExit):
        main(["predict", "m.npz", "x.svm"])
    assert "x.svm: X is sparse: its columns cannot be chosen" in capsys.readouterr().err


def test_named_columns_and_lines(rows):
    fit("--columns", "1,0")
    np.savetxt("t.csv", rows, delimiter=",", header="p,q,r,s,t", comments="", fmt="%.17g")
    assert rmse("predict", "m.npz", "t.csv", "--target", "t") < 1e-6
    saved = model_file.load("m.npz")
    for header, write in (("p,q,r,s,t", ",".join), ("", lambda cells: f"[{','.join(cells)}]")):
        written = []
        answers = Answers(saved, None, written.append)
        text = [header] * bool(header) + [write(map(repr, row)) for row in rows.tolist()]
        answers.take([Line(k, line.encode()) for k, line in enumerate(text, 1)])
        got = [float(line.split(b":")[-1].strip(b" }")) for line in b"".join(written).splitlines()[bool(header) :]]
        np.testing.assert_allclose(got, rows[:, 4], atol=1e-6)


def test_models_of_before_take_columns_as_they_come(rows):
    fit("--columns", "0,1")
    old = {name: part for name, part in np.load("m.npz").items() if not name.startswith("picked")}
    np.savez("old.npz", **old)
    assert model_file.load("old.npz").picked is None
    np.save("new.npy", rows[:, :2])
    assert main(["predict", "old.npz", "new.npy"]) == 0
    np.testing.assert_allclose(predicted(), rows[:, 4], atol=1e-6)
