"""Lines are cut so that every line is read once, by the rank in whose part it starts."""

import io

from hypothesis import given
from hypothesis import strategies as st

from dpmpi import partition
from dpmpi.data import lines


@given(
    st.lists(st.integers(0, 12), max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.integers(1, 9),
    st.integers(0, 3),
    st.integers(1, 5),
)
def test_ranges_cover_whole_lines_once(lengths, newline, last, size, skipped, step):
    parts = [b"x" * length + newline for length in lengths]
    skipped = min(skipped, len(parts))
    text = b"".join(parts)
    if not last and parts:
        text = text.removesuffix(newline)
    begin, end = min(len(text), sum(map(len, parts[:skipped]))), len(text)
    before, lines._STEP = lines._STEP, step  # pieces smaller than a line
    try:
        ranges = [lines.line_range(io.BytesIO(text), begin, end, size, rank) for rank in range(size)]
    finally:
        lines._STEP = before
    assert [ranges[0][0], *(b for _, b in ranges)] == [*(a for a, _ in ranges), end]
    starts = {begin} | {k + 1 for k in range(begin, end) if text[k : k + 1] == b"\n"}
    for rank, (start, stop) in enumerate(ranges):
        low, high = partition.block(end - begin, size, rank)
        owned = [s for s in starts if begin + low <= s < begin + high]
        assert (start in owned) if owned else start == stop
