"""A Dataset: this rank's rows of one or many files, as a run of blocks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from dpmpi import partition

from .batches import Batches, check_seed
from .errors import BadRow, DataError, Fault, raise_fault
from .holding import Holding
from .prefetch import prefetch
from .ranks import Ranks
from .reader import Piece, Reader, parts
from .table import Block, Frame, Table, join, take
from .windows import Windows, numbers_of

if TYPE_CHECKING:
    from .augment import Augmentation
    from .source import Source

# A block is large beside what it costs to ask for one, and small beside a rank's memory and its cache of files.
_PIECE_BYTES = 2 << 20
# Blocks alive at once, with room for the parser's own copies.
_PIECES_ALIVE = 16
# libsvm: an entry takes four bytes of text at least, and twelve in memory.
_SPARSE_GROWTH = 3


class Dataset:
    """This rank's rows of a data set, read block by block; made by `dpmpi.data.open`.

    Attributes
    ----------
    source : the path it was opened with.  format : one of FORMATS.
    columns : names of X's columns, or None where the format has none (arrays, libsvm).
    picked : which columns of arrays X's are, by their numbers, for `open` to pick the same again; else None.
    target : name of the column or array that becomes y, or None.
    n_columns : columns of X.
    n_blocks : blocks of this rank.  row_bytes : about how many bytes a row takes in memory.
    start : global number, from 0, of this rank's first row.  n_local : this rank's rows.  n_rows : those of all ranks.
    fits : whether the shard of every rank, loaded, stays within half of `max_memory`; the same on every rank.
    """

    def __init__(
        self,
        source: str,
        sources: Sequence[Source],
        reader: Reader,
        ranks: Ranks,
        max_memory: int,
        part: tuple[int, int] | None = None,
    ) -> None:
        """Share out the rows; collective. `part`: this rank's of the extents, None for even shares. Use `open`."""
        self.source, self.format = source, sources[0].format
        self.columns, self.picked = reader.columns, reader.picked
        self.target, self.n_columns = reader.target, reader.n_columns
        self._width = reader.n_columns  # before `map`
        self._sources, self._reader, self._ranks = sources, reader, ranks
        self._piece_bytes = max(1 << 12, min(_PIECE_BYTES, max_memory // _PIECES_ALIVE))
        with ranks.together():
            pieces = self._cut(part)
        rows, lines = _in_front(ranks, pieces, len(sources))
        text_lines = reader.text_lines or [0] * len(sources)
        self._pieces = [
            piece._replace(
                row=piece.row + rows[piece.file], line=piece.line + lines[piece.file] + text_lines[piece.file]
            )
            for piece in pieces
        ]
        self.n_blocks = len(pieces)
        self.n_local = sum(piece.n_rows for piece in pieces)
        self._size = sum(piece.stop - piece.start for piece in pieces)
        loaded = self._loaded_bytes()
        self.row_bytes = -(-loaded // max(1, self.n_local))
        told = ranks.share((self.n_local, loaded))
        counts = [count for count, _ in told]
        self.start, self.n_rows = sum(counts[: ranks.rank]), sum(counts)
        self._max_memory, self._most_rows = max_memory, max(counts)
        self.fits = max(size for _, size in told) <= max_memory // 2
        self._function: Callable[[Any], Any] | None = None
        self._holding: Holding | None = None
        self._kept: list[Any] | None = None
        self._kept_empty: Any = None  # of no rows, as the kept blocks
        self._table: Table | None = None
        self._ends = np.cumsum([piece.n_rows for piece in pieces])  # of the rows of each piece
        self._masks: list[np.ndarray | None] = [None] * len(pieces)  # which rows of each piece are wanted, all for None
        if not self.n_rows:
            raise DataError(f"{source}: no rows: the file holds no line of data")

    def _cut(self, part: tuple[int, int] | None) -> list[Piece]:
        """Cut this rank's part of all files, laid end to end, into pieces."""
        extents = self._reader.extents
        start, stop = part or partition.block(sum(extents), self._ranks.size, self._ranks.rank)
        cut = self._reader.cut
        return [piece for run in parts(extents, start, stop) for piece in cut(*run, self._piece_bytes)]

    def _loaded_bytes(self) -> int:
        row_bytes = self._reader.row_bytes
        if row_bytes is None:
            return _SPARSE_GROWTH * self._size
        has_text = self._reader.text_lines is not None and isinstance(self._reader.empty(), Frame)
        return row_bytes * self.n_local + has_text * self._size  # a file of text has no more characters than bytes

    def find_width(self) -> None:
        """Find the number of columns where only the rows tell it; collective."""
        if self._width is None:
            with self._ranks.together():
                width = max((block.X.shape[1] for block in self.blocks()), default=0)
            self.n_columns = self._width = max(self._ranks.share(width))

    def rows_of_files(self) -> list[int]:
        """The rows of each file; collective."""
        mine = np.zeros(len(self._sources), np.int64)
        for piece in self._pieces:
            mine[piece.file] += piece.n_rows
        return np.sum(self._ranks.share(mine), axis=0).tolist()

    def blocks(self) -> Iterator[Block]:
        """Yield this rank's rows in order, block by block; local. One thread reads ahead.

        A Block holds X (n, n_columns) float64, float32 or csr_array, y and sample_weight float64 (n,) or None. Every
        number is finite. Raises DataError naming file, row and column at the first bad row, and for a file that has
        changed since it was opened.
        """
        return self._checked() if self._kept is not None else prefetch(self._checked())

    def empty(self) -> Block:
        """A block of no rows, with the widths and dtypes of the others."""
        return self._finished(self._reader.empty() if self._kept_empty is None else self._kept_empty)

    def _checked(self) -> Iterator[Block]:
        try:
            yield from self._read()
        except _Located as error:
            self._raise(error.file, error.fault)

    def _read(self) -> Iterator[Any]:
        """Read the pieces and apply what `map` was given; raises _Located at the first bad row."""
        number = 0
        for _, pieces in groupby(self._pieces, lambda piece: piece.file):
            run = list(pieces)
            held = [] if self._holding is None else self._holding.blocks[number : number + len(run)]
            yield from held
            number, run = number + len(held), run[len(held) :]
            blocks = self._reader.read(run) if self._kept is None else iter(self._kept[number:])
            for piece in run:
                mask = self._masks[number]
                try:
                    block = next(blocks)
                    if self._kept is None and block.X.shape[0] != piece.n_rows:
                        raise DataError(f"{self._sources[piece.file].path}: the file has changed while it was read")
                    if self._kept is None and mask is not None:
                        block = take(block, mask)
                    block = self._finished(block, mask)
                except BadRow as error:
                    row, reason, line = error.fault
                    line = None if line is None else piece.line + line
                    raise _Located(piece.file, Fault(piece.row + row, reason, line)) from None
                if self._holding is not None:
                    self._holding.offer(number, block)
                yield block
                number += 1
            if self._kept is None and run:
                next(blocks, None)  # the reader looks whether the file has changed meanwhile

    def holding(self) -> Dataset:
        """The same rows; as many blocks as half of `max_memory` has room for stay in memory once they are read; local.

        What other methods make of it holds none.
        """
        holding = copy.copy(self)
        if self._kept is None:
            holding._holding = Holding(self._max_memory // 2)
        return holding

    def keep(self) -> Dataset:
        """The same rows, read now and kept in memory as blocks; local. Raises DataError as `blocks`."""
        kept = copy.copy(self)
        kept._holding = None
        kept._kept, kept._kept_empty = list(self.blocks()), self.empty()
        if self._function is not None:  # what it makes of a block is kept
            kept._function, kept._width = None, kept._kept_empty.X.shape[1]
        return kept

    def select(self, chosen: np.ndarray) -> Dataset:
        """The rows of this rank for which `chosen`, bool (n_local,), is true, numbered anew over all ranks; collective.

        They are chosen as they are read, before functions given to `map` see them; a byte for each row is kept.
        """
        part = copy.copy(self)
        part._table = part._holding = None
        parts = np.split(chosen, self._ends[:-1]) if len(self._ends) else []
        part._masks = [_narrowed(mask, some) for mask, some in zip(self._masks, parts, strict=True)]
        if self._kept is not None:
            part._kept = [take(block, some) for block, some in zip(self._kept, parts, strict=True)]
        part._ends = np.cumsum([np.count_nonzero(some) for some in parts])
        part.n_local = int(np.count_nonzero(chosen))
        counts = self._ranks.share(part.n_local)
        part.start, part.n_rows = sum(counts[: self._ranks.rank]), sum(counts)
        return part

    def balanced(self, by: str = "rows") -> Dataset:
        """The same rows in the same order and with the same numbers, shared out anew and held in memory; collective.

        Each rank has one run of rows, in rank order, with about as many of what `by` names as the others: "rows", at
        most one more or less; or "nonzeros", stored entries of X, as near as whole rows allow. Batches stay the same
        bit for bit. While rows move, a rank holds both those it had and those it gets.

        Raises, on every rank: DataError as `load`, and where a rank's rows do not fit into `max_memory`; ValueError
        for another `by`, and for columns of text.
        """
        from .balanced import balance

        return balance(self, by, self._ranks, self._max_memory)

    def batches(
        self,
        batch_size: int,
        seed: int = 0,
        epoch: int = 0,
        window: int | None = None,
        augment: Sequence[Augmentation] = (),
    ) -> Iterator[Block]:
        """Yield this rank's part of every global mini-batch of an epoch, also where it has none of the rows.

        What is in a batch depends on the rows of all ranks, `batch_size`, `seed`, `epoch` and `window` alone, not on
        the number of ranks. Without `window` every row may meet any other, and the shard is loaded first, which is
        collective; with it only about `window` rows over all ranks are held at a time (see `windows`), and nothing is
        communicated. `augment` changes the rows of each batch, one augmentation after the other (see `augment`); with
        MixUp among them, taking a batch is collective. Raises ValueError without `window` for rows that do not fit into
        memory, and for arguments that do not fit the rows.
        """
        check_seed(seed)
        numbered: Iterator[tuple[Block, np.ndarray]]
        if window is None:
            if not self.fits:
                raise ValueError(f"{self.source} does not fit into max_memory: give a window to take batches from")
            if self._table is None:
                self._table = self.load()
            whole = Block(self._table.X, self._table.y, self._table.sample_weight)
            rows = Batches(self.n_rows, batch_size, seed).split(epoch, self.start, self.start + self.n_local)
            numbered = ((take(whole, some), self.start + some) for some in rows)
        else:
            numbered = prefetch(self._windowed(Windows(self.n_rows, batch_size, window, seed), epoch))
        from .augment import augmented  # most need it never

        return augmented(numbered, tuple(augment), seed, epoch, self._ranks)

    def _windowed(self, windows: Windows, epoch: int) -> Iterator[tuple[Block, np.ndarray]]:
        for runs, batches in windows.plan(epoch, self.start, self.start + self.n_local):
            parts = [block for low, high in runs for block in self._rows(low - self.start, high - self.start)]
            whole = join(iter(parts), self.empty(), sum(high - low for low, high in runs))
            numbers = numbers_of(runs)
            for rows in batches:
                yield take(whole, rows), numbers[rows]

    def _rows(self, low: int, high: int) -> Iterator[Block]:
        """Read some of this rank's rows, counted from its first."""
        first = int(np.searchsorted(self._ends, low, "right"))
        last = int(np.searchsorted(self._ends, high, "left"))
        for number in range(first, last + 1):
            piece, mask = self._pieces[number], self._masks[number]
            begin = int(self._ends[number - 1]) if number else 0
            some = slice(max(low - begin, 0), min(high, int(self._ends[number])) - begin)
            if some.start >= some.stop:
                continue
            if self._holding is not None and number < len(self._holding.blocks):
                yield take(self._holding.blocks[number], some)
                continue
            part = copy.copy(self)
            part._holding = None
            part._kept = None if self._kept is None else [self._kept[number]]
            if part._kept is None and self._reader.text_lines is None:  # rows are read alone; of text, a piece
                places = (some.start, some.stop - 1) if mask is None else np.flatnonzero(mask)[some][[0, -1]].tolist()
                first_row, n_rows = places[0], places[1] + 1 - places[0]
                mask = None if mask is None else mask[first_row : first_row + n_rows]
                start = piece.start + first_row
                piece = Piece(piece.file, start, start + n_rows, n_rows, piece.row + first_row)
                some = slice(None)
            part._masks = [mask]
            part._pieces = [piece]
            for block in part._checked():
                yield take(block, some)

    def map(self, function: Callable[[Any], Any], columns: tuple[str, ...] | None = None) -> Dataset:
        """The same rows with `function` applied to every block as it is read; local, and lazy.

        `columns` names the columns of X that come out, where they are others. `function` may raise BadRow.
        """
        mapped = copy.copy(self)
        mapped._table = mapped._holding = None
        before = self._function
        mapped._function = function if before is None else lambda block: function(before(block))
        if columns is not None:
            width = len(columns) * mapped.empty().X.dtype.itemsize + 16  # taken for dense
            mapped.fits = self.fits and self._most_rows * width <= self._max_memory // 2
            mapped.columns, mapped.n_columns = columns, len(columns)
        return mapped

    def _finished(self, block: Any, mask: np.ndarray | None = None) -> Any:
        """What leaves this Dataset for a block of the reader, of which only the rows of `mask` were taken."""
        if self._width is not None and block.X.shape[1] < self._width:
            block.X.resize((block.X.shape[0], self._width))
        try:
            return block if self._function is None else self._function(block)
        except BadRow as error:
            if mask is None:
                raise
            row = int(np.flatnonzero(mask)[error.fault.row])
            raise BadRow(error.fault._replace(row=row)) from None

    def _raise(self, file: int, fault: Fault) -> NoReturn:
        raise_fault(self._sources[file].path, fault, self._reader.text_lines is not None)

    def load(self) -> Table:
        """Read all rows of this rank into memory; collective. Raises DataError, the same on every rank."""
        if isinstance(self.empty(), Frame):
            raise ValueError(f"{self.source} was opened with columns of text; map a pipeline that encodes them first")
        found: tuple[int, Fault] | None = None
        with self._ranks.together():
            try:
                block = join(self._read(), self.empty(), self.n_local)
            except _Located as error:
                found = error.file, error.fault
        # Of all ranks' bad rows the first in the files is raised, whoever owns it.
        first = min(
            (tuple(told) for told in self._ranks.share(found and (found[0], tuple(found[1]))) if told), default=None
        )
        if first is not None:
            self._raise(first[0], Fault(*first[1]))
        if self._width is None:
            self.n_columns = self._width = max(self._ranks.share(block.X.shape[1]))
            block.X.resize((self.n_local, self._width))
        return Table(
            *block,
            columns=self.columns,
            target=self.target,
            start=self.start,
            n_rows=self.n_rows,
            source=self.source,
        )


class _Located(Exception):
    """The first bad row of this rank, with its place in its file."""

    def __init__(self, file: int, fault: Fault) -> None:
        super().__init__(file, fault)
        self.file, self.fault = file, fault


def _narrowed(mask: np.ndarray | None, chosen: np.ndarray) -> np.ndarray:
    """The rows of `mask` that are chosen among them."""
    if mask is None:
        return chosen
    narrower = mask.copy()
    narrower[mask] = chosen
    return narrower


def _in_front(ranks: Ranks, pieces: Sequence[Piece], n_files: int) -> tuple[list[int], list[int]]:
    """Rows and lines of each file that lie in front of this rank's part of it; collective."""
    ends = {}
    for piece in pieces:
        ends[piece.file] = (piece.row + piece.n_rows, piece.line + piece.n_lines)
    rows, lines = [0] * n_files, [0] * n_files
    for told in ranks.share(ends)[: ranks.rank]:
        for file, (n_rows, n_lines) in told.items():
            rows[file] += n_rows
            lines[file] += n_lines
    return rows, lines
