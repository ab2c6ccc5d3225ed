"""Memory that is used again, and only where nobody holds it any more."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dpmpi import data
from dpmpi.data import stored
from dpmpi.data.buffers import Buffers

MATRIX = np.random.default_rng(0).normal(size=(4000, 5))


def test_memory_is_used_again_when_the_last_view_is_gone():
    buffers = Buffers()
    first = buffers.take((3, 4), np.dtype(np.float64))
    start, view = first.ctypes.data, first[1:, ::2]
    del first
    second = buffers.take((3, 4), np.dtype(np.float64))
    assert second.ctypes.data != start  # the view still holds the other
    view[:] = 1.0
    second[:] = 2.0
    assert (view == 1.0).all()
    del view
    assert buffers.take((2, 4), np.dtype(np.float32)).ctypes.data == start
    assert buffers.take((9, 9), np.dtype(np.float64)).shape == (9, 9)  # what is too small is given up


@pytest.mark.parametrize("columns", [None, [0, 1, 2], [3, 1], [2]])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, ">f8", np.int32])
def test_blocks_that_are_held_stay_as_they_are(tmp_path, columns, dtype):
    stored_rows = (10 * MATRIX).astype(dtype)
    np.save(tmp_path / "t.npy", stored_rows)
    dataset = data.open(tmp_path / "t.npy", target=-1, columns=columns, max_memory="32KiB")
    assert dataset.n_blocks > 5
    for _ in range(2):  # the second pass need not check the rows
        blocks = list(dataset.blocks())
        assert_array_equal(np.concatenate([block.X for block in blocks]), stored_rows[:, columns or [0, 1, 2, 3]])
        assert_array_equal(np.concatenate([block.y for block in blocks]), stored_rows[:, 4])


def test_a_file_that_changes_is_checked_again(tmp_path):
    path, bad = tmp_path / "t.npy", MATRIX.copy()
    bad[1234, 2] = np.nan
    np.save(path, MATRIX)
    dataset = data.open(path, target=-1, max_memory="32KiB")
    assert sum(len(block.y) for block in dataset.blocks()) == 4000
    np.save(path, bad)
    with pytest.raises(data.DataError, match="has changed"):
        next(dataset.blocks())
    with pytest.raises(data.DataError, match=r"\[1234, 2\] is nan"):
        list(data.open(path, target=-1, max_memory="32KiB").blocks())


def test_rows_that_are_not_read_in_order_are_checked(tmp_path):
    bad = MATRIX.copy()
    bad[3000, 2] = np.nan
    np.save(tmp_path / "t.npy", bad)
    file = data.open(tmp_path / "t.npy", target=-1, max_memory="32KiB")._reader._files[0]
    for start, stop in ((0, 100), (200, 300), (50, 150), (10, 20)):
        file.rows(start, stop)
    assert file._good.cover(0, 150)
    assert not file._good.cover(200, 300)
    with pytest.raises(Exception, match=r"\[3000, 2\] is nan"):
        file.rows(2900, 3100)


@pytest.mark.skipif(not stored.Plain(__file__)._only_cached, reason="this system does not tell what its cache holds")
def test_the_disk_is_asked_ahead_only_for_what_the_cache_has_not(tmp_path, monkeypatch):
    path = tmp_path / "bytes"
    content = np.random.default_rng(0).integers(0, 256, 3 << 20).astype(np.uint8)
    path.write_bytes(content)
    asked, preadv, cached = [], stored.os.preadv, [True]
    monkeypatch.setattr(stored.os, "posix_fadvise", lambda *told: asked.append(told[1:3]))

    def read(file, buffers, start, flags):
        if not cached[0]:
            raise BlockingIOError
        return preadv(file, [buffers[0][:1000]], start)  # less than was wanted

    monkeypatch.setattr(stored.os, "preadv", read)
    file, out = stored.Plain(str(path)), np.empty(1 << 20, np.uint8)
    file.read(5, out)
    assert_array_equal(out, content[5 : 5 + (1 << 20)])
    assert not asked
    cached[0] = False
    file.read(1 << 20, out)
    assert_array_equal(out, content[1 << 20 : 2 << 20])
    assert asked[0][0] == 1 << 20
    assert sum(asked[0]) >= 3 << 20
