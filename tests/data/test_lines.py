"""Lines are cut so that every line is read once, by the rank in whose part it starts, and its rows are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmpi import partition
from dpmpi.data import DataError, lines
from dpmpi.data.source import Source


def is_row(line):
    return bool(line.strip())


@given(
    st.lists(st.integers(0, 12), max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.integers(1, 9),
    st.integers(0, 3),
    st.integers(1, 5),
    st.integers(1, 40),
)
def test_pieces_cover_whole_lines_once(tmp_path_factory, lengths, newline, last, size, skipped, step, piece_bytes):
    parts = [b"x" * length + newline for length in lengths]
    skipped = min(skipped, len(parts))
    text = b"".join(parts)
    if not last and parts:
        text = text.removesuffix(newline)
    begin, end = min(len(text), sum(map(len, parts[:skipped]))), len(text)
    path = tmp_path_factory.mktemp("lines") / "t.txt"
    path.write_bytes(text)
    source = Source(str(path), end, "csv")
    before, lines._STEP = lines._STEP, step  # pieces smaller than a line
    try:
        shares = [partition.block(end - begin, size, rank) for rank in range(size)]
        found = [lines.cut_lines(source, 0, begin, *share, piece_bytes, is_row) for share in shares]
    finally:
        lines._STEP = before
    pieces = [piece for share in found for piece in share]
    assert [begin, *(piece.stop for piece in pieces)] == [*(piece.start for piece in pieces), end]
    starts = {begin} | {k + 1 for k in range(begin, end) if text[k : k + 1] == b"\n"}
    for (low, high), own in zip(shares, found, strict=True):
        owned = sorted(s for s in starts if begin + low <= s < begin + high)
        assert [own[0].start] == owned[:1] if own else not owned
        row = line = 0
        for piece, data in lines.read_lines(source, own):
            assert data == text[piece.start : piece.stop]
            assert (piece.row, piece.line) == (row, line)
            assert piece.n_rows == sum(map(is_row, bytes(data).splitlines()))
            assert piece.n_lines == bytes(data).count(b"\n")
            row, line = row + piece.n_rows, line + piece.n_lines


def test_a_file_that_shrinks(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(b"1\n2\n")
    pieces = lines.cut_lines(Source(str(path), 4, "csv"), 0, 0, 0, 4, 100, is_row)
    path.write_bytes(b"1\n")
    with pytest.raises(DataError, match="has become shorter"):
        list(lines.read_lines(Source(str(path), 4, "csv"), pieces))
