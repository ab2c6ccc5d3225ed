"""Standard output that may be full, or that nobody reads: what is printed is lost, the work goes on."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Printed(io.FileIO):
    """An open file descriptor to print to; `error` is what the first failure was, from which on all is lost."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes


@contextmanager
def kept_going() -> Iterator[Printed]:
    """In the block, printing to standard output raises nothing."""
    before = sys.stdout
    if before is None:  # closed: what is written to a descriptor for reading fails in the same way
        printed = Printed(os.open(os.devnull, os.O_RDONLY), "w")
    else:
        try:
            printed = Printed(before.fileno(), "w", closefd=False)
        except ValueError:  # in memory, where nothing fails
            with Printed(os.devnull, "w") as printed:
                yield printed
            return
    text = io.TextIOWrapper(
        io.BufferedWriter(printed),
        "utf-8" if before is None else before.encoding,
        None if before is None else before.errors,
        line_buffering=printed.isatty(),
    )
    sys.stdout = text
    try:
        yield printed
    finally:
        text.flush()
        sys.stdout = before


def is_lost() -> bool:
    """Whether what is printed no longer arrives."""
    printed = getattr(sys.stdout.buffer, "raw", None)
    return isinstance(printed, Printed) and printed.error is not None
