import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmpi.partition import block


@given(n=st.integers(0, 10**12), size=st.integers(1, 300))
def test_blocks_cover_every_row_once_in_order(n, size):
    blocks = [block(n, size, rank) for rank in range(size)]
    assert blocks[0][0] == 0
    assert blocks[-1][1] == n
    assert all(left[1] == right[0] for left, right in itertools.pairwise(blocks))


@given(n=st.integers(0, 10**12), size=st.integers(1, 300))
def test_block_sizes_differ_by_at_most_one(n, size):
    sizes = [stop - start for start, stop in (block(n, size, rank) for rank in range(size))]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("n", "size", "expected"),
    [(0, 3, [(0, 0)] * 3), (2, 3, [(0, 1), (1, 2), (2, 2)]), (7, 2, [(0, 4), (4, 7)])],
)
def test_few_rows(n, size, expected):
    assert [block(n, size, rank) for rank in range(size)] == expected


@pytest.mark.parametrize(("n", "size", "rank"), [(-1, 1, 0), (1, 0, 0), (1, 2, 2), (1, 2, -1)])
def test_bad_arguments(n, size, rank):
    with pytest.raises(ValueError, match="block"):
        block(n, size, rank)
