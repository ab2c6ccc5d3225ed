"""dpmpi describe and groupby give what pandas gives."""

import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

N = 700


@pytest.fixture
def frame():
    rng = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "price": rng.normal(5, 2, N).round(3),
            "sold": np.where(rng.random(N) < 0.1, np.nan, rng.integers(0, 50, N)),
            "store": rng.choice(["north", "south", "Köln"], N),
            "day": rng.choice(["mon", "tue"], N),
        }
    )


@pytest.fixture(params=["csv", "parquet"])
def path(request, tmp_path, frame):
    found = tmp_path / f"t.{request.param}"
    frame.to_csv(found, index=False) if request.param == "csv" else frame.to_parquet(found)
    return found


def run(mpiexec, ranks, *arguments):
    done = mpiexec(ranks, "-m", "dpmpi", *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("ranks", [1, 3])
def test_describe(mpiexec, path, frame, ranks):
    told = json.loads(run(mpiexec, ranks, "describe", path, "--json", "--max-memory", "20kB"))
    expected = frame.describe()
    for name in ("price", "sold"):
        for label in expected.index:
            assert told[name][label] == pytest.approx(expected[name][label], rel=1e-12)
    assert told["sold"]["missing"] == frame["sold"].isna().sum()
    assert told["store"]["top"] == frame["store"].value_counts().to_dict()
    assert told["store"]["unique"] == 3


def test_the_printed_table(mpiexec, path, frame):
    lines = run(mpiexec, 2, "describe", path).splitlines()
    assert lines[0].split() == ["count", "missing", "mean", "std", "min", "25%", "50%", "75%", "max"]
    assert lines[1].split()[:3] == ["price", "700", "0"]
    assert lines[3].startswith("store  count 700, missing 0, unique 3: ")


@pytest.mark.parametrize("ranks", [1, 3])
def test_describe_names_what_it_leaves_out(mpiexec, tmp_path, ranks):
    table = pa.table({"l": [[1], [2]], "a": [1.5, 2.5], "t": pa.array([0, 60], pa.timestamp("s")), "s": ["x", "y"]})
    pq.write_table(table, tmp_path / "t.parquet")
    told = json.loads(run(mpiexec, ranks, "describe", tmp_path / "t.parquet", "--json", "--text", "t"))
    assert told["l"] == {"left out": "list<element: int64>"}
    assert (told["a"]["mean"], told["s"]["unique"], told["t"]["unique"]) == (2.0, 2, 2)
    lines = run(mpiexec, ranks, "describe", tmp_path / "t.parquet").splitlines()
    assert "t  left out: timestamp[ms]; name it in dates" in lines
    told = json.loads(run(mpiexec, ranks, "describe", tmp_path / "t.parquet", "--json", "--dates", "t"))
    assert told["t"]["mean"] == 30.0


def test_describe_of_nothing_that_can_be_read(mpiexec, tmp_path):
    pq.write_table(pa.table({"l": [[1], [2]]}), tmp_path / "t.parquet")
    done = mpiexec(2, "-m", "dpmpi", "describe", str(tmp_path / "t.parquet"))
    assert done.returncode == 2
    assert "t.parquet: no column can be read: 'l' holds list<element: int64>" in done.stderr


@pytest.mark.parametrize("ranks", [1, 3])
def test_groupby(mpiexec, path, frame, ranks):
    out = run(mpiexec, ranks, "groupby", path, "--by", "store,day", "--agg", "price:sum,mean", "sold:count,std,min,max")
    got = pd.read_csv(io.StringIO(out))
    groups = frame.groupby(["store", "day"])
    expected = groups.agg(
        rows=("price", "size"), price_sum=("price", "sum"), price_mean=("price", "mean"), sold_count=("sold", "count"),
        sold_std=("sold", "std"), sold_min=("sold", "min"), sold_max=("sold", "max"),
    ).reset_index()  # fmt: skip
    assert list(got.columns) == list(expected.columns)
    assert got[["store", "day"]].equals(expected[["store", "day"]])
    assert_allclose(got.iloc[:, 2:].to_numpy(float), expected.iloc[:, 2:].to_numpy(float), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "stor", "--agg", "price:sum"], "no column 'stor'; did you mean 'store'?"),
        (["--by", "store", "--agg", "price"], "--agg takes COLUMN:HOW,..."),
        (["--by", "store", "--agg", "price:median"], "unknown aggregate 'median'; choose of count, sum"),
        (["--by", "store", "--agg", "day:sum"], "column 'day'"),
    ],
)
def test_mistakes(mpiexec, path, arguments, message):
    done = mpiexec(2, "-m", "dpmpi", "groupby", str(path), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
