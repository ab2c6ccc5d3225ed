"""What all ranks agree on before any reads: the file and its format."""

import gzip
import re

import numpy as np
import pytest

from dpmpi.data import DataError, read
from dpmpi.data.errors import name_ranks
from dpmpi.data.ranks import OneRank
from dpmpi.data.source import agree_sources


def test_where_gzip_data_is_damaged(on_ranks, tmp_path):
    text = np.random.default_rng(0).bytes(300_000).hex().encode()
    content = gzip.compress(text)
    (tmp_path / "t.csv.gz").write_bytes(content[: len(content) // 2])
    for error in on_ranks(2, lambda ranks: read(tmp_path / "t.csv.gz", ranks)):
        found = re.search(r"t\.csv\.gz: the gzip data is damaged or cut short behind (\d+) bytes of text", str(error))
        assert len(text) // 3 < int(found[1]) <= len(text) // 2


def test_missing(on_ranks, tmp_path):
    for error in on_ranks(3, lambda ranks: read(tmp_path / "none.csv", ranks)):
        assert type(error) is DataError
        assert str(error) == f"{tmp_path / 'none.csv'}: no such file or directory"
    with pytest.raises(DataError, match="there is no file in it"):
        read(tmp_path)
    with pytest.raises(DataError, match="null"):
        read("a\0b.csv")


def test_missing_on_some_ranks(on_ranks, tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "t.csv").write_text("a\n1\n")

    def call(ranks):
        return read(tmp_path / ("1" if ranks.rank in (1, 2, 4) else "0") / "t.csv", ranks)

    errors = on_ranks(5, call)
    for error in errors:
        assert type(error) is DataError
        assert "no such file or directory on ranks 1-2, 4, though the other ranks can read it" in str(error)


@pytest.mark.parametrize(
    ("other", "part"), [("a\n22\n", "4 bytes on rank 0, 5 bytes on rank 2"), ("a\n2\n", "other content on rank 2")]
)
def test_different_on_some_ranks(on_ranks, tmp_path, other, part):
    for rank in range(3):
        (tmp_path / f"{rank}.csv").write_text(other if rank == 2 else "a\n1\n")
    for error in on_ranks(3, lambda ranks: read(tmp_path / f"{ranks.rank}.csv", ranks)):
        assert "the ranks see different files" in str(error)
        assert part in str(error)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"-1 3:1 11:1 \n", "libsvm"),
        (b"# head\n\n+1 qid:3 3:1.5e3 # x\r\n", "libsvm"),
        (b"1 " + b" ".join(b"%d:1" % j for j in range(1, 20000)), "libsvm"),
        (b"a,b\n1,2\n", "csv"),
        (b"a\tb, c\n1\t2\n", "tsv"),
    ],
)
def test_the_format_is_told_from_the_content(tmp_path, content, expected):
    path = tmp_path / "data.t"
    path.write_bytes(content)
    assert agree_sources(path, OneRank())[0].format == expected


def test_arrays_are_told_from_the_content(tmp_path):
    for save, expected in ((np.save, "npy"), (np.savez, "npz")):
        with open(tmp_path / "t", "wb") as file:
            save(file, np.eye(2))
        assert agree_sources(tmp_path / "t", OneRank())[0].format == expected


@pytest.mark.parametrize("content", [b"hello world\n1 2\n", b"1 2 3\n", b"\0,\0", b"\n\n"])
def test_a_format_that_cannot_be_told(on_ranks, tmp_path, content):
    path = tmp_path / "data.t"
    path.write_bytes(content)
    for error in on_ranks(2, lambda ranks: read(path, ranks)):
        assert type(error) is DataError
        assert "cannot tell the format" in str(error)
        assert "csv, tsv, npy, npz, libsvm, parquet, hdf5" in str(error)


def test_format_forces(tmp_path):
    path = tmp_path / "data.npy"
    path.write_text("a\n1\n")
    assert read(path, format="csv").columns == ("a",)
    with pytest.raises(DataError, match="unknown format 'xls'; accepted: csv, tsv"):
        read(path, format="xls")


def test_name_ranks():
    assert name_ranks([3]) == "rank 3"
    assert name_ranks([7, 0, 1, 2]) == "ranks 0-2, 7"
