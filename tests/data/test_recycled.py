"""Memory for blocks is used again when nobody refers to it, and never before."""

import numpy as np
from numpy.testing import assert_array_equal

from dpmpi import data
from dpmpi.data.recycled import Recycled

FLOAT = np.dtype(np.float64)


def test_memory_is_handed_out_again_when_it_is_free():
    memory = Recycled()
    first = memory.empty((5, 2), FLOAT)
    where = first.__array_interface__["data"]
    view = first[1:, :1]
    del first
    assert memory.empty((5, 2), FLOAT).__array_interface__["data"] != where  # the view is still there
    del view
    assert memory.empty((3, 2), FLOAT).__array_interface__["data"] == where
    assert memory.empty((6, 2), FLOAT).shape == (6, 2)


def test_more_arrays_than_are_kept():
    memory = Recycled()
    held = [memory.empty((4, 1), FLOAT) for _ in range(9)]
    assert len({array.__array_interface__["data"][0] for array in held}) == 9


def test_blocks_that_are_kept_stay_what_they_were(tmp_path):
    X = np.random.default_rng(0).normal(size=(5000, 6))
    np.save(tmp_path / "t.npy", X)
    dataset = data.open(tmp_path / "t.npy", target=-1, max_memory=100_000)
    blocks = list(dataset.blocks())
    assert len(blocks) > 9
    assert_array_equal(np.concatenate([block.X for block in blocks]), X[:, :-1])
    assert_array_equal(np.concatenate([block.y for block in blocks]), X[:, -1])
    kept = dataset.keep()
    for _ in dataset.blocks():
        pass
    assert_array_equal(np.concatenate([block.X for block in kept.blocks()]), X[:, :-1])
