"""New data that does not match the model: one message with file and row, exit status 2, nothing written."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpmpi import model_file
from dpmpi.cli import main
from dpmpi.preprocess import Impute, OneHot, Pipeline
from dpmpi.training.fit import FitResult

ENCODED = model_file.SavedModel(
    FitResult("linear", "lbfgs", np.ones(3), 0.5, 0.0, 1, True, "", [], 0.0, None),
    ["a"],
    "y",
    Pipeline((Impute(values=(7.0,)), OneHot(("s",), categories=(("x", "y"),))), ("a",), ("s",)),
)
PLAIN = model_file.SavedModel(
    FitResult("linear", "lbfgs", np.ones(2), 0.5, 0.0, 1, True, "", [], 0.0, None), ["a", "b"], "y"
)


def csv(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n")


def unseen(folder):
    csv(folder / "new.csv", "a,s", ["1,x"] * 30 + ["2,west"] + ["3,y"] * 9)
    return ENCODED, "new.csv", "new.csv: row 31: column 's' is 'west', which no row had when the model was fitted"


def unseen_in_one_of_many(folder):
    (folder / "parts").mkdir()
    csv(folder / "parts" / "1.csv", "a,s", ["1,x"] * 30)
    csv(folder / "parts" / "2.csv", "a,s", ["1,x", "2,", "3,y"])
    return ENCODED, "parts", "2.csv: row 2: column 's' is empty, which no row had when the model was fitted"


def a_column_of_text_missing(folder):
    csv(folder / "new.csv", "a,t", ["1,x"] * 5)
    return ENCODED, "new.csv", "new.csv: no column 's'"


def a_column_of_numbers_missing(folder):
    pq.write_table(pa.table({"a": [1.0, 2.0], "c": [1.0, 2.0]}), folder / "new.parquet")
    return PLAIN, "new.parquet", "new.parquet: no column 'b'"


def nan_in_parquet(folder):
    pq.write_table(pa.table({"a": [1.0] * 9, "b": [1.0] * 7 + [float("nan"), 1.0]}), folder / "new.parquet")
    return PLAIN, "new.parquet", "new.parquet: row 8: column 'b' is nan"


def nothing_in_csv(folder):
    csv(folder / "new.csv", "a,b", ["1,2"] * 20 + ["3,"])
    return PLAIN, "new.csv", "new.csv: row 21 (line 22): column 'b' is empty"


def infinity_with_imputation(folder):
    csv(folder / "new.csv", "a,s", ["1,x"] * 20 + ["inf,x"])
    return ENCODED, "new.csv", "new.csv: row 21 (line 22): column 'a' is 'inf'"


def nan_in_an_array(folder):
    np.save(folder / "new.npy", np.where(np.arange(20).reshape(10, 2) == 13, np.nan, 1.0))
    return PLAIN, "new.npy", "new.npy: row 7"


CASES = [
    unseen,
    unseen_in_one_of_many,
    a_column_of_text_missing,
    a_column_of_numbers_missing,
    nan_in_parquet,
    nothing_in_csv,
    infinity_with_imputation,
    nan_in_an_array,
]


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def case(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved, path, message = request.param(tmp_path)
    model_file.save(tmp_path / "m.npz", saved)
    before = sorted(os.listdir(tmp_path))
    yield path, message
    assert sorted(os.listdir(tmp_path)) == before


def test_on_one_rank(case, capsys):
    path, message = case
    with pytest.raises(SystemExit) as exit:
        main(["predict", "m.npz", path])
    told = capsys.readouterr().err
    assert (exit.value.code, told.count("error")) == (2, 1)
    assert message in told


def test_on_two_ranks(case, mpiexec, tmp_path):
    path, message = case
    done = mpiexec(2, "-m", "dpmpi", "predict", "m.npz", path, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr.count("error")) == (2, 1)
    assert message in done.stderr
