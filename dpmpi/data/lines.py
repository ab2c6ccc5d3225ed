"""Text files cut at newlines: which lines a rank owns, and how a rank's bad line becomes one error on every rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from dpmpi import partition

from .errors import BadRow, DataError, Fault, raise_fault
from .ranks import Ranks
from .source import Source
from .table import Block

_STEP = 1 << 16


def line_range(file: BinaryIO, begin: int, end: int, size: int, rank: int) -> tuple[int, int]:
    """The bytes of the lines that `rank` owns among those of ``[begin, end)``, where `begin` starts a line.

    The bytes are divided evenly, and a line belongs to the rank in whose part it starts.
    """
    start, stop = partition.block(end - begin, size, rank)
    return _next_line(file, begin, begin + start, end), _next_line(file, begin, begin + stop, end)


def _next_line(file: BinaryIO, begin: int, position: int, end: int) -> int:
    """The first start of a line at or behind `position`; `end` when there is none."""
    if position == begin:
        return begin
    position -= 1  # a newline right before `position` makes it the start of a line
    file.seek(position)
    while position < end:
        piece = file.read(min(_STEP, end - position))
        found = piece.find(b"\n")
        if found >= 0:
            return position + found + 1
        if not piece:
            break
        position += len(piece)
    return end


def read_lines(source: Source, begin: int, size: int, rank: int) -> bytes:
    """The lines that `rank` owns behind byte `begin`. Raises DataError when the file cannot be read or has shrunk."""
    try:
        with open(source.path, "rb") as file:
            start, stop = line_range(file, begin, source.size, size, rank)
            file.seek(start)
            data = file.read(stop - start)
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read: {error.strerror}") from error
    if len(data) != stop - start:
        raise DataError(f"{source.path}: the file has become shorter while it was read")
    return data


def parse_lines(
    source: Source, ranks: Ranks, begin: int, lines_before: int, parse: Callable[[bytes], Block]
) -> tuple[Block, int, int]:
    """Read and parse this rank's lines behind byte `begin`; return ``(block, start, n_rows)``. Collective.

    `parse` raises BadRow at the first bad row of its bytes. Of all ranks' bad rows the first in the file is raised as
    DataError, with the same message everywhere: its place in the whole file is known once the ranks have shared counts.
    """
    with ranks.together():
        data = read_lines(source, begin, ranks.size, ranks.rank)
        outcome = _attempt(parse, data)
    # Plain tuples travel: whatever gathers them needs to know no class of ours.
    told = ranks.share(tuple(outcome) if isinstance(outcome, Fault) else outcome.X.shape[0])
    bad = [rank for rank, value in enumerate(told) if isinstance(value, tuple)]
    if bad or isinstance(outcome, Fault):
        newlines = ranks.share(data.count(b"\n"))
        first = bad[0]
        raise_fault(source.path, Fault(*told[first]), sum(told[:first]), lines_before + sum(newlines[:first]))
    if not sum(told):
        raise DataError(f"{source.path}: no rows: the file holds no line of data")
    return outcome, sum(told[: ranks.rank]), sum(told)


def _attempt(parse: Callable[[bytes], Block], data: bytes) -> Block | Fault:
    try:
        return parse(data)
    except BadRow as error:
        return error.fault
