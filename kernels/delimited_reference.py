"""The plain twins of `delimited.pyx` and `lines.pyx`: the tests' oracle, and the grammar to read first.

A line ends with ``\\n`` or ``\\r\\n`` and has as many cells as there are columns, with the delimiter between them::

    cell     plain | "quoted"       a quote inside quotes is doubled; a plain cell holds no quote and no lone return
    number   [+-]digits[.digits][e[+-]digits], finite, in quotes or not, spaces around it
    gaps     a number, or one of MISSING
    boolean  one of TRUE or FALSE

Blank lines are no rows. What does not follow it is no error here: another reader may know more.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence

import numpy as np

KINDS = ("skipped", "number", "gaps", "boolean")
MISSING = (
    *(b"", b"#N/A", b"#N/A N/A", b"#NA", b"-1.#IND", b"-1.#QNAN", b"-NaN", b"-nan", b"1.#IND"),
    *(b"1.#QNAN", b"N/A", b"NA", b"NULL", b"NaN", b"n/a", b"nan", b"null"),
)
TRUE, FALSE = (b"1", b"true", b"True", b"TRUE"), (b"0", b"false", b"False", b"FALSE")
_NUMBER = re.compile(rb" *([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?) *")


def parse(
    data: bytes, delimiter: str, kinds: Sequence[str], places: Sequence[int], n_features: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """As `delimited.parse`: (X float64 (n, n_features), others float64 (n_others, n)), or None."""
    n_others = check_places(kinds, places, n_features)
    rows = []
    for line in bytes(data).split(b"\n"):
        cells = _cells(line.removesuffix(b"\r"), delimiter.encode())
        if line in (b"", b"\r"):
            continue
        if cells is None or len(cells) != len(kinds):
            return None
        row = np.empty(n_features + n_others)
        for cell, kind, place in zip(cells, kinds, places, strict=True):
            if kind != "skipped":
                value = _value(cell, kind)
                if value is None:
                    return None
                row[place] = value
        rows.append(row)
    table = np.array(rows).reshape(len(rows), n_features + n_others)
    return table[:, :n_features], table[:, n_features:].T


def count_lines(data: bytes) -> tuple[int, np.ndarray]:
    """As `lines.count_lines`: newlines, and where the lines begin that may be blank or a comment (int64 array)."""
    starts, position = [], 0
    for line in io.BytesIO(data):  # lines with their newlines
        if line[0] <= 32 or line.startswith(b"#"):
            starts.append(position)
        position += len(line)
    return bytes(data).count(b"\n"), np.array(starts, np.int64)


def check_places(kinds: Sequence[str], places: Sequence[int], n_features: int) -> int:
    """The number of columns that go to `others`. Raises ValueError for kinds and places that do not fit together."""
    taken = sorted(place for kind, place in zip(kinds, places, strict=True) if kind != "skipped")
    if not kinds or not set(kinds) <= set(KINDS) or taken != list(range(max(len(taken), n_features))):
        raise ValueError(f"kinds {tuple(kinds)} and places {tuple(places)} do not fill {n_features} columns of X")
    return len(taken) - n_features


def _cells(line: bytes, delimiter: bytes) -> list[bytes] | None:
    """The cells with their quotes, or None."""
    cells = []
    plain, quoted = rb'[^"\r' + re.escape(delimiter) + rb"]*", rb'"(?:[^"]|"")*"'
    pattern = re.compile(rb"(" + quoted + rb"|" + plain + rb")(" + re.escape(delimiter) + rb"|\Z)")
    position = 0
    while True:
        found = pattern.match(line, position)
        if found is None:
            return None
        cells.append(found[1])
        if not found[2]:
            return cells
        position = found.end()


def _value(cell: bytes, kind: str) -> float | None:
    if kind == "boolean":
        return 1.0 if cell in TRUE else 0.0 if cell in FALSE else None
    if kind == "gaps" and cell in MISSING:
        return math.nan
    found = _NUMBER.fullmatch(cell[1:-1] if cell.startswith(b'"') else cell)
    value = float(found[1]) if found else math.inf
    return value if math.isfinite(value) else None
