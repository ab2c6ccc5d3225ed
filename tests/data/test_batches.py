import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmpi.data.batches import Batches
from dpmpi.partition import block

SIZES = st.integers(1, 400)


def global_batches(batches, size, epoch):
    """Return each batch's global rows, put together from the ranks' parts."""
    ranges = [block(batches.n_rows, size, rank) for rank in range(size)]
    parts = [[start + rows for rows in batches.split(epoch, start, stop)] for start, stop in ranges]
    return [np.concatenate(rows).tolist() for rows in zip(*parts, strict=True)]


@given(n=SIZES, batch_size=SIZES, epoch=st.integers(0, 3))
def test_every_row_is_in_one_batch(n, batch_size, epoch):
    batches = Batches(n, batch_size)
    rows = [row for batch in global_batches(batches, 1, epoch) for row in batch]
    assert sorted(rows) == list(range(n))


@given(n=SIZES, batch_size=SIZES, size=st.integers(1, 9), epoch=st.integers(0, 3))
def test_batches_do_not_depend_on_the_number_of_ranks(n, batch_size, size, epoch):
    batches = Batches(n, batch_size, seed=5)
    assert global_batches(batches, size, epoch) == global_batches(batches, 1, epoch)


@given(n=SIZES, batch_size=SIZES)
def test_batch_sizes_are_even(n, batch_size):
    sizes = [len(rows) for rows in Batches(n, batch_size).split(0, 0, n)]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


def test_each_rank_has_its_fair_part_of_every_batch():
    batches = Batches(10_000, 100)
    for rank in range(4):
        sizes = [len(rows) for rows in batches.split(0, *block(10_000, 4, rank))]
        assert set(sizes) == {25}


def test_epochs_and_seeds_shuffle_differently():
    first = global_batches(Batches(100, 10), 1, 0)
    assert global_batches(Batches(100, 10), 1, 0) == first
    assert global_batches(Batches(100, 10), 1, 1) != first
    assert global_batches(Batches(100, 10, seed=1), 1, 0) != first


def test_positions_are_uniform():
    """Each place of a stripe falls into each batch equally often, within five standard deviations."""
    n_batches, stripes = 8, 4000
    rows = Batches(n_batches * stripes, stripes).split(0, 0, n_batches * stripes)
    counts = np.array([np.bincount(batch % n_batches, minlength=n_batches) for batch in rows])
    assert np.abs(counts - stripes / n_batches).max() < 5 * np.sqrt(stripes / n_batches)


@pytest.mark.parametrize(("n", "batch_size"), [(0, 5), (5, 0), (5, -1)])
def test_bad_arguments(n, batch_size):
    with pytest.raises(ValueError, match="batches need"):
        Batches(n, batch_size)
