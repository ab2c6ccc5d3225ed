"""Parquet: named columns of numbers out of row groups, decoded by pyarrow in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dpmpi.kernels.transpose import all_finite, join_columns

from .buffers import Buffers
from .columns import Choice, Wanted, choose
from .dates import as_seconds, is_date
from .errors import BadRow, DataError, Fault
from .prefetch import prefetch
from .reader import Piece
from .source import Source
from .table import TEXT_BYTES, Block, Frame, codes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class ParquetReader:
    """Parquet files with the same columns; see `reader.Reader`.

    Rows are shared out evenly; a row group on the border between two ranks is decoded by both.
    """

    text_lines = None

    def __init__(self, sources: Sequence[Source], wanted: Wanted) -> None:
        self.sources = sources
        files = [open_parquet(source) for source in sources]
        import pyarrow as pa

        schema = files[0].schema_arrow
        for source, file in zip(sources, files, strict=True):
            if not file.schema_arrow.equals(schema):
                raise DataError(f"{source.path}: its columns or their types differ from {sources[0].path}'s")
        names = schema.names
        path = sources[0].path
        if len(set(names)) < len(names):
            raise DataError(f"{path}: two columns have the same name; rename one")
        self._choice = choose(path, wanted, len(names), names)
        self._names = [names[column] for column in _all(self._choice)]
        self._text = [names[column] for column in self._choice.text]
        self._dates = {names[column] for column in self._choice.dates}
        self._decimals = {field.name for field in schema if pa.types.is_decimal(field.type)}
        for name in self._names:
            _check_numeric(path, name, schema.field(name).type, name in self._dates)
        for name in self._text:
            _check_text(path, name, schema.field(name).type)
        types = {str(schema.field(column).type) for column in self._choice.features}
        self._dtype = np.dtype(np.float32 if types <= {"float", "halffloat"} else np.float64)
        self.columns = tuple(names[column] for column in self._choice.features)
        self.picked = None
        self.target = None if self._choice.target is None else names[self._choice.target]
        self.n_columns = len(self.columns)
        self.extents = [file.metadata.num_rows for file in files]
        self._groups = [
            np.cumsum([0, *(file.metadata.row_group(k).num_rows for k in range(file.num_row_groups))]) for file in files
        ]
        for source, n_rows, bounds in zip(sources, self.extents, self._groups, strict=True):
            if n_rows != bounds[-1] or (np.diff(bounds) < 0).any():
                raise DataError(f"{source.path}: not a usable Parquet file: its row groups do not make {n_rows} rows")
        if not sum(self.extents):
            raise DataError(f"{path}: no rows: the table is empty")
        characters = -(-sum(map(_unpacked_bytes, files)) // sum(self.extents)) if self._text else 0
        self.row_bytes = self._dtype.itemsize * self.n_columns + TEXT_BYTES * len(self._text) + characters + 16

    def cut(self, file: int, start: int, stop: int, size: int) -> list[Piece]:
        """Cut at every so many rows."""
        step = max(1, size // self.row_bytes)
        return [
            Piece(file, low, min(low + step, stop), min(low + step, stop) - low, low - start)
            for low in range(start, stop, step)
        ]

    def read(self, pieces: Sequence[Piece]) -> Iterator[Block | Frame]:
        """X float32 where every column of it is, else float64 (n, d); y and sample_weight float64 (n,).

        A thread of its own decodes the next piece while this one is made into rows: both take a while.
        """
        buffers = Buffers()
        for piece, table in zip(pieces, prefetch(self._tables(pieces)), strict=True):
            try:
                block = self._block(table, buffers)
            except pyarrow_errors() as error:
                raise _damaged(self.sources[piece.file].path, piece, error) from error
            yield block
            del block, table

    def _tables(self, pieces: Sequence[Piece]) -> Iterator[list[pa.RecordBatch]]:
        file, start, stop = pieces[0].file, pieces[0].start, pieces[-1].stop
        bounds = self._groups[file]
        first = int(np.searchsorted(bounds, start, "right")) - 1
        last = int(np.searchsorted(bounds, stop, "left"))
        skip = start - int(bounds[first])
        path = self.sources[file].path
        rows = _Rows(self._batches(file, range(first, last), pieces[0].n_rows), skip)
        for piece in pieces:
            try:
                table = rows.take(piece.n_rows)
            except pyarrow_errors() as error:
                raise _damaged(path, piece, error) from error
            yield table
        self.sources[file].check()

    def _batches(self, file: int, groups: range, n_rows: int) -> Iterator[pa.RecordBatch]:
        columns = self._names + self._text
        return open_parquet(self.sources[file]).iter_batches(n_rows, list(groups), columns, use_threads=False)

    def _block(self, table: list[pa.RecordBatch], buffers: Buffers) -> Block | Frame:
        d = self.n_columns
        X = buffers.take((sum(batch.num_rows for batch in table), d), self._dtype)
        others = np.empty((len(self._names) - d, len(X)))
        row, finite = 0, True
        for batch in table:
            stop = row + batch.num_rows
            columns = [self._numbers(batch, j, row) for j in range(len(self._names))]
            finite &= join_columns(columns[:d], X[row:stop])
            for out, numbers in zip(others, columns[d:], strict=True):
                out[row:stop] = numbers
            row = stop
        finite &= all_finite(others)
        block = Block(X, None, None)
        if self._choice.target is not None:
            block = block._replace(y=others[0])
        if self._choice.weight is not None:
            block = block._replace(sample_weight=others[-1])
        if not finite or (block.sample_weight is not None and (block.sample_weight < 0).any()):
            _check(block, self._names, self._choice.missing)
        if not self._text:
            return block
        return Frame(X, block.y, block.sample_weight, {name: self._codes(table, name) for name in self._text})

    def _numbers(self, batch: pa.RecordBatch, j: int, row: int) -> np.ndarray:
        """A column of a batch that begins at row `row` of its block, contiguous, of X's dtype or float64."""
        name, is_feature = self._names[j], j < self.n_columns
        cells = batch.column(name)
        if cells.null_count and not (self._choice.missing and is_feature):
            at = int(np.argmax(cells.is_null().to_numpy(zero_copy_only=False)))
            reason = f"column {name!r} is empty; fill in a number or leave such rows out"
            raise BadRow(Fault(row + at, reason))
        if name in self._dates:
            cells = as_seconds(cells)
        elif name in self._decimals:
            cells = cells.cast("string").cast("float64")  # correctly rounded, unlike pyarrow's direct way
        return np.ascontiguousarray(cells.to_numpy(zero_copy_only=False), self._dtype if is_feature else np.float64)

    def _codes(self, table: list[pa.RecordBatch], name: str) -> tuple[np.ndarray, tuple[str, ...]]:
        """A column of any kind as text: codes and the texts they stand for, as in a Frame."""
        import pyarrow as pa

        chunks = [batch.column(name) for batch in table]
        plain = [chunk.dictionary_decode() if isinstance(chunk, pa.DictionaryArray) else chunk for chunk in chunks]
        column = pa.chunked_array(plain, None if plain else pa.string())
        return codes(column.cast(pa.string()).dictionary_encode())

    def empty(self) -> Block | Frame:
        """No rows."""
        return self._block([], Buffers())


def _damaged(path: str, piece: Piece, error: BaseException) -> DataError:
    return DataError(f"{path}: damaged near row {piece.start + 1}: {error}")


class _Rows:
    """Takes so many rows at a time from a run of batches, dropping the first `skip`."""

    def __init__(self, batches: Iterator[pa.RecordBatch], skip: int) -> None:
        self._batches, self._skip = batches, skip
        self._rest: pa.RecordBatch | None = None

    def take(self, n: int) -> list[pa.RecordBatch]:
        taken = []
        while n:
            batch = next(self._batches, None) if self._rest is None else self._rest
            self._rest = None
            if batch is None:
                raise ValueError("there are fewer rows than the file says")
            if self._skip:
                dropped = min(self._skip, batch.num_rows)
                self._skip -= dropped
                batch = batch.slice(dropped)
            part = batch.slice(0, n)
            if part.num_rows < batch.num_rows:
                self._rest = batch.slice(part.num_rows)
            if part.num_rows:
                taken.append(part)
            n -= part.num_rows
        return taken


def _unpacked_bytes(file: pq.ParquetFile) -> int:
    """The bytes of all columns, decompressed; a text that repeats may count once.

    Those of a single column pyarrow tells too, but damage there ends the process.
    """
    return sum(max(0, file.metadata.row_group(k).total_byte_size) for k in range(file.num_row_groups))


def _all(choice: Choice) -> list[int]:
    return [*choice.features, *(column for column in (choice.target, choice.weight) if column is not None)]


def open_parquet(source: Source) -> pq.ParquetFile:
    """Open a file. Raises DataError when it is not Parquet, is damaged, or pyarrow is not installed."""
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(f"{source.path}: reading Parquet needs pyarrow: pip install 'dpmpi[io]'") from None
    source.check()
    try:
        # Without a buffer the whole columns of a row group are read at once.
        return pq.ParquetFile(source.path, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True)
    except pyarrow_errors() as error:
        raise DataError(f"{source.path}: not a usable Parquet file: {error}") from error


def pyarrow_errors() -> tuple[type[Exception], ...]:
    """What pyarrow raises for a file that it cannot read."""
    import pyarrow as pa

    return OSError, ValueError, pa.ArrowException


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers, true and false among them."""
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind))


def _check_text(path: str, name: str, kind: pa.DataType) -> None:
    import pyarrow as pa

    try:
        pa.array([], kind.value_type if isinstance(kind, pa.DictionaryType) else kind).cast(pa.string())
    except pa.ArrowException:
        raise DataError(f"{path}: column {name!r} holds {kind}, which has no text; leave the column out") from None


def _check_numeric(path: str, name: str, kind: pa.DataType, date: bool) -> None:
    if date and not is_date(kind):
        raise DataError(f"{path}: column {name!r} holds {kind}, not dates; leave it out of dates")
    if is_date(kind) and not date:
        raise DataError(f"{path}: column {name!r} holds {kind}, not numbers; name it in dates to take it in seconds")
    if not date and not is_number(kind):
        raise DataError(f"{path}: column {name!r} holds {kind}, not numbers; leave the column out or encode it")


def _check(block: Block, names: Sequence[str], missing: bool) -> None:
    first = 0
    for part in (block.X, *(part[:, None] for part in block[1:] if part is not None)):
        finite = np.isfinite(part) | (np.isnan(part) if missing and not first else False)
        if not finite.all():
            row, column = (int(k) for k in np.argwhere(~finite)[0])
            reason = f"column {names[first + column]!r} is {part[row, column]}; every number must be finite"
            raise BadRow(Fault(row, f"{reason}: fill in a number or leave such rows out"))
        first += part.shape[1]
    weight = block.sample_weight
    if weight is not None and (weight < 0).any():
        row = int(np.argmax(weight < 0))
        raise BadRow(Fault(row, f"column {names[-1]!r} is {weight[row]:g}, but a weight must not be negative"))
