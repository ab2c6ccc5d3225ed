"""Rows that arrive as lines of text, a few at a time: CSV or TSV behind a header line, or JSON lines."""

from __future__ import annotations

import codecs
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np

from .columns import Wanted, choose
from .delimited import Header, parse, read_header
from .errors import BadRow, DataError, Fault
from .source import Source
from .table import Block, Frame

LINE_FORMATS = ("csv", "tsv", "jsonl")


class LineParser(Protocol):
    """Turns lines into rows as a reader of files would."""

    def parse(self, lines: Sequence[bytes]) -> Block | Frame:
        """One row for each line; none is blank. Raises BadRow, counted from the first line."""
        ...


def format_of_line(line: bytes) -> str:
    """Which of LINE_FORMATS a first line is written in."""
    if line.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"{", b"["):
        return "jsonl"
    return "tsv" if b"\t" in line else "csv"


class DelimitedLines:
    """Lines behind the header line `header`, parsed as those of a file. Raises DataError for a bad header."""

    def __init__(self, source: str, header: bytes, format: str, wanted: Wanted) -> None:
        self._source, self._head, self._format = source, header, format
        self._header = self._read_header(b".")
        names = self._header.names
        self._choice = choose(source, wanted, len(names), names)
        if wanted.n_columns not in (None, len(self._choice.features)):
            raise DataError(f"{source}: {len(self._choice.features)} columns for X, but {wanted.n_columns} are needed")
        self._first = True

    def parse(self, lines: Sequence[bytes]) -> Block | Frame:
        """See `LineParser`. As in a file, the first row says which columns are true or false."""
        if self._first:
            self._header, self._first = self._read_header(lines[0]), False
        block = parse(self._header, self._choice, b"\n".join(lines) + b"\n")
        if block.X.shape[0] != len(lines):
            bad = next(k for k, line in enumerate(lines) if b"\r" in line.rstrip(b"\r"))
            raise BadRow(Fault(bad, "it holds a lone carriage return; end lines with \\n or \\r\\n"))
        return block

    def _read_header(self, first: bytes) -> Header:
        content = self._head + b"\n" + first + b"\n"
        return read_header(_Beginning(self._source, len(content), self._format, content=content))


@dataclass(frozen=True)
class _Beginning(Source):
    """The first lines of what arrives, opened as a file is."""

    content: bytes = b""

    def open(self) -> BinaryIO:
        """Open for reading bytes."""
        return io.BytesIO(self.content)


class JsonLines:
    """One JSON object a line with the columns as keys, or where columns have no names an array of X's numbers.

    A number is a JSON number, true or false; a text is a string; null is a missing value. Other keys are left out.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._names = wanted.columns
        self._width = wanted.n_columns if wanted.columns is None else len(wanted.columns)
        self._text, self._missing, self._picked = tuple(wanted.text), wanted.missing, wanted.picked

    def parse(self, lines: Sequence[bytes]) -> Block | Frame:
        """See `LineParser`."""
        X = np.empty((len(lines), self._width or 0))
        text: dict[str, tuple[np.ndarray, dict[str, int]]] = {
            name: (np.empty(len(lines), np.int32), {}) for name in self._text
        }
        for k, line in enumerate(lines):
            try:
                row = self._row(line)
                X[k] = [self._number(label, value) for label, value in self._numbers(row)]
                for name, (codes, values) in text.items():
                    value = _text(name, row)
                    codes[k] = -1 if value is None else values.setdefault(value, len(values))
            except (ValueError, RecursionError) as error:
                raise BadRow.at(k, str(error)) from None
        if not text:
            return Block(X, None, None)
        return Frame(X, None, None, {name: (codes, tuple(values)) for name, (codes, values) in text.items()})

    def _row(self, line: bytes) -> Any:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"it is no JSON: {error}") from None
        if self._names is None and not isinstance(row, list):
            raise ValueError("it must be an array of numbers: the model was fitted on columns without names")
        if self._names is not None and not isinstance(row, dict):
            raise ValueError("it must be an object with the columns as keys")
        return row

    def _numbers(self, row: Any) -> list[tuple[str, Any]]:
        if isinstance(row, list):
            if self._picked is not None:
                numbers = self._picked.among("the array", len(row)) or range(len(row))
                return [(str(j), row[j]) for j in numbers]
            if len(row) != self._width:
                raise ValueError(f"{len(row)} numbers where {self._width} are needed")
            return [(str(j), value) for j, value in enumerate(row)]
        return [(str(name), _cell(str(name), row)) for name in self._names or ()]

    def _number(self, name: str, value: Any) -> float:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            if self._missing:
                return math.nan
            raise ValueError(f"column {name!r} is missing; fill in a number, or fit the model with imputation")
        try:
            number = float(value) if isinstance(value, (bool, int, float)) else math.nan
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ValueError(f"column {name!r} is {_shown(value)}, not a {'finite ' * math.isinf(number)}number")
        return number


def _cell(name: str, row: dict[str, Any]) -> Any:
    if name not in row:
        raise ValueError(f"no column {name!r}; write null for a missing value")
    return row[name]


def _text(name: str, row: dict[str, Any]) -> str | None:
    value = _cell(name, row)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"column {name!r} is {_shown(value)}, not a text: put it in quotes")
    return value or None


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text[:40] + ("…" if len(text) > 40 else "")
