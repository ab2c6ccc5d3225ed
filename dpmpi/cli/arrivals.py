"""Lines as they arrive on a pipe, in micro-batches: none waits longer than a bound, none is larger than a bound."""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from .. import data

_READ = 1 << 20
_LONGEST_LINE = 1 << 26


class Line(NamedTuple):
    """A line without its end, and its number from 1 among all lines."""

    number: int
    text: bytes


def arrivals(source: int, stop: int, max_delay: float, max_lines: int) -> Iterator[list[Line]]:
    """Yield the lines of the file descriptor `source`, blank ones left out, until it ends or `stop` can be read.

    A batch is handed over when it has `max_lines`, when its first line has waited `max_delay` seconds, or at the end. A
    last line may lack its newline, unless `stop` cut it off. Raises DataError when `source` cannot be read.
    """
    pending: deque[Line] = deque()
    deadline = 0.0
    rest, count, ended = b"", 0, False
    while not ended:
        wait = max(0.0, deadline - time.monotonic()) if pending else None
        ready = select.select([source, stop], [], [], wait)[0]
        if stop in ready:
            rest, ended = b"", True
        elif ready:
            received = _read(source)
            ended = not received
            *lines, rest = (rest + received).split(b"\n")
            if ended and rest:
                lines.append(rest)
            if len(rest) > _LONGEST_LINE:
                raise data.DataError(f"standard input: line {count + 1} is longer than {_LONGEST_LINE >> 20} MiB")
            if not pending:
                deadline = time.monotonic() + max_delay
            pending.extend(Line(count + k, line) for k, line in enumerate(lines, 1) if line.strip(b"\r"))
            count += len(lines)
        while len(pending) >= max_lines or (pending and (ended or time.monotonic() >= deadline)):
            yield [pending.popleft() for _ in range(min(max_lines, len(pending)))]


def _read(source: int) -> bytes:
    try:
        return os.read(source, _READ)
    except OSError as error:
        raise data.DataError(f"standard input cannot be read: {error.strerror}") from error


@contextmanager
def interrupts() -> Iterator[int]:
    """Give a file descriptor that can be read once SIGINT has come, which then raises nothing."""
    receiver, sender = os.pipe()
    before = signal.signal(signal.SIGINT, lambda *_: os.write(sender, b"!"))
    try:
        yield receiver
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(receiver)
        os.close(sender)
