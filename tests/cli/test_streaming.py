"""dpmpi fit and predict on data larger than --max-memory."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

SMALL = "60kB"


@pytest.mark.parametrize("ranks", [1, 3])
def test_the_answer_is_that_of_memory(mpiexec, tmp_path, ranks):
    rng = np.random.default_rng(8)
    X = rng.normal(size=(3000, 4)).round(3)
    y = X.sum(axis=1) + rng.logistic(size=3000) > 0
    path = tmp_path / "t.csv"
    rows = np.column_stack([X, y, rng.integers(1, 4, 3000)]).tolist()
    path.write_text("a,b,c,d,y,w\n" + "\n".join(",".join(map(repr, row)) for row in rows))
    reports = []
    for memory in (SMALL, "1GB"):
        model, report, predictions = (tmp_path / f"{memory}.{kind}" for kind in ("npz", "json", "csv"))
        done = mpiexec(
            ranks, "-m", "dpmpi", "fit", str(path), "--target", "y", "--weight", "w", "--model", "logistic",
            "--max-memory", memory, "--cache", str(tmp_path / "cache"), "--report", str(report), "--output", str(model),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        reports.append(json.loads(report.read_text()))
        assert ("streamed" in done.stdout) == (memory == SMALL)
        done = mpiexec(
            ranks, "-m", "dpmpi", "predict", str(model), str(path), "--max-memory", memory,
            "--output", str(predictions),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert reports[0]["loss"] == pytest.approx(reports[1]["loss"], rel=1e-12)
    assert reports[0]["metrics"] == pytest.approx(reports[1]["metrics"], rel=1e-9)
    one, other = (np.loadtxt(tmp_path / f"{m}.csv", delimiter=",", skiprows=1) for m in (SMALL, "1GB"))
    assert_array_equal(one[:, 0], other[:, 0])


def test_an_amount_that_is_none(mpiexec):
    done = mpiexec(2, "-m", "dpmpi", "predict", "model.npz", "x.csv", "--max-memory", "lots")
    assert done.returncode == 2
    assert "'lots' is no amount of memory; write it as 256MiB or 2GB" in done.stderr
