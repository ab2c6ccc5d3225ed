"""The plain twin of `libsvm.pyx`: the tests' oracle, the grammar to read first, and the one to say what is wrong.

Grammar of a line, tokens separated by spaces or tabs, ``#`` starting a comment anywhere::

    label [qid:whole] [column:value ...]     columns are whole numbers from 1, strictly increasing

Blank lines and lines of comment alone are no rows. ``qid`` is checked and skipped.
"""

from __future__ import annotations

import re

import numpy as np

MAX_COLUMN = 2**31 - 1  # column numbers are stored as int32

_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NOT_FINITE = re.compile(rb"[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_BLANKS = re.compile(rb"[ \t]+")


class LibsvmError(ValueError):
    """A line that is not libsvm text: `line` and `row` count from 0 within the data given, `reason` says why."""

    def __init__(self, line: int, row: int, reason: str) -> None:
        super().__init__(line, row, reason)
        self.line, self.row, self.reason = line, row, reason

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def parse(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Parse libsvm text into ``(labels, indptr, indices, values)``, the rows as CSR with columns counted from 0.

    `labels` is float64 (n,), `indptr` int64 (n + 1,), `indices` int32 (nnz,), `values` float64 (nnz,); numbers are
    correctly rounded whatever the locale. Raises LibsvmError at the first bad line.
    """
    labels: list[float] = []
    indptr = [0]
    indices: list[int] = []
    values: list[float] = []
    for number, line in enumerate(bytes(data).split(b"\n")):
        try:
            row = parse_line(line)
        except ValueError as error:
            raise LibsvmError(number, len(labels), str(error)) from None
        if row is not None:
            labels.append(row[0])
            indices += row[1]
            values += row[2]
            indptr.append(len(indices))
    return np.array(labels), np.array(indptr, np.int64), np.array(indices, np.int32), np.array(values)


def parse_line(line: bytes) -> tuple[float, list[int], list[float]] | None:
    """Parse one line; None when it holds no row. Raises ValueError with the reason."""
    content = line.removesuffix(b"\r").partition(b"#")[0].strip(b" \t")
    if not content:
        return None
    first, *tokens = _BLANKS.split(content)
    label = _number(first, f"label {_shown(first)}")
    indices: list[int] = []
    values: list[float] = []
    for position, token in enumerate(tokens):
        column, colon, value = token.partition(b":")
        shown = _shown(token)
        if not colon:
            raise ValueError(f"{shown} has no colon: expected column:value")
        if column == b"qid":
            if position or not value.isdigit():
                raise ValueError(f"{shown}: qid must be a whole number directly behind the label")
            continue
        if not column.removeprefix(b"-").isdigit():
            raise ValueError(f"the column in {shown} is not a whole number")
        # The length comes first: Python refuses to convert thousands of digits.
        index = int(column) - 1 if len(column) < 20 else MAX_COLUMN
        if column.startswith(b"-") or index < 0:
            raise ValueError(f"the column in {shown} is below 1: libsvm columns count from 1")
        if index >= MAX_COLUMN:
            raise ValueError(f"the column in {shown} is above {MAX_COLUMN}")
        if indices and index == indices[-1]:
            raise ValueError(f"column {index + 1} is given twice ({shown})")
        if indices and index < indices[-1]:
            raise ValueError(f"columns must increase, but {shown} follows column {indices[-1] + 1}")
        values.append(_number(value, f"the value in {shown}"))
        indices.append(index)
    return label, indices, values


def _number(text: bytes, what: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{what} is not {'finite' if _NOT_FINITE.fullmatch(text) else 'a number'}")
    number = float(text)
    if not np.isfinite(number):
        raise ValueError(f"{what} is not finite: beyond the range of float64")
    return number


def _shown(token: bytes) -> str:
    return repr(token[:40].decode("ascii", "backslashreplace")) + ("…" if len(token) > 40 else "")
