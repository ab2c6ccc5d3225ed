"""The files that a command writes: all of them or none, and never over what it reads."""

import json
import os

import numpy as np
import pytest

from dpmpi.cli import main


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    x = np.random.default_rng(0).normal(size=(40, 2))
    for name, rows in (("t.csv", x), ("parts/a.csv", x[:20]), ("parts/b.csv", x[20:])):
        lines = [f"{a!r},{b!r},{1 + a - 2 * b!r}" for a, b in rows.tolist()]
        (tmp_path / name).write_text("\n".join(["a,b,y", *lines]))
    fit("t.csv", "--output", "m.npz")
    return tmp_path


def fit(path, *arguments):
    model = () if "--update" in arguments else ("--target", "y", "--model", "linear")
    assert main(["fit", path, *model, *arguments]) == 0


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "t.csv", "--target", "y", "--model", "linear", "--output", "m.npz", "--report", "r.json"],
        ["fit", "t.csv", "--update", "m.npz", "--report", "r.json"],
        ["predict", "m.npz", "t.csv", "--output", "p.csv", "--report", "r.json"],
    ],
)
@pytest.mark.parametrize("at", [1, 2])
def test_one_output_that_has_no_room_leaves_all_as_they_were(table, monkeypatch, capsys, arguments, at):
    before, calls = contents(table), []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == at:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert "cannot be written: no space left" in capsys.readouterr().err
    assert contents(table) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fit", "t.csv", "--output", "x", "--report", "./x"], "./x: it would replace another output"),
        (["fit", "t.csv", "--output", "t.csv"], "t.csv: it would replace what t.csv reads"),
        (["fit", "t.csv", "--report", "link.csv"], "link.csv: it would replace what t.csv reads"),
        (["fit", "parts", "--output", "parts/b.csv"], "it would replace what parts reads"),
        (["fit", "parts/*.csv", "--report", "parts/a.csv"], "it would replace what parts/*.csv reads"),
        (["fit", "t.csv", "--update", "m.npz", "--report", "m.npz"], "m.npz: it would replace another output"),
        (["fit", "t.csv", "--update", "m.npz", "--output", "n.npz", "--report", "m.npz"], "what m.npz reads"),
        (["predict", "m.npz", "t.csv", "--output", "t.csv"], "t.csv: it would replace what t.csv reads"),
        (["predict", "m.npz", "t.csv", "--output", "m.npz"], "m.npz: it would replace what m.npz reads"),
        (["predict", "m.npz", "t.csv", "--output", "-", "--report", "t.csv"], "what t.csv reads"),
        (["groupby", "t.csv", "--by", "a", "--agg", "b:sum", "--output", "t.csv"], "what t.csv reads"),
    ],
)
def test_no_output_replaces_an_input_or_another(table, capsys, arguments, told):
    (table / "link.csv").symlink_to("t.csv")
    before = contents(table)
    model = ["--target", "y", "--model", "linear"] if arguments[0] == "fit" and "--update" not in arguments else []
    with pytest.raises(SystemExit) as exit:
        main([*arguments, *model])
    assert exit.value.code == 2
    assert told in capsys.readouterr().err
    assert contents(table) == before


def test_an_updated_model_may_be_written_where_it_was(table):
    fit("t.csv", "--update", "m.npz", "--output", "m.npz", "--report", "r.json")
    assert json.loads((table / "r.json").read_text())["n_iter"] > 1


def test_numbers_that_json_has_not_are_null(table):
    (table / "huge.csv").write_text("a,b,y\n" + "".join(f"{k},{k % 3},{k}e200\n" for k in range(1, 9)))
    assert main(["predict", "m.npz", "huge.csv", "--report", "r.json"]) == 0
    assert json.loads((table / "r.json").read_text())["metrics"]["rmse"] is None
    assert len((table / "predictions.csv").read_text().splitlines()) == 9
