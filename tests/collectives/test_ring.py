"""The ring's arithmetic, without messages and without the memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmpi.collectives import ring

LARGE = st.integers(0, 2**40)


@given(n=LARGE, size=st.integers(1, 64))
def test_chunks_cover_the_buffer(n, size):
    bounds = ring.chunk_bounds(n, size)
    assert bounds[0] == 0
    assert bounds[-1] == n
    assert bounds == sorted(bounds)
    assert len(bounds) == size + 1


@given(start=st.integers(0, 100), n=st.integers(0, 1000), length=st.integers(1, 50))
def test_segments_cover_a_chunk(start, n, length):
    pieces = list(ring.segments(start, start + n, length))
    assert [i for low, high in pieces for i in range(low, high)] == list(range(start, start + n))
    assert all(high - low <= length for low, high in pieces)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_schedule_reduces_every_element_once_per_rank(n, size):
    """Play reduce-scatter and all-gather with sets of ranks instead of numbers."""
    bounds = ring.chunk_bounds(n, size)
    buffers = [[{rank} for _ in range(n)] for rank in range(size)]
    plans = [ring.schedule(bounds, rank, rank - 1, 3) for rank in range(size)]
    for step in range(size - 1):
        sent = [[buffers[rank][low:high] for low, high in plans[rank][step]] for rank in range(size)]
        for rank in range(size):
            incoming = plans[rank][step + 1]
            assert [high - low for low, high in incoming] == [len(piece) for piece in sent[rank - 1]]
            for (low, _), piece in zip(incoming, sent[rank - 1], strict=True):
                for offset, ranks in enumerate(piece):
                    assert not buffers[rank][low + offset] & ranks
                    buffers[rank][low + offset] = buffers[rank][low + offset] | ranks
    for rank in range(size):
        assert all(buffers[rank][i] == set(range(size)) for i in range(bounds[rank], bounds[rank + 1]))


def test_more_than_2_to_the_31_elements():
    n, size = 2**33 + 5, 3
    bounds = ring.chunk_bounds(n, size)
    length = ring.SEGMENT_BYTES // 8
    steps = ring.schedule(bounds, 1, 0, length)
    assert sum(high - low for step in steps for low, high in step) == n
    assert all(0 < high - low <= length for step in steps for low, high in step)
    assert max(high for step in steps for _, high in step) == n


def test_bytes_sent_are_the_lower_bound():
    n, size = 1200, 4
    steps = ring.schedule(ring.chunk_bounds(n, size), 2, 1, 7)
    assert sum(high - low for step in steps[:-1] for low, high in step) == n * (size - 1) // size
