"""Text files cut at newlines: which lines a rank owns, in pieces, and how many rows each piece has."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from dpmpi.kernels.lines import count_lines

from .errors import DataError
from .reader import Piece
from .source import Source, damaged_gzip

_STEP = 1 << 16
# Read beyond a piece, so that the line at its end is mostly whole at once.
_MARGIN = 1 << 12

IsRow = Callable[[bytes], bool]


def cut_lines(source: Source, file: int, begin: int, start: int, stop: int, size: int, is_row: IsRow) -> list[Piece]:
    """Cut the lines that start in bytes ``[start, stop)`` behind byte `begin` into pieces of about `size` bytes.

    `begin` starts a line. `is_row` tells for a line that starts with a blank, "#" or nothing whether it is a row of
    data; any other line is one. Rows and lines of a piece are counted within this call.

    Raises DataError when the file cannot be read or has become shorter.
    """
    pieces = []
    row = line = 0
    for position, data in walk_lines(source, begin + start, begin + stop, size, start == 0):
        rows, lines = count_rows(data, is_row)
        pieces.append(Piece(file, position, position + len(data), rows, row, line, lines))
        row, line = row + rows, line + lines
    return pieces


def read_lines(source: Source, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, memoryview]]:
    """The bytes of each of the pieces, which are in the order of the file; the next overwrites them.

    Raises DataError as `cut_lines`, also at the end, when the file has changed meanwhile.
    """
    if not pieces:
        return
    buffer = memoryview(bytearray(max(piece.stop - piece.start for piece in pieces)))
    stream = source.open()
    with stream:
        for piece in pieces:
            data = buffer[: piece.stop - piece.start]
            try:
                if stream.tell() != piece.start:
                    stream.seek(piece.start)
                n_bytes = _fill(stream, data)
            except (OSError, EOFError, zlib.error) as error:
                raise _unreadable(source, error, piece.start) from error
            if n_bytes != len(data):
                raise DataError(f"{source.path}: the file has become shorter while it was read")
            yield piece, data
    source.check()


def walk_lines(
    source: Source, start: int, stop: int, size: int, whole: bool = False
) -> Iterator[tuple[int, memoryview]]:
    """Position and bytes of whole lines: those that start in ``[start, stop)``, about `size` bytes at a time.

    `whole`: a line starts at `start`. Reads forwards only, into one buffer: the next bytes overwrite the last.

    Raises DataError when the file cannot be read.
    """
    stream = source.open()
    with stream:
        try:
            yield from _walk(stream, start, stop, source.size, size, whole)
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(source, error) from error
    source.check()


def _unreadable(source: Source, error: Exception, position: int = 0) -> DataError:
    if source.gzipped:
        return damaged_gzip(source.path, position, error)
    return DataError(f"{source.path}: cannot be read: {getattr(error, 'strerror', None) or error}")


def _walk(
    stream: BinaryIO, start: int, stop: int, end: int, size: int, whole: bool
) -> Iterator[tuple[int, memoryview]]:
    rest = b""
    position = start
    if start < stop and not whole:
        # The line that holds byte start - 1 is another's; a newline there makes `start` the start of a line.
        stream.seek(start - 1)
        position -= 1
        while True:
            rest = stream.read(min(_STEP, end - position))
            found = rest.find(b"\n")
            if found >= 0 or not rest:
                break
            position += len(rest)
        if found < 0:
            return
        position, rest = position + found + 1, rest[found + 1 :]
    else:
        stream.seek(start)
    buffer, held = bytearray(max(len(rest), min(size, stop - start) + _MARGIN)), len(rest)
    buffer[:held] = rest
    view = memoryview(buffer)
    while position < stop:
        goal = min(size, stop - position)
        wanted, searched, found = goal + _MARGIN, goal - 1, -1
        while found < 0:
            if wanted > len(buffer):  # a line may be as long as it likes
                buffer = buffer[:held] + bytes(wanted - held)
                view = memoryview(buffer)
            n_bytes = _fill(stream, view[held : min(wanted, end - position)])
            held += n_bytes
            found = buffer.find(b"\n", searched, held)
            if not n_bytes and held < wanted:
                break
            wanted, searched = held + _STEP + held // 4, max(searched, held)
        length = found + 1 if found >= 0 else held
        if not length:
            return
        yield position, view[:length]
        view[: held - length] = view[length:held]
        position, held = position + length, held - length


def _fill(stream: BinaryIO, view: memoryview) -> int:
    """Read into all of `view`, or up to the end of the file; return how many bytes there were."""
    filled = 0
    while filled < len(view):
        n_bytes = stream.readinto(view[filled:])  # type: ignore[attr-defined]
        if not n_bytes:
            break
        filled += n_bytes
    return filled


def count_rows(data: memoryview, is_row: IsRow) -> tuple[int, int]:
    """Rows and newlines of whole lines."""
    newlines, doubtful = count_lines(data)
    lines = newlines + (data[-1:] != b"\n")
    none = sum(not is_row(_line_at(data, at)) for at in doubtful.tolist())
    return lines - none, newlines


def _line_at(data: memoryview, start: int) -> bytes:
    """The line that starts there, with its newline."""
    step = 64
    while (line := bytes(data[start : start + step])).find(b"\n") < 0 and start + step < len(data):
        step *= 8
    return line[: line.find(b"\n") + 1 or None]
