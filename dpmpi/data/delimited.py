"""CSV and TSV: a header line, then rows of cells, parsed on each rank's own lines.

Plain numbers are read by `dpmpi.kernels.delimited`. A block in which it meets anything else goes to pyarrow, as do
columns of text.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from dpmpi.kernels import delimited

from .columns import Choice, Wanted, choose
from .dates import as_seconds, parse_dates
from .errors import BadRow, DataError, Fault
from .lines import count_rows, cut_lines, read_lines, walk_lines
from .ranks import Ranks
from .reader import Piece
from .source import Source
from .table import TEXT_BYTES, Block, Frame, codes

if TYPE_CHECKING:
    import pyarrow as pa

    from .at_once import Rows

DELIMITERS = {"csv": ",", "tsv": "\t"}
_LONGEST_LINE = 1 << 26
_HEAD_BYTES = 1 << 16  # of text that tells which columns are of true and false
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_BLANK_LINES = re.compile(rb"[\r\n]*")
_LONE_RETURN = re.compile(rb"\r(?!\n)")


@dataclass(frozen=True)
class Header:
    """The head of a file, the same on every rank. `begin` is the byte, `lines` the line behind the header line.

    `booleans` are the columns of true and false: the kind of a column must not depend on which rows a rank happens to
    own, so the first rows of the first file decide (_HEAD_BYTES).
    """

    delimiter: str
    names: tuple[str, ...]
    booleans: frozenset[int]
    begin: int
    lines: int


class DelimitedReader:
    """CSV or TSV files with the same header; see `reader.Reader`."""

    def __init__(self, sources: Sequence[Source], ranks: Ranks, wanted: Wanted) -> None:
        """Read the headers on rank 0 and share them; collective. Raises DataError."""
        self.sources = sources
        headers = None
        with ranks.together():
            if ranks.rank == 0:
                headers = [read_header(source) for source in sources]
                for source, header in zip(sources, headers, strict=True):
                    if header.names != headers[0].names:
                        raise DataError(_other_header(sources[0].path, headers[0].names, source.path, header.names))
        self._headers = [
            Header(*parts) for parts in ranks.share(headers and [tuple(vars(h).values()) for h in headers])[0]
        ]
        self._header = self._headers[0]
        names = self._header.names
        self._choice = choose(sources[0].path, wanted, len(names), names)
        self.columns = tuple(names[column] for column in self._choice.features)
        self.picked = None
        self.target = None if self._choice.target is None else names[self._choice.target]
        self.n_columns = len(self.columns)
        self.extents = [source.size - header.begin for source, header in zip(sources, self._headers, strict=True)]
        self.text_lines = [header.lines for header in self._headers]
        self.row_bytes = 8 * (self.n_columns + 2) + TEXT_BYTES * len(self._choice.text)

    def cut(self, file: int, start: int, stop: int, size: int) -> list[Piece]:
        """Cut at newlines; blank lines are no rows."""
        return cut_lines(self.sources[file], file, self._headers[file].begin, start, stop, size, _is_row)

    def read(self, pieces: Sequence[Piece]) -> Iterator[Block | Frame]:
        """X float64 (n, d), y and sample_weight float64 (n,)."""
        for piece, data in read_lines(self.sources[pieces[0].file], pieces):
            block = parse(self._header, self._choice, data)
            if block.X.shape[0] != piece.n_rows:
                raise BadRow(_lone_return(bytes(data)))
            yield block

    def append(self, file: int, start: int, stop: int, size: int, rows: Rows) -> None:
        """Put the rows whose lines start in this part of a file behind `rows`, read in pieces of about `size` bytes.

        Local. Raises DataError for a file that cannot be read, and BadRow where a row is not as it should be; which one
        is left to `read`.
        """
        begin = self._headers[file].begin
        for _, data in walk_lines(self.sources[file], begin + start, begin + stop, size, start == 0):
            n_rows = _parser(self._header, self._choice).parse_into(data, rows.X, rows.others, rows.n)
            if n_rows == -1:
                rows.make_room(count_rows(data, _is_row)[0], len(data))
                n_rows = _parser(self._header, self._choice).parse_into(data, rows.X, rows.others, rows.n)
            if n_rows is not None and n_rows != -1:  # -1 again: lines that the parser ends elsewhere
                rows.n += n_rows
                continue
            block, n_rows = parse(self._header, self._choice, data), count_rows(data, _is_row)[0]
            if block.X.shape[0] != n_rows:
                raise BadRow(_lone_return(bytes(data)))
            assert isinstance(block, Block)  # read() takes no columns of text
            rows.make_room(n_rows, len(data))
            rows.put(block)

    def empty(self) -> Block | Frame:
        """No rows."""
        return parse(self._header, self._choice, b"")


def _is_row(line: bytes) -> bool:
    return _BLANK_LINES.fullmatch(line) is None


def _lone_return(data: bytes) -> Fault:
    """Where a carriage return ends a row for the parser but not for us, who cut the file at newlines."""
    found = _LONE_RETURN.search(data)
    before = data[: found.start() if found else 0]
    line = before.rfind(b"\n") + 1
    rows = sum(_is_row(other) for other in data[:line].splitlines())
    return Fault(rows, "it holds a lone carriage return; end lines with \\n or \\r\\n", data.count(b"\n", 0, line))


def _other_header(first: str, names: Sequence[str], path: str, others: Sequence[str]) -> str:
    if set(names) == set(others):
        return f"{path}: the columns stand in another order than in {first}; write all files in one order"
    missing = [name for name in names if name not in others] or [name for name in others if name not in names]
    side = "lacks" if missing[0] in names else "has"
    return f"{path}: the header {side} {missing[0]!r}, unlike that of {first}; give files with the same columns"


def read_header(source: Source) -> Header:
    """Read the header of one file; local. Raises DataError for one that cannot be a header."""
    path, delimiter = source.path, DELIMITERS[source.format]
    with source.open() as file:
        try:
            line, lines = b"\n", 0
            while line and not line.strip():
                line, lines = file.readline(_LONGEST_LINE), lines + 1
            begin = file.tell()
            names = tuple(name.strip() for name in _header_cells(path, line, lines, delimiter))
            first = b"\n"
            while first and not first.strip():
                first = file.readline(_LONGEST_LINE)
            head = [first, *file.readlines(_HEAD_BYTES)]
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    where = f"{path}: the header (line {lines})"
    twice = [name for name, count in Counter(names).items() if count > 1]
    if all(_NUMBER.fullmatch(name) for name in names) and not _may_be_names(names):
        raise DataError(f"{where} holds only numbers; put a line with the columns' names first")
    if twice:
        raise DataError(f"{where} names {', '.join(map(repr, twice))} more than once; give every column its own name")
    if not first:
        raise DataError(f"{path}: no rows: there is only a header")
    return Header(delimiter, names, _booleans(head, delimiter), begin, lines)


def _booleans(head: Sequence[bytes], delimiter: str) -> frozenset[int]:
    """The columns that hold true or false in one of these lines, and in those before it 0, 1 or nothing.

    Errors in these rows are found with all others, by the rank that owns them.
    """
    words: set[int] = set()
    others: set[int] = set()
    for line in head:
        for column, cell in enumerate(_cells(line.decode("utf-8", "replace").rstrip("\r\n"), delimiter)):
            word = cell.strip().lower()
            if word in ("true", "false"):
                words.add(column)
            elif column not in words and word not in ("0", "1", "", "na", "n/a", "#n/a", "nan", "null"):
                others.add(column)
    return frozenset(words - others)


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


def parse(header: Header, choice: Choice, data: bytes | memoryview) -> Block | Frame:
    """Parse whole lines: X float64 (n, d), y and sample_weight float64 (n,). Raises BadRow at the first bad row.

    Where columns of text are chosen the result is a Frame.
    """
    try:
        return _convert(header, choice, data)
    except ValueError as error:
        raise BadRow(_locate(header, choice, bytes(data), str(error))) from None


def _convert(header: Header, choice: Choice, data: bytes | memoryview) -> Block | Frame:
    """`parse`, but any ValueError may say that something is wrong somewhere."""
    if _BLANK_LINES.fullmatch(data):
        data = b""
    block = _convert_plain(header, choice, data) or _convert_any(header, choice, bytes(data))
    if block.sample_weight is not None and (block.sample_weight < 0).any():
        raise ValueError("a weight is negative")
    if not choice.text:
        return block
    table = _read_arrow(header, (), choice.text, bytes(data))
    if table.num_rows != len(block.X):
        raise ValueError("a cell of text holds a line break")
    return Frame(*block, {header.names[column]: codes(table.column(header.names[column])) for column in choice.text})


def _convert_plain(header: Header, choice: Choice, data: bytes | memoryview) -> Block | None:
    """The numbers by the compiled reader, which takes plain text only."""
    if choice.dates:
        return None
    found = _parser(header, choice).parse(data)
    if found is None:
        return None
    X, rest = found
    return Block(X, None if choice.target is None else rest[0], None if choice.weight is None else rest[-1])


@lru_cache(4)
def _parser(header: Header, choice: Choice) -> delimited.Parser:
    d = len(choice.features)
    others = [column for column in (choice.target, choice.weight) if column is not None]
    kinds, places = ["skipped"] * len(header.names), [-1] * len(header.names)
    for place, column in enumerate([*choice.features, *others]):
        number = "gaps" if choice.missing and place < d else "number"
        kinds[column], places[column] = "boolean" if column in header.booleans else number, place
    return delimited.Parser(header.delimiter, kinds, places, d)


def _convert_any(header: Header, choice: Choice, data: bytes) -> Block:
    """The numbers by pyarrow."""
    if b'"' in data and not _quotes_end_on_their_line(data):
        raise ValueError("a quoted cell does not end on its line")
    others = [column for column in (choice.target, choice.weight) if column is not None]
    table = _read_arrow(header, [*choice.features, *others], (), data, choice.dates)
    d = len(choice.features)
    X = _numbers(table, range(d), choice.missing)
    y = None if choice.target is None else _numbers(table, [d])[:, 0]
    weight = None if choice.weight is None else _numbers(table, [d + len(others) - 1])[:, 0]
    return Block(X, y, weight)


def _numbers(table: pa.Table, columns: Sequence[int], missing: bool = False) -> np.ndarray:
    """The columns as float64 (n, len(columns)). Raises ValueError when a cell is anything but a finite number.

    With `missing` a cell may be empty or not a number: both become NaN.
    """
    out = np.empty((table.num_rows, len(columns)))
    row = 0
    for batch in table.to_batches():
        part = out[row : row + batch.num_rows]
        for j, column in enumerate(columns):
            cells = batch.column(column)
            if cells.null_count and not missing:
                raise ValueError("a cell is empty")
            if cells.type == "string":
                cells = as_seconds(parse_dates(cells))
            part[:, j] = cells.to_numpy(zero_copy_only=False)
        if np.isinf(part).any() if missing else not np.isfinite(part).all():
            raise ValueError("a number is not finite")
        row += batch.num_rows
    return out


def _read_arrow(
    header: Header, columns: Sequence[int], text: Sequence[int], data: bytes, dates: frozenset[int] = frozenset()
) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as pacsv

    kinds = dict.fromkeys(columns, pa.float64()) | dict.fromkeys(header.booleans.intersection(columns), pa.bool_())
    kinds |= dict.fromkeys(dates.intersection(columns), pa.string())  # for `parse_dates`
    types = {header.names[column]: kind for column, kind in kinds.items()} | {
        header.names[column]: pa.dictionary(pa.int32(), pa.string()) for column in text
    }
    if not data:
        return pa.table({name: pa.array([], kind) for name, kind in types.items()})
    return pacsv.read_csv(
        pa.BufferReader(data),
        # A row must fit into a block; no number takes 64 bytes.
        pacsv.ReadOptions(
            use_threads=False, column_names=list(header.names), block_size=max(1 << 20, 64 * len(header.names))
        ),
        pacsv.ParseOptions(delimiter=header.delimiter),
        pacsv.ConvertOptions(column_types=types, include_columns=list(types), strings_can_be_null=bool(text or dates)),
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
    for column in choice.text:
        try:
            _cells(line.decode("latin-1"), header.delimiter)[column].encode("latin-1").decode()
        except UnicodeDecodeError:
            return f"column {header.names[column]!r} is {cells[column]!r}, not UTF-8; save the file as UTF-8"
    for column in sorted({*choice.features, *(c for c in (choice.target, choice.weight) if c is not None)}):
        name = f"column {header.names[column]!r}"
        cell = cells[column].strip()
        try:
            missing = choice.missing and column in choice.features
            ((number,),) = _numbers(_read_arrow(header, [column], (), line, choice.dates), [0], missing)
        except ValueError:
            if not cell:
                return f"{name} is empty; fill in a number, impute it, or leave such rows out"
            shown = cell[:40] + ("…" if len(cell) > 40 else "")
            if column in choice.dates:
                return f"{name} is {shown!r}, not a date; write dates as 2024-05-01 or 2024-05-01 12:30:00+02:00"
            if column in header.booleans:
                return f"{name} is {shown!r}, where the first rows have true or false"
            if cell.lower().lstrip("+-") in ("nan", "na", "n/a", "#n/a", "null", "inf", "infinity"):
                return f"{name} is {shown!r}; every number must be finite: fill in a number or leave such rows out"
            return f"{name} is {shown!r}, not a number; leave the column out or encode it as numbers"
        if column == choice.weight and number < 0:
            return f"{name} is {cell}, but a weight must not be negative"
    return None
