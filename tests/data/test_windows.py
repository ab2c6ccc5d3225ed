"""Batches of a Dataset: every row once an epoch, the same batches on any number of ranks."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dpmpi import data
from dpmpi.data import windows

N = 1234


@pytest.fixture(params=["csv", "npy"])
def path(request, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "UNIT", 16)
    rows = np.column_stack([np.arange(N), np.arange(N) % 7])
    found = tmp_path / f"t.{request.param}"
    if request.param == "npy":
        np.save(found, rows)
    else:
        found.write_text("a,y\n" + "\n".join(f"{a},{y}" for a, y in rows))
    return found


def batches(on_ranks, path, size, epoch=0, window=None, seed=5, memory=None):
    memory = memory or ("1GB" if window is None else 3000)

    def call(ranks):
        dataset = data.open(path, ranks, target=-1, max_memory=memory)
        return [(block.X[:, 0], block.y) for block in dataset.batches(50, seed, epoch, window)]

    found = on_ranks(size, call)
    assert len({len(part) for part in found}) == 1, found
    for part in found:
        for a, y in part:
            assert_array_equal(a % 7, y)
    return [np.concatenate([part[k][0] for part in found]) for k in range(len(found[0]))], found


@pytest.mark.parametrize("window", [None, 16, 200, 10**6])
def test_the_same_batches_on_any_number_of_ranks(on_ranks, path, window):
    one, _ = batches(on_ranks, path, 1, window=window)
    assert_array_equal(np.sort(np.concatenate(one)), np.arange(N))
    assert max(map(len, one)) <= 50
    for size in (2, 3, 7):
        several, parts = batches(on_ranks, path, size, window=window)
        assert len(several) == len(one)
        for got, expected in zip(several, one, strict=True):
            assert_array_equal(got, expected)
        if window == 10**6:  # every rank works in every batch
            assert all(len(a) for part in parts for a, _ in part[:-1])


def test_a_window_of_all_rows_is_a_full_shuffle(on_ranks, path):
    full, window = (batches(on_ranks, path, 2, window=window)[0] for window in (None, 2000))
    for got, expected in zip(window, full, strict=True):
        assert_array_equal(np.sort(got), np.sort(expected))


def test_epochs_and_seeds_differ(on_ranks, path):
    for window in (None, 200):
        first = batches(on_ranks, path, 2, window=window)[0][0].tolist()
        assert first != batches(on_ranks, path, 2, epoch=1, window=window)[0][0].tolist()
        assert first != batches(on_ranks, path, 2, seed=6, window=window)[0][0].tolist()


def test_rows_that_do_not_fit(path):
    with pytest.raises(ValueError, match="give a window"):
        data.open(path, target=-1, max_memory=3000).batches(50)
    with pytest.raises(ValueError, match="above 0"):
        next(data.open(path, target=-1).batches(50, window=0))
