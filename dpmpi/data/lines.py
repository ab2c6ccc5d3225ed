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

IsRow = Callable[[bytes], bool]


def cut_lines(source: Source, file: int, begin: int, start: int, stop: int, size: int, is_row: IsRow) -> list[Piece]:
    """Cut the lines that start in bytes ``[start, stop)`` behind byte `begin` into pieces of about `size` bytes.

    `begin` starts a line. `is_row` tells for a line that starts with a blank, "#" or nothing whether it is a row of
    data; any other line is one. Rows and lines of a piece are counted within this call.

    Raises DataError when the file cannot be read or has become shorter.
    """
    pieces = []
    row = line = 0
    stream = source.open()
    with stream:
        try:
            for position, data in _walk(stream, begin, begin + start, begin + stop, source.size, size):
                rows, lines = _count(data, is_row)
                pieces.append(Piece(file, position, position + len(data), rows, row, line, lines))
                row, line = row + rows, line + lines
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(source, error) from error
    return pieces


def read_lines(source: Source, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, bytes]]:
    """The bytes of each of the pieces, which are in the order of the file. Raises DataError as `cut_lines`.

    Also at the end, when the file has changed meanwhile.
    """
    if not pieces:
        return
    stream = source.open()
    with stream:
        for piece in pieces:
            try:
                if stream.tell() != piece.start:
                    stream.seek(piece.start)
                data = stream.read(piece.stop - piece.start)
            except (OSError, EOFError, zlib.error) as error:
                raise _unreadable(source, error, piece.start) from error
            if len(data) != piece.stop - piece.start:
                raise DataError(f"{source.path}: the file has become shorter while it was read")
            yield piece, data
    source.check()


def _unreadable(source: Source, error: Exception, position: int = 0) -> DataError:
    if source.gzipped:
        return damaged_gzip(source.path, position, error)
    return DataError(f"{source.path}: cannot be read: {getattr(error, 'strerror', None) or error}")


def _walk(stream: BinaryIO, begin: int, start: int, stop: int, end: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield position and bytes of whole lines: those that start in ``[start, stop)``, reading forwards only."""
    rest = b""
    position = start
    if start > begin and start < stop:
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
    while position < stop:
        goal = min(size, stop - position)
        data = rest + stream.read(min(max(0, goal - len(rest)), end - position - len(rest)))
        found = data.find(b"\n", goal - 1)
        while found < 0:
            # A line may be as long as it likes; the parts are joined once.
            more = stream.read(min(_STEP + len(data) // 4, end - position - len(data)))
            if not more:
                break
            found = more.find(b"\n")
            found = found + len(data) if found >= 0 else -1
            data += more
        length = found + 1 if found >= 0 else len(data)
        if not length:
            return
        yield position, data[:length]
        position, rest = position + length, data[length:]


def _count(data: bytes, is_row: IsRow) -> tuple[int, int]:
    """Rows and newlines of whole lines."""
    newlines, doubtful = count_lines(data)
    lines = newlines + (not data.endswith(b"\n"))
    none = sum(not is_row(data[at : (data.find(b"\n", at) + 1 or len(data))]) for at in doubtful.tolist())
    return lines - none, newlines
