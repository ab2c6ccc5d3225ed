"""Columns of dates become seconds since 1970; what is none is named."""

import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from dpmpi import data
from dpmpi.data import DataError

DAYS = [datetime.datetime(1969, 12, 31), datetime.datetime(2024, 5, 1, 12, 30), datetime.datetime(1970, 1, 1)]
SECONDS = [-86400.0, 1714566600.0, 0.0]


def table(**parts):
    zone = datetime.timezone(datetime.timedelta(hours=2))
    return pa.table(
        {
            "x": [1.0, 2, 3],
            "day": pa.array([day.date() for day in DAYS]),
            "time": pa.array([day.replace(tzinfo=datetime.timezone.utc).astimezone(zone) for day in DAYS]),
            "y": [0.5, 1, 2],
        }
        | parts
    )


@pytest.mark.parametrize("size", [1, 2])
def test_dates_of_both_formats(on_ranks, tmp_path, size):
    pq.write_table(table(), tmp_path / "t.parquet")
    lines = [f"{k},{day:%Y-%m-%d},{day:%Y-%m-%dT%H:%M:%S},{k}" for k, day in enumerate(DAYS)]
    (tmp_path / "t.csv").write_text("\n".join(["x,day,time,y", *lines]))
    for name in ("t.parquet", "t.csv"):
        path = tmp_path / name
        wanted = {"target": "y", "dates": ["time", "day"]}
        parts = on_ranks(size, lambda ranks: data.open(path, ranks, **wanted).load().X)  # noqa: B023
        X = np.concatenate(parts)
        assert_array_equal(X[:, 1], np.floor(np.array(SECONDS) / 86400) * 86400)
        assert_array_equal(X[:, 2], SECONDS)


@pytest.mark.parametrize("size", [1, 3])
def test_times_with_and_without_a_zone(on_ranks, tmp_path, size):
    noon = 1714564800.0  # 2024-05-01 12:00 UTC
    texts = {
        "2024-05-01T12:00:00Z": noon, "2024-05-01 14:00:00+02:00": noon, "2024-05-01 10:30:00.25-0130": noon + 0.25,
        "2024-05-01T14:00+02": noon, "2024-05-01T12Z": noon, "2024-05-01 12:00": noon, "2024-05-01": noon - 43200,
        "2024-05-01 12:00:00": noon, "": np.nan,
    }  # fmt: skip
    (tmp_path / "t.csv").write_text("x,s,day\n" + "".join(f"1,a,{text}\n" for text in texts))
    for text in ([], ["s"]):
        wanted = {"columns": ["x", "day"], "dates": ["day"], "missing": True, "text": text}
        parts = on_ranks(
            size,
            lambda ranks: [b.X[:, 1] for b in data.open(tmp_path / "t.csv", ranks, **wanted).blocks()],  # noqa: B023
        )
        assert_array_equal(np.concatenate([part for blocks in parts for part in blocks]), list(texts.values()))
    (tmp_path / "bad.csv").write_text("x,day\n1,2024-05-01T12:00Z\n2,2024-05-01T12:00 CEST\n")
    with pytest.raises(DataError, match=r"row 2 \(line 3\): column 'day' is '2024-05-01T12:00 CEST', not a date"):
        data.open(tmp_path / "bad.csv", dates=["day"]).load()


def test_missing_dates(tmp_path):
    (tmp_path / "t.csv").write_text("x,day\n1,2024-05-01\n2,\n")
    ((X, *_),) = data.open(tmp_path / "t.csv", dates=["day"], missing=True).blocks()
    assert np.isnan(X).tolist() == [[False, False], [False, True]]
    with pytest.raises(DataError, match=r"row 2 \(line 3\): column 'day' is empty"):
        data.open(tmp_path / "t.csv", dates=["day"]).load()
    pq.write_table(table(day=pa.array([DAYS[0].date(), None, DAYS[1].date()])), tmp_path / "t.parquet")
    ((X, *_),) = data.open(tmp_path / "t.parquet", dates=["day", "time"], missing=True).blocks()
    assert np.isnan(X[:, 1]).tolist() == [False, True, False]


def test_what_is_no_date(tmp_path):
    (tmp_path / "t.csv").write_text("x,day\n1,2024-05-01\n2,1.5.2024\n")
    with pytest.raises(DataError, match=r"row 2 \(line 3\): column 'day' is '1.5.2024', not a date; write dates as"):
        data.open(tmp_path / "t.csv", dates=["day"]).load()
    with pytest.raises(DataError, match="column 'day' is '2024-05-01', not a number"):
        data.open(tmp_path / "t.csv").load()
    pq.write_table(table(), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column 'day' holds date32.*name it in dates"):
        data.open(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="column 'x' holds double, not dates"):
        data.open(tmp_path / "t.parquet", dates=["x", "day", "time"])
    with pytest.raises(DataError, match="no column 'dya'; did you mean 'day'"):
        data.open(tmp_path / "t.csv", dates=["dya"])
    np.save(tmp_path / "t.npy", np.ones((2, 2)))
    with pytest.raises(DataError, match="a npy file has no dates such as 'day'"):
        data.open(tmp_path / "t.npy", dates=["day"])
