"""The binary copy of text: the same rows from any number of ranks, made anew when it has to be, never half of one."""

import errno
import gzip
import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse  # here, and not first by a reader: it may take long, and a test's time is limited

from dpmpi import data
from dpmpi.data import DataError, cache

ROWS = 500


def write(path, first=0):
    if ".svm" in path.name:
        text = "".join(f"{k % 2} 1:{k + first} {2 + k % 3}:{k}.5\n" for k in range(ROWS))
    else:
        text = "a,y,w,b\n" + "".join(f"{k + first},{k % 2},{k % 3},{'' if k % 7 == 0 else k}\n" for k in range(ROWS))
    if path.suffix == ".gz":
        with gzip.open(path, "wt") as file:
            file.write(text)
    else:
        path.write_text(text)


def load(path, ranks=None, **wanted):
    if ".csv" in path.name:
        wanted = {"target": "y", "weight": "w", "missing": True} | wanted
    dataset = data.open(path, ranks, **wanted)
    blocks = list(dataset.blocks())
    X = np.concatenate([b.X.toarray() if sparse.issparse(b.X) else b.X for b in blocks or [dataset.empty()]])
    parts = [np.concatenate(parts) for parts in list(zip(*blocks, strict=True))[1:] if parts[0] is not None]
    return dataset, [X, *parts]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.svm"])
@pytest.mark.parametrize("writers", [1, 3])
def test_the_copy_holds_the_same_rows(on_ranks, tmp_path, monkeypatch, name, writers):
    monkeypatch.setattr(cache, "PART_BYTES", 2000)
    write(tmp_path / name)
    expected = load(tmp_path / name)
    folder = tmp_path / "cache"
    for size in (writers, 1, 4):
        told = on_ranks(size, lambda ranks: load(tmp_path / name, ranks, cache=folder))
        for k, part in enumerate(expected[1]):
            assert_array_equal(np.concatenate([parts[k] for _, parts in told]), part)
        for dataset, _ in told:
            assert (dataset.columns, dataset.target) == (expected[0].columns, expected[0].target)
            assert (dataset.n_rows, dataset.format) == (ROWS, "npz")
    assert len(os.listdir(folder)) == 1


def test_the_text_is_read_once_until_it_changes(tmp_path, monkeypatch):
    path, folder = tmp_path / "t.csv", tmp_path / "cache"
    built = []
    build = cache._build
    monkeypatch.setattr(cache, "_build", lambda *arguments: (built.append(1), build(*arguments)))
    write(path)
    load(path, cache=folder)
    load(path, cache=folder)
    assert len(built) == 1
    write(path, first=10)
    assert load(path, cache=folder)[1][0][0, 0] == 10
    assert len(built) == 2
    os.utime(path, ns=(1, 1))
    load(path, cache=folder)
    assert len(built) == 3
    load(path, cache=folder, columns=["a"])  # other columns are another copy
    assert len(built) == 4
    assert len(os.listdir(folder)) == 2


def test_a_damaged_copy_is_made_anew(on_ranks, tmp_path):
    path, folder = tmp_path / "t.csv", tmp_path / "cache"
    write(path)
    on_ranks(2, lambda ranks: load(path, ranks, cache=folder))
    part = sorted(folder.glob("*/part-*.npz"))[1]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    for _, parts in on_ranks(2, lambda ranks: load(path, ranks, cache=folder)):
        assert (np.diff(parts[0][:, 0]) == 1).all()
    part.unlink()
    assert len(load(path, cache=folder)[1][0]) == ROWS


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"version": 1}', '{"checksum": 0, "copy": {}}', "[" * 9, ""])
def test_a_damaged_manifest_is_a_copy_to_be_made_anew(on_ranks, tmp_path, text):
    path, folder = tmp_path / "t.csv", tmp_path / "cache"
    write(path)
    load(path, cache=folder)
    (manifest,) = folder.glob("*/manifest.json")
    whole = manifest.read_text()
    for damaged in (text, whole.replace('"columns": [', '"columns": 5, "other": [')):
        manifest.write_text(damaged)
        for _, parts in on_ranks(2, lambda ranks: load(path, ranks, cache=folder)):
            assert parts[0].shape[1] == 2
        assert '"columns": [' in manifest.read_text()


def test_patterns_and_folders_with_magic_in_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k in range(3):
        write(tmp_path / f"part-{k}.csv", first=k * ROWS)
    (tmp_path / "[a]").mkdir()
    for pattern in ("part-[0-9].csv", "part-?.csv", "*t-*.csv"):
        for _ in range(2):
            _, parts = load(tmp_path / pattern, cache="[a]")
            assert_array_equal(parts[0][:, 0], np.arange(3 * ROWS))


@pytest.mark.parametrize("size", [1, 3])
def test_a_bad_row_found_later_is_named_by_its_place_in_the_text(on_ranks, tmp_path, monkeypatch, size):
    monkeypatch.setattr(cache, "PART_BYTES", 2000)
    (tmp_path / "text").mkdir()
    for k, name in enumerate(("0.csv", "1.csv", "2.csv")):
        write(tmp_path / "text" / name, first=k * ROWS)

    def check(block):
        bad = np.flatnonzero(np.isin(block.X[:, 0], [ROWS + 70, 2 * ROWS + 3]))
        if len(bad):
            raise data.BadRow.at(int(bad[0]), "a is not liked")
        return block

    def read(ranks):
        dataset = data.open(tmp_path / "text", ranks, target="y", cache=tmp_path / "cache", missing=True)
        dataset.map(check).load()

    for _ in range(2):
        for error in on_ranks(size, read):
            assert str(error) == f"{tmp_path}/text/1.csv: row 71: a is not liked"


@pytest.mark.parametrize("old", [False, True])
def test_of_jobs_that_make_a_copy_at_once_the_first_to_finish_wins(on_ranks, tmp_path, monkeypatch, old):
    path, folder = tmp_path / "t.csv", tmp_path / "cache"
    write(path, first=10)
    if old:
        load(path, cache=folder)
        write(path)
    others = []
    write_parts = cache._write_parts

    def meanwhile(text, temporary, rank):
        parts = write_parts(text, temporary, rank)
        if rank == 0 and not others:
            others.append(None)
            others[0] = data.open(path, target="y", weight="w", missing=True, cache=folder)
        return parts

    monkeypatch.setattr(cache, "_write_parts", meanwhile)
    told = on_ranks(2, lambda ranks: load(path, ranks, cache=folder))
    (expected,) = (block.X for block in others[0].blocks())  # its files are those that it found
    assert_array_equal(np.concatenate([parts[0] for _, parts in told]), expected)
    assert expected[0, 0] == (0 if old else 10)
    assert len(os.listdir(folder)) == 1


def test_what_a_killed_job_left_is_removed_later(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    left = [folder / ".dpmpi-0123.tmp", folder / ".dpmpi-4567.tmp.old"]
    for path in left:
        path.mkdir(parents=True)
        (path / "part-000000-000000.npz").write_bytes(b"half")
    write(tmp_path / "t.csv")
    load(tmp_path / "t.csv", cache=folder)
    assert all(path.exists() for path in left)  # its writer may still be at work
    monkeypatch.setattr(cache, "STALE_SECONDS", -1)
    write(tmp_path / "t.csv", first=1)
    load(tmp_path / "t.csv", cache=folder)
    assert not any(path.exists() for path in left)
    assert len(os.listdir(folder)) == 1


@pytest.mark.parametrize("size", [1, 3])
def test_a_full_disk_leaves_nothing(on_ranks, tmp_path, monkeypatch, size):
    path, folder = tmp_path / "t.csv", tmp_path / "cache"
    write(path)
    load(path, cache=folder)
    before = {file: file.read_bytes() for file in folder.glob("*/*")}
    write(path, first=3)

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    for error in on_ranks(size, lambda ranks: load(path, ranks, cache=folder)):
        assert type(error) is DataError
        assert "the cache cannot be written: no space left on device" in str(error)
    assert {file: file.read_bytes() for file in folder.glob("*/*")} == before
    assert len(os.listdir(folder)) == 1


def test_a_bad_row_leaves_nothing(on_ranks, tmp_path):
    path, folder = tmp_path / "t.csv", tmp_path / "cache"
    path.write_text("a,y,w,b\n" + "1,2,3,4\n" * 50 + "1,x,3,4\n")
    for error in on_ranks(2, lambda ranks: load(path, ranks, cache=folder)):
        assert "row 51 (line 52): column 'y' is 'x', not a number" in str(error)
    assert os.listdir(folder) == []


def test_what_cannot_be_cached(tmp_path):
    path = tmp_path / "t.csv"
    write(path)
    with pytest.raises(DataError, match="a cache holds numbers only"):
        load(path, cache=tmp_path, text=["b"])
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the cache cannot be written"):
        load(path, cache=tmp_path / "file" / "cache")
    np.save(tmp_path / "t.npy", np.ones((4, 2)))
    assert load(tmp_path / "t.npy", cache=tmp_path / "cache")[0].format == "npy"
