"""A column that is taken for numbers can be read as numbers."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dpmpi import data


@pytest.mark.parametrize(
    "cell", ["", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "N/A", "NA", "NULL", "n/a", "null", "nan", "NaN"]
)
def test_missing_cells(tmp_path, cell):
    (tmp_path / "t.csv").write_text(f"v,w\n7,1\n{cell},2\n8.5,3\n")
    assert data.find_kinds(tmp_path / "t.csv").text == ()
    X = data.open(tmp_path / "t.csv", missing=True).load().X
    assert_array_equal(X, [[7, 1], [np.nan, 2], [8.5, 3]])


@pytest.mark.parametrize("cell", ["Null", "na", "-", "None", "12x", "<NA>", " "])
def test_texts(tmp_path, cell):
    (tmp_path / "t.csv").write_text(f"v,w\n7,1\n{cell},2\n")
    assert data.find_kinds(tmp_path / "t.csv").text == ("v",)


def test_files_that_only_rank_0_sees(on_ranks, tmp_path):
    (tmp_path / "t.csv").write_text("v,s,w\n7,x,1\n")

    def call(ranks):
        path = tmp_path / ("t.csv" if ranks.rank == 0 else "elsewhere.csv")
        return data.find_kinds(path, ranks, scatter=True).text

    assert on_ranks(3, call) == [("s",)] * 3
