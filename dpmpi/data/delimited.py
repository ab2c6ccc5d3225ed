"""CSV and TSV: a header line, then rows of numbers, parsed by pyarrow on each rank's own lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .columns import Choice, Wanted, choose
from .errors import BadRow, DataError, Fault
from .lines import parse_lines
from .ranks import Ranks
from .source import Source
from .table import Block, Table

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = {"csv": ",", "tsv": "\t"}
_LONGEST_LINE = 1 << 26
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_BLANK_LINES = re.compile(rb"[\r\n]*")


@dataclass(frozen=True)
class Header:
    """The head of the file, the same on every rank. `begin` is the byte, `lines` the line behind the header line.

    `booleans` are the columns whose first cell is true or false: the kind of a column must not depend on which rows a
    rank happens to own, so the first row of the file decides.
    """

    delimiter: str
    names: tuple[str, ...]
    booleans: frozenset[int]
    begin: int
    lines: int


def read_delimited(source: Source, ranks: Ranks, wanted: Wanted) -> Table:
    """Read this rank's rows of a CSV or TSV file; collective. Raises DataError, see `read`."""
    header = agree_header(source, ranks)
    names = header.names
    choice = choose(source.path, wanted, len(names), names)
    block, start, n_rows = parse_lines(source, ranks, header.begin, header.lines, partial(parse, header, choice))
    return Table(
        *block,
        columns=tuple(names[column] for column in choice.features),
        target=None if choice.target is None else names[choice.target],
        start=start,
        n_rows=n_rows,
        source=source.path,
    )


def agree_header(source: Source, ranks: Ranks) -> Header:
    """Read the header on rank 0 and share it; collective. Raises DataError for a header that cannot be one."""
    header = None
    with ranks.together():
        if ranks.rank == 0:
            header = _read_header(source)
    return Header(*ranks.share(header and tuple(vars(header).values()))[0])


def _read_header(source: Source) -> Header:
    path, delimiter = source.path, DELIMITERS[source.format]
    with open(path, "rb") as file:
        line, lines = b"\n", 0
        while line and not line.strip():
            line, lines = file.readline(_LONGEST_LINE), lines + 1
        begin = file.tell()
        names = tuple(name.strip() for name in _header_cells(path, line, lines, delimiter))
        first = b"\n"
        while first and not first.strip():
            first = file.readline(_LONGEST_LINE)
    where = f"{path}: the header (line {lines})"
    twice = [name for name, count in Counter(names).items() if count > 1]
    if all(_NUMBER.fullmatch(name) for name in names) and not _may_be_names(names):
        raise DataError(f"{where} holds only numbers; put a line with the columns' names first")
    if twice:
        raise DataError(f"{where} names {', '.join(map(repr, twice))} more than once; give every column its own name")
    if not first:
        raise DataError(f"{path}: no rows: there is only a header")
    # Errors in the first row are found with all others, by the rank that owns it.
    cells = _cells(first.decode("utf-8", "replace").rstrip("\r\n"), delimiter)
    booleans = frozenset(j for j, cell in enumerate(cells) if cell.strip().lower() in ("true", "false"))
    return Header(delimiter, names, booleans, begin, lines)


def _header_cells(path: str, line: bytes, number: int, delimiter: str) -> list[str]:
    where = f"{path}: the header (line {number})"
    if not line:
        raise DataError(f"{path}: no rows: the file holds only blank lines")
    if b"\0" in line:
        raise DataError(f"{where} holds NUL bytes: this is binary data, not text")
    try:
        text = line.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
    if len(line) == _LONGEST_LINE:
        raise DataError(f"{where} is longer than {_LONGEST_LINE >> 20} MiB: this is no table")
    if "\r" in text:
        raise DataError(f"{where} holds a lone carriage return; end lines with \\n or \\r\\n")
    if text.count('"') % 2:
        raise DataError(f"{where} has a quoted name that does not end on its line; names cannot hold line breaks")
    return _cells(text, delimiter)


def _cells(text: str, delimiter: str) -> list[str]:
    """The cells of one line; none when it cannot be split."""
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return []


def _may_be_names(names: Sequence[str]) -> bool:
    """Whole numbers in increasing order are what pandas writes for unnamed columns: names, not a row of data."""
    return all(name.isdigit() for name in names) and sorted(set(map(int, names))) == list(map(int, names))


def parse(header: Header, choice: Choice, data: bytes) -> Block:
    """Parse whole lines: X float64 (n, d), y and sample_weight float64 (n,). Raises BadRow at the first bad row."""
    try:
        return _convert(header, choice, data)
    except ValueError as error:
        raise BadRow(_locate(header, choice, data, str(error))) from None


def _convert(header: Header, choice: Choice, data: bytes) -> Block:
    """`parse`, but any ValueError may say that something is wrong somewhere."""
    if _BLANK_LINES.fullmatch(data):
        return Block(
            np.empty((0, len(choice.features))),
            None if choice.target is None else np.empty(0),
            None if choice.weight is None else np.empty(0),
        )
    if b'"' in data and not _quotes_end_on_their_line(data):
        raise ValueError("a quoted cell does not end on its line")
    others = [column for column in (choice.target, choice.weight) if column is not None]
    matrix = _numbers(header, [*choice.features, *others], data)
    X, y, weight = matrix, None, None
    if others:
        d = len(choice.features)
        X = np.ascontiguousarray(matrix[:, :d])
        y = None if choice.target is None else matrix[:, d].copy()
        weight = None if choice.weight is None else matrix[:, -1].copy()
    if weight is not None and (weight < 0).any():
        raise ValueError("a weight is negative")
    return Block(X, y, weight)


def _numbers(header: Header, columns: Sequence[int], data: bytes) -> np.ndarray:
    """The columns as float64 (n, len(columns)). Raises ValueError when a cell is anything but a finite number."""
    table = _read_arrow(header, columns, data)
    out = np.empty((table.num_rows, len(columns)))
    row = 0
    for batch in table.to_batches():
        part = out[row : row + batch.num_rows]
        for j, column in enumerate(batch.columns):
            if column.null_count:
                raise ValueError("a cell is empty")
            part[:, j] = column.to_numpy(zero_copy_only=False)
        if not np.isfinite(part).all():
            raise ValueError("a number is not finite")
        row += batch.num_rows
    return out


def _read_arrow(header: Header, columns: Sequence[int], data: bytes) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as pacsv

    names = [header.names[column] for column in columns]
    types = [pa.bool_() if column in header.booleans else pa.float64() for column in columns]
    return pacsv.read_csv(
        pa.BufferReader(data),
        # A row must fit into a block; no number takes 64 bytes.
        pacsv.ReadOptions(
            use_threads=False, column_names=list(header.names), block_size=max(1 << 20, 64 * len(header.names))
        ),
        pacsv.ParseOptions(delimiter=header.delimiter),
        pacsv.ConvertOptions(column_types=dict(zip(names, types, strict=True)), include_columns=names),
    )


def _quotes_end_on_their_line(data: bytes) -> bool:
    """Whether each line has an even number of quotes; holds or fails wherever the file is cut into lines."""
    text = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(text == ord('"'))
    ends = np.append(np.flatnonzero(text == ord("\n")), len(data))
    return not (np.searchsorted(quotes, ends) % 2).any()


def _locate(header: Header, choice: Choice, data: bytes, reason: str) -> Fault:
    """Find the first bad row by halving: together the halves cost about as much as one more parse."""
    begin, end, rows = 0, len(data), 0
    while True:
        middle = data.find(b"\n", (begin + end) // 2, end) + 1 or end
        if middle == end:
            middle = data.rfind(b"\n", begin, end - 1) + 1
        if middle <= begin:
            break
        try:
            rows += _convert(header, choice, data[begin:middle]).X.shape[0]
            begin = middle
        except ValueError:
            end = middle
    line = data[begin:end].rstrip(b"\r\n")
    return Fault(rows, _explain(header, choice, line) or reason, data.count(b"\n", 0, begin))


def _explain(header: Header, choice: Choice, line: bytes) -> str | None:
    """What is wrong with one line."""
    if b"\0" in line:
        return "it holds a NUL byte: this is binary data or a damaged file"
    if line.count(b'"') % 2:
        return "a quoted cell does not end on its line; remove line breaks and lone quotes inside cells"
    if b"\r" in line:
        return "it holds a lone carriage return; end lines with \\n or \\r\\n"
    cells = _cells(line.decode("utf-8", "backslashreplace"), header.delimiter)
    if len(cells) != len(header.names):
        return f"{len(cells)} cells where the header names {len(header.names)} columns"
    for column in sorted({*choice.features, *(c for c in (choice.target, choice.weight) if c is not None)}):
        name = f"column {header.names[column]!r}"
        cell = cells[column].strip()
        try:
            (number,) = _numbers(header, [column], line)[:, 0]
        except ValueError:
            if not cell:
                return f"{name} is empty; fill in a number or leave such rows out"
            shown = cell[:40] + ("…" if len(cell) > 40 else "")
            if column in header.booleans:
                return f"{name} is {shown!r}, where the first row has true or false"
            if cell.lower().lstrip("+-") in ("nan", "na", "n/a", "#n/a", "null", "inf", "infinity"):
                return f"{name} is {shown!r}; every number must be finite: fill in a number or leave such rows out"
            return f"{name} is {shown!r}, not a number; leave the column out or encode it as numbers"
        if column == choice.weight and number < 0:
            return f"{name} is {cell}, but a weight must not be negative"
    return None
