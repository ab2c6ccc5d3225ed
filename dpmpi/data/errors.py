"""What a reader or writer raises when the data is at fault, and the words its messages share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, NoReturn


class DataError(ValueError):
    """A file or an argument that cannot be used as data: the message names the place and says what to do."""


class Fault(NamedTuple):
    """The first bad row in a rank's piece; counts start at 0 within the piece."""

    row: int
    reason: str
    line: int | None = 0  # text files only; None when it is not known


class BadRow(Exception):
    """Raised by a parser of one piece, or by a function that a Dataset maps; `blocks` turns it into a DataError."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault

    @classmethod
    def at(cls, row: int, reason: str) -> BadRow:
        """The bad row number `row` of a block."""
        return cls(Fault(row, reason, None))


def suggest(name: str, known: Sequence[str]) -> str:
    """``; did you mean 'age'? It has the columns …``: the end of every message about an unknown name."""
    import difflib

    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    listed = ", ".join(map(repr, known[:20])) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    return (f"; did you mean {lower[close[0]]!r}?" if close else ".") + f" It has {listed}"


def name_ranks(ranks: Iterable[int]) -> str:
    """``rank 3`` or ``ranks 0-4, 7``."""
    runs: list[list[int]] = []
    for rank in sorted(ranks):
        if runs and rank == runs[-1][1] + 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"rank {text}" if text.isdigit() else f"ranks {text}"


def raise_fault(path: str, fault: Fault, is_text: bool) -> NoReturn:
    """Raise the DataError for a fault whose row, and line of a text file, are counted from the start of the file."""
    line = f" (line {fault.line + 1})" if is_text and fault.line is not None else ""
    raise DataError(f"{path}: row {fault.row + 1}{line}: {fault.reason}")
